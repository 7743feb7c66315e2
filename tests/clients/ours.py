"""What our own route says, for the clients of others to be compared with. Standard library only.

A script is called with the service's address, that of its gRPC, and the repository's folder. The admin token is in the
environment.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

URL, GRPC, ROOT = sys.argv[1:4]
ADMIN = {"authorization": f"Bearer {os.environ['CONVOLVE_ADMIN_TOKEN']}"}
ADDRESS = URL.removeprefix("http://")
SEVEN = (Path(ROOT) / "examples" / "seven.png").read_bytes()


def predict(body: bytes, kind: str = "image/png") -> list[list[float]]:
    """Probabilities of every picture in a body."""
    request = urllib.request.Request(f"{URL}/predict", body, {"content-type": kind})
    with urllib.request.urlopen(request) as answer:
        return [each["probabilities"] for each in json.load(answer)["predictions"]]


def golden() -> list[list[int]]:
    """Pictures as the network sees them, each 784 numbers."""
    import base64

    manifest = json.loads((Path(ROOT) / "models" / "mnist" / "1" / "manifest.json").read_text())
    return [list(base64.b64decode(each["pixels"])) for each in manifest["golden"]]


def same(found: Any, expected: list[list[float]]) -> None:
    """Fail unless two lists of probabilities agree."""
    rows = [[float(value) for value in row] for row in found]
    assert len(rows) == len(expected), (len(rows), len(expected))
    for row, right in zip(rows, expected, strict=True):
        assert len(row) == len(right)
        assert max(abs(a - b) for a, b in zip(row, right, strict=True)) < 1e-5, (row, right)


PIXELS = golden()
OF_SEVEN = predict(SEVEN)
OF_PIXELS = predict(json.dumps({"images": PIXELS}).encode(), "application/json")
