"""A version that was never trained: its numbers are made up, and enough for every part of the page."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.manifest import Golden, Input, Manifest, Precision
from training.calibrate import Temperature, soften
from training.datasets import Part, Pixels
from training.report.comparison import write_report
from training.report.figures import measure_figures

LABELS = ("cat & dog", "<b>fish</b>", "bird")
PICTURES = np.zeros((90, 12, 12, 1), np.uint8)
LABELLED = np.tile(np.arange(3, dtype=np.uint8), 30)
PICTURES[np.arange(90), LABELLED * 4] = 250  # a bar whose height says the class
PICTURES[:8] = np.roll(PICTURES[:8], 4, axis=1)  # and eight that mislead
PART = Part(PICTURES, LABELLED)
CURVES = [
    {
        "epoch": epoch,
        "rate": 0.001,
        "loss": 1 / epoch,
        "accuracy": 1 - 0.5 / epoch,
        "validation_loss": 0.5 / epoch,
        "validation_accuracy": 1 - 0.2 / epoch,
        "seconds": 2.0,
    }
    for epoch in range(1, 13)
]


def predict(pictures: Pixels) -> np.ndarray:
    """Probabilities by where the light is."""
    light = np.stack([pictures[:, start : start + 4].mean(axis=(1, 2, 3)) for start in (0, 4, 8)], axis=1)
    return soften(np.maximum(light, 1) / np.maximum(light, 1).sum(axis=1, keepdims=True), 0.8)


@pytest.fixture
def manifest() -> Manifest:
    golden = tuple(Golden(picture.tobytes(), tuple(predict(picture[None])[0])) for picture in PICTURES[-3:])
    return Manifest(
        name="signs",
        version=1,
        created="2026-11-21T09:06:20+00:00",
        input=Input(name="image", shape=(12, 12, 1)),
        labels=LABELS,
        parameters=1234,
        accuracy={"validation": 0.9, "test": 0.9},
        golden=golden,
        files={"int8/network.xml": "ab" * 32},
        precisions={"f32": Precision(0.9, 0.9, 0, 0), "int8": Precision(0.9, 0.91, 0.001, 0.1, "int8/network.xml")},
        training={
            "data": {"name": "signs", "source": "a folder", "licence": "ours", "sha256": {"train": "ab" * 32}}
            | {"split_seed": 1, "validation": 90, "training": 100, "test": 90},
            "seed": 7,
            "epochs": 12,
            "seconds": 24.0,
            "temperature": 1.2,
            "recipe": {"name": "standard", "dropout": (0.25, 0.5)},
            "versions": {"python": "3.11"},
        },
    )


@pytest.fixture
def report() -> dict[str, Any]:
    figures = measure_figures(predict, {"validation": PART, "test": PART}, LABELS, Temperature(1.2, 0.05))
    return {"classes": LABELS, "best_epoch": 9, "curves": CURVES, "before": None, **asdict(figures)}


def write_version(model: Path, manifest: Manifest, report: dict[str, Any], version: int) -> Path:
    """A folder with the two files that a report is drawn from."""
    folder = model / str(version)
    folder.mkdir(parents=True)
    replace(manifest, version=version).write(folder)
    write_report(folder, report)
    return folder
