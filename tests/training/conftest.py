from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from training import strokes
from training.config import RECIPES, Config
from training.datasets import Dataset, Part

SHAPE = (28, 28, 1)

if find_spec("tensorflow") is None:
    # They import it at their top; all of them carry the marker `tensorflow`.
    collect_ignore = [f"test_{name}.py" for name in ("agreement", "export", "main", "network", "train", "transfer")]


def draw_part(hands: range) -> Part:
    """Ten digits by each hand, drawn as the network sees them."""
    sheets = [
        strokes.draw(digit, size=SHAPE[:2], height=0.7, ink=255, paper=0, seed=hand)
        for hand in hands
        for digit in range(10)
    ]
    pictures = np.stack([np.asarray(sheet, np.uint8) for sheet in sheets])[..., np.newaxis]
    return Part(pictures, np.tile(np.arange(10, dtype=np.uint8), len(hands)))


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """60 pictures to learn, 10 to choose by and 20 to test: enough for the steps of a run, and done in a moment."""
    return Dataset(
        name="tiny",
        source="pen strokes",
        licence="MIT",
        digests={},
        classes=tuple("0123456789"),
        train=draw_part(range(6)),
        validation=draw_part(range(8, 9)),
        test=draw_part(range(6, 8)),
    )


def make_config(folder: Path) -> Config:
    """Four epochs of four steps, the last step smaller than the others; everything is written under `folder`."""
    return Config(
        recipe=replace(RECIPES["standard"], epochs=4, batch=16),
        recipe_name="standard",
        name="tiny",
        seed=1,
        data=None,
        models=folder / "models",
        runs=folder / "runs",
    )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path)
