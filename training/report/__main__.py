"""python -m training.report: draw a version's report anew; measure it anew; draw its worst mistakes."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from service import engines
from service.errors import ServiceError
from service.manifest import Manifest
from training.calibrate import Temperature
from training.datasets import Dataset
from training.errors import TrainingError
from training.idx import MNIST
from training.report.comparison import compare, find_before, read_report, write_report
from training.report.figures import measure_figures, tell
from training.report.page import FILE, pick_worst, write_page
from training.sources import load


def main(argv: list[str] | None = None) -> int:
    """Write a version's report. Prints the path of the page.

    Args:
        argv: Flags; those of the process if none are given.

    Returns:
        0, 1 for failure, 2 for wrong usage.
    """
    try:
        flags = read_flags(argv)
    except SystemExit as stop:  # how argparse ends, having said why
        return int(stop.code or 0)
    try:
        print(run(flags))
    except (TrainingError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def read_flags(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.report", description="Draw the report.html of a version from its report.json."
    )
    data = os.environ.get("CONVOLVE_DATA")
    parser.add_argument("version", type=Path, help="folder of the version, such as models/mnist/1")
    parser.add_argument("--measure", action="store_true", help="measure it anew before, and rewrite report.json")
    parser.add_argument(
        "--pictures", type=Path, metavar="FILE", help="draw the worst mistakes as well, and write to FILE instead"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(data) if data else None,
        metavar="DIR",
        help="the data set, which measuring and drawing pictures need, and any report with pictures of your own "
        "(CONVOLVE_DATA; default: download MNIST)",
    )
    return parser.parse_args(argv)


def run(flags: argparse.Namespace) -> Path:
    """What the flags ask for. Returns the path of the page.

    Raises:
        TrainingError: The data is not what the version was trained on; or it has no list of mistakes to draw.
    """
    manifest = Manifest.read(flags.version)
    told = manifest.name, manifest.input.preparation
    learnt = manifest.training.get("data", {})
    own = "sha256" in learnt and learnt["sha256"] != {idx.name: idx.sha256 for idx in MNIST}
    data = None
    try:
        if own and flags.data is None:
            raise TrainingError(f"{flags.version} was trained on {learnt['name']}; say where that is with --data")
        if own or flags.measure or flags.pictures:
            data = load(flags.data, *told)
            check_data(flags.version, manifest, data)
    except TrainingError as error:
        if flags.measure or flags.pictures:
            raise
        data = None
        print(f"Drawn without the pictures of its mistakes: {error}", file=sys.stderr)
    if data and flags.measure:
        write_report(flags.version, measure_again(flags.version, manifest, data))
    report = read_report(flags.version)
    if "test" not in report:
        raise TrainingError(f"{flags.version} has no whole report.json: write one with --measure")
    pictures = pick_worst(report, data.test) if data and (flags.pictures or data.shareable) else None
    write_page(flags.version, pictures, file=flags.pictures)
    page: Path = flags.pictures or flags.version / FILE
    return page


def check_data(folder: Path, manifest: Manifest, data: Dataset) -> None:
    """See that `data` is what the version was trained on.

    Raises:
        TrainingError: It is not.
    """
    told = manifest.training["data"]
    if told["sha256"] != data.digests:
        raise TrainingError(f"{folder} was trained on {told['name']} of other files; say where they are with --data")


def measure_again(folder: Path, manifest: Manifest, data: Dataset) -> dict[str, Any]:
    """A version's report, with all that is measured on a finished network measured anew, in f32."""
    engine = engines.load("openvino", folder, manifest, os.cpu_count() or 1)
    report = read_report(folder)
    error = report.get("calibration", {}).get("error", 0.0)
    temperature = Temperature(manifest.training.get("temperature", 1.0), error)
    parts = {"validation": data.validation, "test": data.test}
    figures = measure_figures(
        lambda pictures: engine.predict(pictures).probabilities, parts, manifest.labels, temperature
    )
    report |= tell(figures, data)
    report["before"] = compare(report, manifest, find_before(folder.resolve().parent, manifest.version))
    return report


if __name__ == "__main__":
    sys.exit(main())
