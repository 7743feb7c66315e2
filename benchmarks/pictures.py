"""The pictures that every server is asked about, with the class that the shipped network finds in f32."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service import engines
from service.manifest import Manifest
from service.pictures import inspect
from training import strokes

ROOT = Path(__file__).parents[1]
VERSION = ROOT / "models" / "mnist" / "2"
CERTAIN = 0.99
"""Least probability of a picture's class: no other arithmetic turns it over, so that a wrong class is a mix-up."""


@dataclass(frozen=True)
class Pictures:
    pixels: NDArray[np.uint8]
    """(n, 28, 28, 1), light ink on black, as in MNIST."""
    classes: list[int]

    def __getitem__(self, part: slice) -> "Pictures":
        return Pictures(self.pixels[part], self.classes[part])

    def __len__(self) -> int:
        return len(self.classes)


@cache
def draw(count: int) -> Pictures:
    """So many digits of many hands, the same on every machine; cropped and centred as MNIST's are, so that
    nothing is left to prepare.
    """
    manifest = Manifest.read(VERSION)
    sheets = (
        strokes.draw(number % 10, size=(112, 112), pen=0.13, ink=255, paper=0, seed=number // 10)
        for number in range(count + count // 4)
    )
    pixels = np.stack([strokes.centred(sheet, manifest.input.shape) for sheet in sheets])
    answers = engines.load("openvino", VERSION, manifest, threads=1).predict(pixels).probabilities
    alike = [not inspect(Image.fromarray(each[..., 0]), manifest.input).prepared for each in pixels]
    certain = np.flatnonzero((answers.max(axis=1) > CERTAIN) & alike)[:count]
    if len(certain) < count:
        raise ValueError(f"the network is certain of {len(certain)} pictures only, and {count} are needed")
    return Pictures(pixels[certain], answers[certain].argmax(axis=1).tolist())
