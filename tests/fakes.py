"""Small real stand-ins: engines whose answers depend on the pixels, and one that waits until it is told to go on."""

import threading

import numpy as np
from numpy.typing import NDArray


class Reader:
    """Answers by reading a number off the first pixels of each picture: a mix-up of two callers shows at once.

    The number n is in the first two pixels; class n % 10 gets the probability 1, and the next class n / 65536, so that
    every picture has an answer of its own.
    """

    name = "reader"
    precision = "f32"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(pixels))
        numbers = pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 1, 0]
        answers = np.zeros((len(pixels), 10), np.float32)
        answers[np.arange(len(pixels)), (numbers + 1) % 10] = numbers / 65536
        answers[np.arange(len(pixels)), numbers % 10] = 1
        return answers


class Gated(Reader):
    """Computes nothing until `go` is set; `started` says that it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.go = threading.Event()

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.started.set()
        assert self.go.wait(30)
        return super().predict(pixels)


class Failing(Reader):
    """Raises on every batch that holds the picture 666."""

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
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
    return Reader().predict(picture(number)[None])[0]
