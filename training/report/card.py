"""The model card: what a version is for, and where it ends."""

from collections.abc import Mapping
from typing import Any

from service.manifest import Manifest
from training.evaluate import interval
from training.idx import MNIST
from training.report.charts import say_percent
from training.report.stress import STRESSES

ENOUGH = 0.95
"""Share of right answers below which a change counts as too much."""
MNIST_WRITTEN = (
    "MNIST was written in the United States around 1990, by staff of the Census Bureau and by pupils: sevens with "
    "a bar, ones with a long upstroke, and the digits of other scripts are rare in it or absent."
)


def tell_purpose(manifest: Manifest) -> list[str]:
    """What it does; what goes in and what comes out."""
    height, width, channels = manifest.input.shape
    # Each between isolates, so that names in scripts that run to the left stand in their order.
    names = ", ".join(f"\u2068{label}\u2069" for label in manifest.labels[:12]) + (
        ", …" if len(manifest.labels) > 12 else ""
    )
    light = ", light on dark" if manifest.input.polarity == "light-on-dark" else ""
    return [
        f"Tells which of {len(manifest.labels)} classes a picture shows: {names}.",
        f"Takes {height} × {width} {'grey' if channels == 1 else 'coloured'} pixels{light}; picture files are prepared "
        "to look like that. Answers with a probability for each class.",
    ]


def tell_limits(manifest: Manifest, report: Mapping[str, Any]) -> list[str]:
    """What it can not do, as far as that is known or was measured."""
    test = report["test"]
    low, high = interval(test["accuracy"], test["pictures"])
    limits = [
        "One subject, about the middle of the picture. Every picture is given one of the classes, also one that shows "
        f"none of them{'; most of those are marked as not recognized' if manifest.novelty else ''}.",
        f"{100 * low:.2f}\u202f% to {100 * high:.2f}\u202f% is what the test set promises for pictures of its "
        "own kind; other people, pens and cameras were no part of it.",
    ]
    if manifest.training.get("data", {}).get("sha256") == {idx.name: idx.sha256 for idx in MNIST}:
        limits.append(MNIST_WRITTEN)
    bounds = [words for name, curve in report.get("stress", {}).items() for words in tell_bounds(name, curve)]
    if report["validation"]["accuracy"] < ENOUGH:  # unchanged ones are what is changed
        return [*limits, f"Fewer than {say_percent(ENOUGH)} of the validation pictures right as they are."]
    return [*limits, f"Fewer than {say_percent(ENOUGH)} right, as measured: {', '.join(bounds)}."] if bounds else limits


def tell_bounds(name: str, curve: list[dict[str, float]]) -> list[str]:
    """From which amounts on a change is too much, on either side of none: `moved by 5 pixels`."""
    stress = STRESSES[name]
    below = [point["amount"] for point in curve if point["accuracy"] < ENOUGH and point["amount"] < stress.none]
    above = [point["amount"] for point in curve if point["accuracy"] < ENOUGH and point["amount"] > stress.none]
    alike = stress.less == stress.more and not (below and above and -max(below) == min(above))
    left, right = (" to the left", " to the right") if alike else ("", "")
    told = [stress.less.format(abs(max(below))) + left] if below else []
    told += [stress.more.format(min(above)) + right] if above else []
    return list(
        dict.fromkeys(words.replace("%", "\u202f%").replace(" 1 pixels", " 1 pixel") for words in told)
    )  # as far to the left as to the right is said once
