"""How much the newest shipped network reads of pictures as people have them: see `tests.handwriting`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service import engines, pictures
from service.manifest import Manifest
from tests import handwriting
from tests.handwriting import KINDS, Series
from tests.service.conftest import ROOT
from training import strokes
from training.idx import load_mnist

Read = Callable[[NDArray[np.uint8], str, Series], NDArray[np.int64]]

LEAST = {"table": 0.88, "small": 0.83, "form": 0.94}
"""Share of a kind that is read, at least."""
MOSTLY = 0.96
"""Of all other kinds."""


@pytest.fixture(scope="module")
def read() -> Read:
    """The classes found for digits, uint8 (n, 28, 28), as pictures of a kind."""
    folder = max((ROOT / "models" / "mnist").glob("[0-9]*"), key=lambda version: int(version.name))
    manifest = Manifest.read(folder)
    engine = engines.load("openvino", folder, manifest, 1)

    def read(digits: NDArray[np.uint8], kind: str, series: Series) -> NDArray[np.int64]:
        files = (
            pictures.open_picture(file, max_pixels=2_000_000) for file in handwriting.pictures(digits, kind, series)
        )
        prepared = np.stack([pictures.prepare(file, manifest.input) for file in files])
        return engine.predict(prepared).probabilities.argmax(axis=1)

    return read


def test_the_digits_of_our_own_hand_are_read_in_all_kinds_of_pictures(read: Read) -> None:
    digits = strokes.golden((28, 28, 1))[..., 0]
    right = {kind: int((read(digits, kind, "tuning") == np.arange(10)).sum()) for kind in KINDS}
    assert min(right.values()) >= 8, right
    assert sum(right.values()) >= 0.95 * 10 * len(KINDS), right


@pytest.mark.verify
@pytest.mark.mnist
@pytest.mark.parametrize("series", ["tuning", "kept"])
@pytest.mark.parametrize("kind", KINDS)
def test_validation_digits_are_read_in_all_kinds_of_pictures(
    kind: str, series: Series, read: Read, mnist_folder: Path
) -> None:
    validation = load_mnist(mnist_folder).validation
    some = np.random.default_rng(7).choice(len(validation), 150, replace=False)
    right = read(validation.pictures[some, ..., 0], kind, series) == validation.labels[some]
    assert right.mean() >= LEAST.get(kind, MOSTLY)
