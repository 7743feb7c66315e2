"""Rows → SVG."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks.contestants import PLAIN, US
from benchmarks.tables import LIMITS, Line, medians, points
from benchmarks.visits import Row

mpl.rcParams.update({"svg.hashsalt": "convolve", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False})
OURS, OTHERS = "#1668b8", "#b8bec6"
BARS = ("PNG file, 32 callers", "784 numbers in JSON, 32 callers", "64 pictures in one JSON request")
"""Lines that are drawn, by a part of their title."""
PANELS = ("callers", "pictures in one request", "megapixels of the picture", "models loaded")


def bars(lines: Sequence[Line], path: Path) -> None:
    """A panel for each of the main lines, a bar for each server."""
    chosen = [line for part in BARS for line in lines if part in line.title]
    figure, axes = plt.subplots(1, len(BARS), figsize=(11, 3), squeeze=False, constrained_layout=True)
    for axis, line in zip(axes[0], chosen, strict=False):
        values = sorted((median(each), name) for name, each in line.values.items() if name not in LIMITS)
        colours = [OURS if name == US else OTHERS for _, name in values]
        drawn = axis.barh([name for _, name in values], [value for value, _ in values], color=colours)
        axis.bar_label(drawn, fmt="{:,.0f}", padding=2)
        axis.set_title(line.title, fontsize=7)
        axis.spines["right"].set_visible(False)
        axis.set_xticks([])
        axis.margins(x=0.18)
    save(figure, path)


def variants(rows: Sequence[Row], path: Path) -> None:
    """Requests/s of each of our variants against the callers, PNG."""
    figure, axis = plt.subplots(figsize=(6, 3), constrained_layout=True)
    runs = [row for row in rows if row["kind"] == "run" and row["work"] == "png" and row["contestant"] != PLAIN.name]
    for name in dict.fromkeys(row["contestant"] for row in runs):
        callers = sorted({row["callers"] for row in runs if row["contestant"] == name})
        rates = [medians(runs, "rate", contestant=name, callers=count).get(name, 0) for count in callers]
        axis.plot(callers, rates, "o-", label=name, lw=1.2, ms=3)
    axis.set(xlabel="callers", ylabel="requests/s", ylim=(0, None))
    axis.legend(frameon=False)
    save(figure, path)


def curves(rows: Sequence[Row], path: Path) -> None:
    """Four panels: pictures/s on the left axis, p50 and p99 on the right one, all to the logarithm."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), constrained_layout=True)
    grown = points(rows)
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        curve = grown.get(panel, [])
        x = [point.x for point in curve]
        axis.plot(x, [point.rate for point in curve], "o-", color=OURS, label="pictures/s")
        axis.set(xlabel=panel, ylabel="pictures/s", xscale="log", yscale="log")
        axis.set_xticks(x, [f"{value:.2g}" if value < 1 else f"{value:.0f}" for value in x])
        axis.xaxis.minorticks_off()
        right = axis.twinx()
        right.plot(x, [point.p50_ms for point in curve], "--", color="#666", label="p50")
        right.plot(x, [point.p99_ms for point in curve], ":", color="#666", label="p99")
        right.set(ylabel="ms", yscale="log")
        handles = [*axis.get_lines(), *right.get_lines()]
    # One for all, where no line can lie behind it.
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
