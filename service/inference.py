"""The Open Inference Protocol, version 2: what its REST and its gRPC form have in common. Tensors in, tensors out."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from service import __version__, lists, pictures, tensors
from service.engines import Answers
from service.errors import BadBody, WrongShape, shown
from service.manifest import Manifest
from service.registry import Standing
from service.road import Source, check_count, prepare_all
from service.serving import Serving

SERVER = {
    "name": "convolve",
    "version": __version__,
    "extensions": ["binary_tensor_data", "classification", "model_repository", "parameters"],
}
PLATFORM = "tensorflow_savedmodel"
DATATYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),  # the upper half of a 32-bit number; NumPy has no such type
}
"""How each numeric type lies in memory. BOOL is not among them: a pixel is not true or false."""
LENGTH = 4
"""Bytes before each element of a binary BYTES tensor, which say how long it is."""
MAX_RANK = 4
NOVELTY = "novelty"
"""The output that says how unlike the training set each picture is."""
RECOGNIZED = "recognized"
"""The output that says whether that is little enough."""


class Tensor(NamedTuple):
    """The one input, as it was sent."""

    datatype: str
    shape: tuple[int, ...]
    data: memoryview | list[Any] | lists.Numbers
    """Binary in the protocol's layout, or values."""


class Wanted(NamedTuple):
    """An output, as it was asked for."""

    name: str
    binary: bool = False
    classes: int = 0
    """How many of the best classes, as text; 0 is the probabilities themselves."""


class Question(NamedTuple):
    """A request, read and found to make sense; `tensor` itself is not looked into yet."""

    tensor: Tensor
    wanted: list[Wanted]
    mode: pictures.Mode
    id: str = ""


def describe(manifest: Manifest, versions: Iterable[int]) -> dict[str, Any]:
    """A model's metadata, with the versions that serve."""
    return {
        "name": manifest.name,
        "versions": [str(version) for version in sorted(versions)],
        "platform": PLATFORM,
        "inputs": [{"name": manifest.input.name, "datatype": "UINT8", "shape": [-1, *manifest.input.shape]}],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1, columns]}
            for name, datatype, columns in outputs_of(manifest)
        ],
    }


def outputs_of(manifest: Manifest) -> list[tuple[str, str, int]]:
    """What may be asked for: name, datatype, and numbers for each picture.

    The first is told where none is named: callers of a version are not surprised by the next, which can tell more.
    """
    outputs = [(manifest.output, "FP32", len(manifest.labels))]
    if manifest.novelty is not None:
        outputs += [(NOVELTY, "FP32", 1), (RECOGNIZED, "BOOL", 1)]
    return outputs


def check_outputs(names: Sequence[Any], manifest: Manifest) -> None:
    """The outputs that a request names. Errors as in `check_names`."""
    check_names("output", names, [name for name, _, _ in outputs_of(manifest)])


def check_names(kind: str, names: Sequence[Any], known: Sequence[str]) -> None:
    """Tensors of a request against those that the model has.

    Raises:
        BadBody: None, another, or one of them twice.
    """
    if not 0 < len(names) <= len(known) or [name for name in names if name not in known or names.count(name) > 1]:
        expected = f"one {kind}, " if len(known) == 1 else f"{kind}s, each once, of: "
        found = ", ".join(shown(name, 40) for name in names[:4]) + (" …" if len(names) > 4 else "")
        raise BadBody(
            f"the model has not these {kind}s",
            expected=expected + ", ".join(map(repr, known)),
            found=found or "none",
        )


def check_classes(output: str, classes: Any, manifest: Manifest) -> None:
    """How many of the best classes an output should be.

    Raises:
        BadBody: Not a number, or an output that has no classes.
    """
    if type(classes) is not int or classes < 0:
        raise BadBody("classification is not a number", expected="a whole number from 1 on", found=shown(classes, 40))
    if classes and output != manifest.output:
        raise BadBody("the output has no classes", expected=f"classification of {manifest.output}", found=output)


def check_change(parameters: Iterable[str]) -> None:
    """Parameters of loading and unloading, by name.

    Raises:
        BadBody: They would bring along a model, or its configuration.
    """
    if others := sorted(set(parameters) - {"unload_dependents"}):  # no model here depends on another
        raise BadBody(
            "a model is loaded as it lies in the store",
            expected="no parameters",
            found=", ".join(shown(name, 40) for name in others[:4]),
        )


def mode_of(parameter: Any) -> pictures.Mode:
    """The request parameter `prepare`, which says what becomes of picture files.

    Raises:
        BadBody: Not a word that we know.
    """
    if parameter == "none":
        return "none"
    if parameter != "auto":
        raise BadBody("the parameter prepare is not understood", expected="auto or none", found=shown(parameter, 40))
    return "auto"


async def prepare(
    serving: Serving, question: Question, limit: int, request: Request | None = None
) -> NDArray[np.uint8]:
    """The input's pixels: (n, height, width, channels).

    Args:
        serving: Whose input it is.
        question: What was sent.
        limit: Pictures that one call may have.
        request: The call, over HTTP.

    Raises:
        CallerError: What is wrong with them.
        DeadlineExceeded: It takes too long.
    """
    tensor = question.tensor
    if tensor.datatype == "BYTES":
        count = count_files(tensor.shape)
        check_count(count, limit)
        return await prepare_all(serving, files_of(tensor.data, count), question.mode, request)
    picture = serving.manifest.input.shape
    count = count_pictures(tensor, picture)
    check_count(count, limit)
    return numbers_of(tensor, count * math.prod(picture), serving.float_pixels == "unit").reshape(count, *picture)


def count_pictures(tensor: Tensor, picture: tensors.Shape) -> int:
    """How many pictures a tensor of numbers holds, by its shape.

    Raises:
        WrongShape: Not of the network's input, or a type that holds no pixels.
    """
    if tensor.datatype not in DATATYPES:
        raise WrongShape(
            "the datatype holds no pixels",
            expected=f"{', '.join(DATATYPES)}, or BYTES for picture files",
            found=shown(tensor.datatype, 40),
        )
    height, width, channels = picture
    forms = [picture, (height * width * channels,)]
    if channels == 1:
        forms.append((height, width))
    if tensor.shape[1:] in forms:
        return tensor.shape[0]
    if tensor.shape in forms:
        return 1
    raise WrongShape(
        "the tensor has the wrong shape",
        expected=", or ".join(f"[n, {', '.join(map(str, form))}]" for form in forms),
        found=str(list(tensor.shape))[:80],
    )


def count_files(shape: tuple[int, ...]) -> int:
    """How many picture files a tensor of bytes holds.

    Raises:
        WrongShape: Not one file for each picture.
    """
    if not shape or set(shape[1:]) - {1}:
        raise WrongShape(
            "the tensor has the wrong shape",
            expected="[n] or [n, 1] for n picture files",
            found=str(list(shape))[:80],
        )
    return shape[0]


def numbers_of(tensor: Tensor, count: int, unit: bool) -> NDArray[np.uint8]:
    """Pixels from a tensor of `count` numbers, in one row."""
    unit = unit and tensor.datatype.startswith(("FP", "BF"))
    if not isinstance(tensor.data, memoryview):
        values = flatten(tensor.data, count) if isinstance(tensor.data, list) else tensor.data
        if len(values) != count:
            raise wrong_size(f"{count:,} values", f"{len(values):,}")
        if isinstance(values, list):
            return tensors.from_list(values, unit=unit)
        return tensors.from_array(values.astype(np.float64) if unit else values, unit=unit)
    dtype = DATATYPES[tensor.datatype]
    if len(tensor.data) != count * dtype.itemsize:
        raise wrong_size(f"{count * dtype.itemsize:,} bytes", f"{len(tensor.data):,}")
    numbers = np.frombuffer(tensor.data, dtype)
    if tensor.datatype == "BF16":
        if unit:
            raise WrongShape("BF16 is too coarse for pixels / 255", expected="FP16, FP32 or FP64", found="BF16")
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return tensors.from_array(numbers, unit=unit)


def flatten(values: list[Any], count: int) -> list[Any]:
    """All values of nested lists in one: the protocol lets callers nest or not. There should be `count`."""
    while values and isinstance(values[0], list) and len(values) <= count:
        if len({len(inner) if isinstance(inner, list) else -1 for inner in values}) != 1:
            raise wrong_size("lists of equal length and depth", "others")
        values = list(chain.from_iterable(values))
    return values


def files_of(data: memoryview | list[Any] | lists.Numbers, count: int) -> list[Source]:
    """The files in a tensor of bytes. Values are base64, or objects `{"b64": …}` that hold it, or the bytes."""
    files: list[Source] = []
    if isinstance(data, np.ndarray):
        data = data.tolist()
    if isinstance(data, list):
        values = flatten(data, count)
        if len(values) != count:
            raise wrong_size(f"{count:,} elements", f"{len(values):,}")
        for value in values:
            text = value.get("b64") if isinstance(value, dict) else value
            if not isinstance(text, str | bytes):
                raise BadBody("an element of BYTES is no text", expected="base64 of a picture file")
            files.append(text)
    else:
        start = 0
        while start < len(data):
            length = int.from_bytes(data[start : start + LENGTH], "little")
            if start + LENGTH + length > len(data) or len(files) == count:
                raise wrong_size(f"{count:,} elements, each behind its length in 4 bytes", f"{len(data):,} bytes")
            files.append(bytes(data[start + LENGTH : start + LENGTH + length]))
            start += LENGTH + length
    if len(files) != count:
        raise wrong_size(f"{count:,} elements", f"{len(files):,}")
    return files


def wrong_size(expected: str, found: str) -> WrongShape:
    return WrongShape("the tensor's data do not fill its shape", expected=expected, found=found)


def fill(serving: Serving, answers: Answers, wanted: Wanted) -> tuple[dict[str, Any], NDArray[Any] | list[str]]:
    """An output without its data, and these in one row."""
    name, _, classes = wanted
    rows = answers.probabilities
    if classes:
        texts = classify(rows, serving.manifest.labels, classes)
        head = {"name": name, "datatype": "BYTES", "shape": (len(texts), len(texts[0]))}
        return head, list(chain.from_iterable(texts))
    if name == serving.manifest.output:
        return {"name": name, "datatype": "FP32", "shape": rows.shape}, rows.reshape(-1)
    if name == NOVELTY and answers.novelty is not None:
        return {"name": name, "datatype": "FP32", "shape": (len(rows), 1)}, answers.novelty
    return {"name": name, "datatype": "BOOL", "shape": (len(rows), 1)}, np.array(serving.recognized(answers), np.bool_)


def classify(rows: NDArray[np.float32], labels: tuple[str, ...], count: int) -> list[list[str]]:
    """The best classes of each picture, best first, as `value:index:label`."""
    best = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(rows, best, axis=1)
    return [
        [f"{value:.6f}:{index}:{labels[index]}" for value, index in zip(*pair, strict=True)]
        for pair in zip(values.tolist(), best.tolist(), strict=True)
    ]


def pack(elements: Iterable[bytes]) -> bytes:
    """A BYTES tensor in binary."""
    return b"".join(chain.from_iterable((len(each).to_bytes(LENGTH, "little"), each) for each in elements))


def pack_values(values: NDArray[Any] | list[str]) -> bytes:
    """The data of an output in binary."""
    return pack(map(str.encode, values)) if isinstance(values, list) else values.tobytes()


def index(standings: Iterable[Standing], *, only_ready: bool) -> list[dict[str, str]]:
    """What the repository holds."""
    listed = [
        {
            "name": each.name,
            "version": str(each.version),
            "state": "READY" if each.state == "serving" else "UNAVAILABLE",
            "reason": each.reason,
        }
        for each in standings
    ]
    return [each for each in listed if each["state"] == "READY" or not only_ready]


def sized(shape: Any) -> tuple[int, ...]:
    """A shape as it was sent.

    Raises:
        WrongShape: Not a list of a few whole numbers.
    """
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_RANK
        or not all(type(size) is int and 0 <= size < 2**63 for size in shape)
    ):
        raise WrongShape(
            "the shape is not one",
            expected=f"a list of at most {MAX_RANK} whole numbers from 0 on",
            found=shown(shape),
        )
    return tuple(shape)
