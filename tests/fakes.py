"""Small real stand-ins: engines whose answers depend on the pixels, and one that waits until it is told to go on."""

import copy
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino.opset13 as opset
from numpy.typing import NDArray

from service.board import Board
from service.engines import Answers
from service.manifest import Golden, Input, Manifest, Novelty, digest

NOVELTY = "novelty/network.xml"


class Reader:
    """Answers by reading a number off the first pixels of each picture: a mix-up of two callers shows at once.

    The number n is in the first two pixels; class n % 10 gets the probability 1, and the next class n / 65536, so that
    every picture has an answer of its own.
    """

    name = "reader"
    precision = "f32"
    warm = True

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        self.batches.append(len(pixels))
        numbers = pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0]
        answers = np.zeros((len(pixels), 10), np.float32)
        answers[np.arange(len(pixels)), (numbers + 1) % 10] = numbers / 65536
        answers[np.arange(len(pixels)), numbers % 10] = 1
        return Answers(answers)


class Wary(Reader):
    """Tells novelty as well: the picture n scores n / 1000."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        numbers = pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0]
        return super().predict(pixels)._replace(novelty=(numbers / 1000).astype(np.float32))


class Gated(Reader):
    """Computes nothing until `go` is set; `started` says that it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.go = threading.Event()

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        self.started.set()
        assert self.go.wait(30)
        return super().predict(pixels)


class Failing(Reader):
    """Raises on every batch that holds the picture 666."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        if (pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0] == 666).any():
            raise RuntimeError("a secret of the network")
        return super().predict(pixels)


def picture(number: int) -> NDArray[np.uint8]:
    """The picture that `Reader` reads as this number: (28, 28, 1)."""
    pixels = np.zeros((28, 28, 1), np.uint8)
    pixels[0, 0, 0], pixels[0, 1, 0] = divmod(number, 256)
    return pixels


def answer_to(number: int) -> NDArray[np.float32]:
    """What `Reader` answers to `picture(number)`."""
    row: NDArray[np.float32] = Reader().predict(picture(number)[None]).probabilities[0]
    return row


def tell_novelty(folder: Path, threshold: float, axes: tuple[int, ...] = (1, 2, 3)) -> None:
    """Give a version a novelty network whose score is a picture's mean brightness, and say so in its manifest."""
    manifest = Manifest.read(folder)
    pixels = opset.parameter([-1, *manifest.input.shape], openvino.Type.u8)
    light = opset.divide(opset.convert(pixels, "f32"), np.float32(255))
    scores = opset.unsqueeze(opset.reduce_mean(light, axes), -1)
    (folder / NOVELTY).parent.mkdir()
    openvino.save_model(openvino.Model([scores], [pixels]), folder / NOVELTY, compress_to_fp16=False)
    written = {path.relative_to(folder).as_posix(): digest(path) for path in (folder / NOVELTY).parent.iterdir()}
    novelty = Novelty(NOVELTY, threshold, {"validation": 0.01})
    replace(manifest, novelty=novelty, files={**manifest.files, **written}).write(folder)


class Store:
    """A folder with models whose networks are fakes: version folders that are whole, made in a millisecond."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.engines: dict[str, Reader] = {}
        """What a version's folder is loaded as, by `<name>/<version>`; others are a `Reader`."""
        self.loads: list[str] = []

    def add(self, version: int, name: str = "mnist", labels: tuple[str, ...] = tuple("0123456789")) -> Path:
        """A whole version."""
        folder = self.root / name / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"{name} {version}")
        Manifest(
            name=name,
            version=version,
            created="2026-01-01T00:00:00+00:00",
            input=Input("image", (28, 28, 1)),
            labels=labels,
            parameters=1,
            accuracy={},
            golden=(Golden(picture(3).tobytes(), tuple(answer_to(3).tolist())),),
            files={"saved_model.pb": digest(folder / "saved_model.pb")},
        ).write(folder)
        return folder

    def policy(self, text: str | dict[str, Any], name: str = "mnist") -> None:
        """Write a policy as people do."""
        path = self.root / name / "policy.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))

    def load(
        self, engine: str, folder: Path, manifest: Manifest, threads: int, precision: str, *, spare: int, at_once: bool
    ) -> Reader:
        """In the place of `engines.load`."""
        key = f"{manifest.name}/{manifest.version}"
        self.loads.append(key)
        return self.engines.get(key) or Reader()


def on(board: Board, slot: int) -> Board:
    """The same board, as another worker has it."""
    another = copy.copy(board)
    another.take(slot)
    return another
