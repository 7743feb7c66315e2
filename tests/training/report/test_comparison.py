from dataclasses import replace
from pathlib import Path
from typing import Any

from service.manifest import Manifest
from tests.training.report.conftest import write_version
from training.report.comparison import compare, find_before


def test_the_version_before_is_the_newest_older_one(tmp_path: Path) -> None:
    assert find_before(tmp_path) is None
    for name in ("1", "9", "10", "notes", ".draft"):
        (tmp_path / name).mkdir()
    assert find_before(tmp_path) == tmp_path / "10"
    assert find_before(tmp_path, 10) == tmp_path / "9"
    assert find_before(tmp_path, 1) is None
    (tmp_path / "1700000000").mkdir()  # which the server does not see
    assert find_before(tmp_path) == tmp_path / "10"


def test_says_which_answers_changed_sides(manifest: Manifest, report: dict[str, Any], tmp_path: Path) -> None:
    before = write_version(tmp_path, manifest, report, 1)
    now = report | {"test": report["test"] | {"wrong": [0, 1, 50]}}
    found = compare(now, manifest, before)
    assert report["test"]["wrong"] == list(range(8))
    assert found is not None
    assert found["version"] == 1
    assert found["same_pictures"]
    assert found["newly_right"] == [2, 3, 4, 5, 6, 7]
    assert found["newly_wrong"] == [50]
    assert found["still_wrong"] == 2
    assert found["test"]["accuracy"] == report["test"]["accuracy"]
    assert found["calibration"]["test"] == report["calibration"]["test"]["after"]["error"]
    assert found["stress"] == report["stress"]


def test_other_pictures_are_not_counted_against_each_other(
    manifest: Manifest, report: dict[str, Any], tmp_path: Path
) -> None:
    before = write_version(tmp_path, manifest, report, 1)
    other = replace(manifest, training={"data": manifest.training["data"] | {"sha256": {"train": "cd" * 32}}})
    found = compare(report, other, before)
    assert found is not None
    assert not found["same_pictures"]
    assert found["test"]["loss"] == report["test"]["loss"]
    assert found.keys().isdisjoint({"newly_right", "stress"})


def test_version_with_an_older_report_is_compared_as_far_as_it_goes(
    manifest: Manifest, report: dict[str, Any], tmp_path: Path
) -> None:
    old = {"test": {"accuracy": 0.5, "loss": 1.0}, "validation": {"accuracy": 0.5, "loss": 1.0}}
    found = compare(report, manifest, write_version(tmp_path, manifest, old, 1))
    assert found is not None
    assert found["test"] == {"accuracy": 0.5, "loss": 1.0}
    assert "newly_right" not in found


def test_version_of_other_classes_is_not_compared(manifest: Manifest, report: dict[str, Any], tmp_path: Path) -> None:
    before = write_version(tmp_path, manifest, report, 1)
    assert compare(report, replace(manifest, labels=("go", "stop")), before) is None


def test_nothing_to_compare_with(manifest: Manifest, report: dict[str, Any], tmp_path: Path) -> None:
    assert compare(report, manifest, None) is None
    folder = write_version(tmp_path, manifest, report, 1)
    (folder / "manifest.json").write_text("{")
    assert compare(report, manifest, folder) is None
    (folder / "report.json").write_text("[]")
    assert compare(report, manifest, folder) is None
    (folder / "report.json").unlink()
    assert compare(report, manifest, folder) is None
