"""What the newest shipped version flags of pictures that show no digit. See `strangers.py`."""

from pathlib import Path

import pytest

from service.manifest import Manifest
from tests.training.strangers import grade

pytestmark = pytest.mark.verify

MODEL = Path(__file__).parents[2] / "models" / "mnist"
LEAST = {
    "blank": 0.95,
    "noise": 0.95,
    "text": 0.95,
    "printed letters": 0.8,
    "handwritten letters": 0.8,
    "drawings": 0.9,
    "photographs": 0.9,
}


def test_strangers_are_flagged() -> None:
    version = max((path for path in MODEL.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    novelty = Manifest.read(version).novelty
    if novelty is None:
        pytest.skip(f"{version.name} does not tell what is unlike its training pictures")
    assert novelty.flagged["validation"] <= 0.01
    shares = dict(grade(version, []))
    assert {kind: share for kind, share in shares.items() if share < LEAST[kind]} == {}
