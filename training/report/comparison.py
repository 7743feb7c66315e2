"""A version beside the one before it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.errors import BadManifest
from service.manifest import VERSION, Manifest

FILE = "report.json"


def read_report(folder: Path) -> dict[str, Any]:
    """A version's `report.json`; empty where there is none that can be read."""
    try:
        report = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `folder`/report.json."""
    (folder / FILE).write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def find_before(model: Path, version: float = float("inf")) -> Path | None:
    """The newest version in `model` that is older than `version`; none before the first."""
    older = [path for path in model.iterdir() if VERSION.fullmatch(path.name) and int(path.name) < version]
    return max(older, key=lambda path: int(path.name), default=None)


def compare(report: Mapping[str, Any], manifest: Manifest, before: Path | None) -> dict[str, Any] | None:
    """What became better and worse since the version before.

    Args:
        report: Of the version, as it stands in `report.json`.
        manifest: Of the version.
        before: Folder of the version before.

    Returns:
        None where there is none that was measured, or one of other classes. Else its `version`, and of its report
        `validation`, `test` and `calibration` as far as they are there; `same_pictures`: whether both were measured on
        the same ones. If so, its `stress`, which test pictures are `newly_right` and `newly_wrong`, and how many are
        `still_wrong`.
    """
    earlier = read_report(before) if before else {}
    try:
        told = Manifest.read(before) if before and "test" in earlier else None
    except BadManifest:
        told = None
    if told is None or told.labels != manifest.labels:
        return None
    kept: dict[str, Any] = {"version": told.version, "same_pictures": name_pictures(told) == name_pictures(manifest)}
    for part in ("validation", "test"):
        kept[part] = {
            name: earlier[part][name]
            for name in ("accuracy", "loss", "squared_error", "per_class")
            if name in earlier[part]
        }
    if "calibration" in earlier:
        kept["calibration"] = {part: earlier["calibration"][part]["after"]["error"] for part in ("validation", "test")}
    if kept["same_pictures"]:
        kept |= {"stress": earlier["stress"]} if "stress" in earlier else {}
        kept |= compare_mistakes(report["test"]["wrong"], earlier["test"].get("wrong"))
    return kept


def compare_mistakes(now: list[int], then: list[int] | None) -> dict[str, Any]:
    """Test pictures whose answers changed sides; nothing where the version before did not list its mistakes."""
    if then is None:
        return {}
    return {
        "newly_right": sorted(set(then) - set(now)),
        "newly_wrong": sorted(set(now) - set(then)),
        "still_wrong": len(set(now) & set(then)),
    }


def name_pictures(manifest: Manifest) -> dict[str, Any]:
    """What decides which pictures a version was measured on."""
    data = manifest.training.get("data", {})
    told = {name: data.get(name) for name in ("sha256", "split_seed", "validation", "test")}
    return {**told, "preparation": manifest.input.preparation}
