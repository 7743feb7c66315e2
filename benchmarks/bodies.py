"""Pictures → whole HTTP requests, in the words of each server, and answers → probabilities."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pictures import Pictures

Pixels = NDArray[np.uint8]
LENGTH = "Inference-Header-Content-Length"
"""v2: how long the JSON is that stands before binary tensors."""

RAW = "application/x-pixels"
"""Not octet-stream, of which KServe thinks that it is JSON."""


@dataclass(frozen=True)
class Body:
    content: bytes
    media_type: str
    headers: str = ""
    """One more header line, or none."""


@dataclass(frozen=True)
class Request:
    """What goes over the wire, and the classes that the answer must have."""

    data: bytes
    classes: list[int]


Write = Callable[[Pixels], Body]


@dataclass(frozen=True)
class Door:
    """Where a server takes a kind of body."""

    path: str
    write: Write

    def requests(self, pictures: Pictures, each: int, count: int) -> list[Request]:
        """`count` different requests, or as many as there are pictures for, of `each` pictures."""
        starts = [number * each for number in range(count) if (number + 1) * each <= len(pictures)]
        return [self.request(pictures[start : start + each]) for start in starts]

    def request(self, pictures: Pictures) -> Request:
        body = self.write(pictures.pixels)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {body.media_type}\r\n"
            f"Content-Length: {len(body.content)}\r\n{body.headers}\r\n"
        )
        return Request(head.encode() + body.content, pictures.classes)


def encode(picture: Pixels, kind: str = "PNG") -> bytes:
    """A picture file."""
    file = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(file, kind)
    return file.getvalue()


def png(pixels: Pixels) -> Body:
    """One picture file as the body."""
    return Body(encode(pixels[0]), "image/png")


def images(pixels: Pixels) -> Body:
    """Our own dialect: whole numbers, 784 in one list for each picture."""
    rows = flat(pixels)
    return in_json({"image": rows[0]} if len(rows) == 1 else {"images": rows})


def instances(pixels: Pixels) -> Body:
    """TensorFlow Serving's, which most peers speak."""
    return in_json({"instances": flat(pixels)})


def tensor(pixels: Pixels) -> Body:
    """v2, the numbers in JSON."""
    count = len(pixels)
    data = pixels.reshape(-1).tolist()
    return in_json({"inputs": [{"name": "image", "shape": [count, 784], "datatype": "UINT8", "data": data}]})


def base64_file(pixels: Pixels) -> Body:
    """v2 as MLServer writes it, a picture file in base64."""
    inputs = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(encode(pixels[0])).decode()],
    }
    return in_json({"inputs": [inputs]})


def binary_file(pixels: Pixels) -> Body:
    """v2, a picture file behind the JSON: each element of BYTES has its length before it."""
    file = encode(pixels[0])
    return behind_json("BYTES", [1, 1], len(file).to_bytes(4, "little") + file, binary_answer=False)


def binary_bytes(pixels: Pixels) -> Body:
    """v2, pixels behind the JSON, one byte each."""
    return behind_json("UINT8", [len(pixels), 784], pixels.tobytes())


def binary_floats(pixels: Pixels) -> Body:
    """v2, pixels behind the JSON, four bytes each."""
    return behind_json("FP32", [len(pixels), 784], pixels.astype("<f4").tobytes())


def raw_bytes(pixels: Pixels) -> Body:
    """Pixels and nothing else, one byte each."""
    return Body(pixels.tobytes(), RAW)


def raw_floats(pixels: Pixels) -> Body:
    """Pixels and nothing else, four bytes each."""
    return Body(pixels.astype("<f4").tobytes(), RAW)


def flat(pixels: Pixels) -> list[list[int]]:
    rows: list[list[int]] = pixels.reshape(len(pixels), -1).tolist()
    return rows


def in_json(value: Any) -> Body:
    return Body(json.dumps(value, separators=(",", ":")).encode(), "application/json")


def behind_json(datatype: str, shape: list[int], data: bytes, *, binary_answer: bool = True) -> Body:
    asked: dict[str, Any] = {
        "inputs": [
            {"name": "image", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        ],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": binary_answer}}],
    }
    header = json.dumps(asked, separators=(",", ":")).encode()
    return Body(header + data, "application/octet-stream", f"{LENGTH}: {len(header)}\r\n")


def probabilities(answer: bytes, header_length: str | None) -> NDArray[np.float32]:
    """The rows in an answer of any of these dialects, (n, 10).

    Args:
        answer: The body.
        header_length: The answer's own `Inference-Header-Content-Length`, if it has one.

    Raises:
        ValueError, KeyError, TypeError: It holds none.
    """
    if header_length is not None:
        return np.frombuffer(answer[int(header_length) :], "<f4").reshape(-1, 10)
    if answer[:1] not in (b"{", b"["):
        return np.frombuffer(answer, "<f4").reshape(-1, 10)
    told = json.loads(answer)
    if isinstance(told, dict):
        told = told["predictions"] if "predictions" in told else told["outputs"][0]["data"]
    if isinstance(told[0], dict):
        told = [prediction["probabilities"] for prediction in told]
    return np.asarray(told, np.float32).reshape(-1, 10)
