"""How much the newest shipped network reads of pictures as people have them: see `tests.handwriting`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.pictures import prepare
from tests.handwriting import KINDS, Reader, Series
from tests.service.conftest import ROOT
from training import strokes
from training.idx import load_mnist

LEAST = {"small": 0.94, "form": 0.94}
"""Share of a kind that is read, at least."""
MOSTLY = 0.96
"""Of all other kinds."""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(max((ROOT / "models" / "mnist").glob("[0-9]*"), key=lambda version: int(version.name)))


def test_the_digits_of_our_own_hand_are_read_in_all_kinds_of_pictures(reader: Reader) -> None:
    digits = strokes.golden((28, 28, 1))[..., 0]
    right = {kind: int((reader.read(digits, kind, "tuning") == np.arange(10)).sum()) for kind in KINDS}
    assert min(right.values()) >= 8, right
    assert sum(right.values()) >= 0.95 * 10 * len(KINDS), right


def test_the_example_digits_are_read_and_none_seems_strange(reader: Reader) -> None:
    opened = [Image.open(ROOT / f"examples/{digit}.png") for digit in range(10)]
    answers = reader.engine.predict(np.stack([prepare(each, reader.manifest.input) for each in opened]))
    assert answers.probabilities.argmax(axis=1).tolist() == list(range(10))
    assert answers.novelty.max() <= reader.manifest.novelty.threshold


@pytest.mark.verify
def test_the_digits_of_other_people_are_read(reader: Reader) -> None:
    assert reader.grade_others() >= MOSTLY


@pytest.mark.verify
@pytest.mark.mnist
@pytest.mark.parametrize("series", ["tuning", "kept"])
@pytest.mark.parametrize("kind", KINDS)
def test_validation_digits_are_read_in_all_kinds_of_pictures(
    kind: str, series: Series, reader: Reader, mnist_folder: Path
) -> None:
    assert reader.grade(load_mnist(mnist_folder).validation, kind, series) >= LEAST.get(kind, MOSTLY)
