"""`report.html`: one file that draws what `report.json` and `manifest.json` say. Loads nothing, prints well."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from service.manifest import Manifest
from training.datasets import Part, Pixels
from training.evaluate import interval
from training.report.card import tell_limits, tell_purpose
from training.report.charts import Chart, Line, draw_lines, draw_reliability, find_ticks
from training.report.comparison import read_report
from training.report.stress import PICTURES, STRESSES

FILE = "report.html"
MATRIX = 24
"""Classes up to which the whole confusion matrix is shown; beyond, its greatest entries."""
COMMONEST = 8
"""Confusions that are listed beside the whole matrix, at most."""
ROWS = 40
"""Classes, and confusions where there is no matrix, that are listed at most."""
LEVELS = 4
"""Shades of the confusion matrix."""
WAYS = ("now", "then", "also")
"""Styles of the lines that show ways of starting."""
NAMES = {
    "one_ms": "one picture, ms",
    "batch_ms": "one batch, ms",
    "batch": "pictures in a batch",
    "seconds": "all epochs took",
}
"""What keys are called that say too little by themselves."""


def write_page(folder: Path, pictures: Mapping[int, Pixels] | None = None, *, file: Path | None = None) -> None:
    """Draw a version's report.

    Args:
        folder: With `manifest.json` and `report.json`.
        pictures: Test pictures by their place in the test part, to show the worst mistakes with.
        file: Where it goes, if not to `folder`/report.html.

    Raises:
        BadManifest: There is no manifest to be read.
    """
    page = draw_page(Manifest.read(folder), read_report(folder), pictures)
    (file or folder / FILE).write_text(page, encoding="utf-8")


def pick_worst(report: Mapping[str, Any], test: Part) -> dict[int, Pixels]:
    """The pictures of the worst mistakes, by their place in the test part."""
    return {mistake["picture"]: test.pictures[mistake["picture"]] for mistake in report["test"]["worst"]}


def draw_page(manifest: Manifest, report: Mapping[str, Any], pictures: Mapping[int, Pixels] | None = None) -> str:
    """The page as HTML. Parts that `report` has no numbers for are left out."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": say_share, "number": say_number, "duration": say_duration, "called": say_name}
    test, labels, taught = report["test"], manifest.labels, manifest.training["recipe"].get("taught", False)
    return environment.get_template("report.html.jinja").render(
        manifest=manifest,
        report=report,
        before=report.get("before"),
        pictures={place: embed(pixels) for place, pixels in (pictures or {}).items()},
        purpose=tell_purpose(manifest),
        limits=tell_limits(manifest, report),
        golden=[
            (
                embed(np.frombuffer(each.pixels, np.uint8).reshape(manifest.input.shape)),
                labels[np.argmax(each.probabilities)],
            )
            for each in manifest.golden
        ],
        interval=interval(test["accuracy"], test["pictures"]),
        taught=taught,
        curves=draw_curves(report.get("curves", []), report.get("best_epoch", 0), taught=taught),
        classes=list_classes(labels, report),
        matrix=shade(test["confusion"]) if len(labels) <= MATRIX else None,
        confusions=list_confusions(labels, test["confusion"]),
        reliability=draw_reliabilities(report.get("calibration")),
        stress=draw_stresses(report.get("stress", {}), report.get("before") or {}),
        stress_pictures=PICTURES,
        transfer=draw_transfer(report.get("transfer")),
        style=Path(__file__).with_name("style.css").read_text(encoding="utf-8"),
    )


def say_name(key: str) -> str:
    """What a key of the report or the manifest is called."""
    return NAMES.get(key, key.replace("_", " "))


def say_share(share: float, digits: int = 2) -> str:
    """0.9952 → 99.52 %, with a narrow space that does not break."""
    return f"{100 * share:.{digits}f}\u202f%"


def say_number(value: Any, digits: int = 4) -> str:
    """Numbers as people read them; anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.{digits}g}"
    if isinstance(value, list | tuple):
        return ", ".join(say_number(each) for each in value)
    return str(value)


def say_duration(seconds: float) -> str:
    """754 → 12 min 34 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def embed(pixels: Pixels) -> str:
    """One picture (height, width, 1 or 3) as a PNG in a data address."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def draw_curves(curves: list[dict[str, float]], best_epoch: int, *, taught: bool) -> list[Chart]:
    """Loss and mistakes, epoch by epoch, both by factors: the last tenths are what a run is about.

    What a network loses on its teacher's softened answers is of another kind and size than on labels, and not drawn.
    """
    if len(curves) < 2:
        return []
    drawn = (("training", "then", ""), ("validation", "now", "validation_"))
    loss = [
        Line(name, style, [(point["epoch"], point[f"{kind}loss"]) for point in curves])
        for name, style, kind in (drawn[1:] if taught else drawn)
    ]
    wrong = [
        Line(name, style, [(point["epoch"], 1 - point[f"{kind}accuracy"]) for point in curves])
        for name, style, kind in drawn
    ]
    mark = (float(best_epoch), f"kept: epoch {best_epoch}")
    epochs = [tick for tick in find_ticks(1, max(2, len(curves))) if tick == int(tick)]
    return [
        draw_lines("Loss by epoch", loss, x_label="epoch", x_ticks=epochs, log=True, mark=mark),
        draw_lines("Mistakes by epoch", wrong, x_label="epoch", x_ticks=epochs, log=True, percent=True, mark=mark),
    ]


def list_classes(labels: tuple[str, ...], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each class; of very many, those with the most mistakes."""
    measured, learnt = report["test"], report.get("learnt", {})
    before = (report.get("before") or {}).get("test", {}).get("per_class", {})
    rows: list[dict[str, Any]] = []
    for label, counts in zip(labels, measured["confusion"], strict=True):
        accuracy, then = measured["per_class"].get(label), before.get(label)
        rows.append(
            {
                "label": label,
                "learnt": learnt.get(label),
                "pictures": sum(counts),
                "accuracy": accuracy,
                "wrong": sum(counts) - counts[len(rows)],
                "change": None if accuracy is None or then is None else accuracy - then,
            }
        )
    widest = max((1 - row["accuracy"] for row in rows if row["pictures"]), default=0) or 1
    for row in rows:
        row["bar"] = round(100 * (1 - row["accuracy"]) / widest, 1) if row["pictures"] else 0
    return rows if len(rows) <= ROWS else sorted(rows, key=lambda row: (-row["wrong"], -row["bar"]))[:ROWS]


def shade(confusion: list[list[int]]) -> list[list[tuple[int, int]]]:
    """Each entry with its shade from 0 to `LEVELS`, by how often that confusion happens beside the worst one."""
    counts = np.array(confusion)
    most = int((counts - np.diag(counts.diagonal())).max()) or 1
    shades = np.ceil(LEVELS * np.sqrt(np.minimum(counts, most) / most)).astype(int)
    return [list(zip(row, levels, strict=True)) for row, levels in zip(confusion, shades.tolist(), strict=True)]


def list_confusions(labels: tuple[str, ...], confusion: list[list[int]]) -> list[tuple[str, str, int]]:
    """True class, answer and number of the confusions, commonest first."""
    least, most = (2, COMMONEST) if len(labels) <= MATRIX else (1, ROWS)  # beside the matrix, a single one is noise
    found = [
        (labels[truth], labels[answer], count)
        for truth, row in enumerate(confusion)
        for answer, count in enumerate(row)
        if truth != answer and count >= least
    ]
    return sorted(found, key=lambda entry: -entry[2])[:most]


def draw_reliabilities(calibration: Mapping[str, Any] | None) -> list[tuple[str, float, Chart]]:
    """Before and after, on the test part: heading, calibration error and drawing."""
    if not calibration:
        return []
    test = calibration["test"]
    folded = calibration["temperature"] != 1
    shown = [("Before", "before"), ("After", "after")] if folded else [("As trained", "after")]
    return [
        (heading, test[name]["error"], draw_reliability(f"Reliability, {heading.lower()}", test[name]["bins"]))
        for heading, name in shown
    ]


def draw_stresses(stress: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, Chart]]:
    """One drawing for each change, with the version before below where it was measured on the same pictures."""
    charts = []
    for name, curve in stress.items():
        lines = [
            Line(f"version {before['version']}", "then", [(point["amount"], point["accuracy"]) for point in earlier])
            for earlier in [before.get("stress", {}).get(name)]
            if earlier
        ]
        lines.append(Line("this version", "now", [(point["amount"], point["accuracy"]) for point in curve]))
        unit = STRESSES[name].unit if name in STRESSES else ""
        chart = draw_lines(f"Accuracy under {name}", lines, x_label=unit, percent=True, limits=(0, 1), size=(320, 220))
        charts.append((name, chart))
    return charts


def draw_transfer(transfer: Mapping[str, Any] | None) -> Chart | None:
    """Accuracy on the validation set over pictures a class: one line for each way of starting, the run's own first."""
    if not transfer or not transfer["rows"]:
        return None
    rows = transfer["rows"]
    ways = [way for way in rows[0] if way != "pictures"]
    lines = [
        Line(way.replace("_", " "), style, [(row["pictures"], row[way]) for row in rows])
        for way, style in zip(ways, WAYS, strict=False)
    ]
    return draw_lines(
        "Accuracy over pictures a class",
        lines,
        x_label="pictures a class",
        percent=True,
        log_x=True,
        x_ticks=[row["pictures"] for row in rows],
    )
