import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engines import Answers
from service.manifest import Manifest
from tests.training.report.conftest import LABELS, PART, predict, write_version
from training.datasets import Dataset, Part
from training.report import __main__ as command


class Engine:
    """What serves, without a network."""

    def predict(self, pixels: np.ndarray) -> Answers:
        return Answers(predict(pixels))


@pytest.fixture
def version(manifest: Manifest, report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version with a report as it was written before there was a page, and its data."""
    monkeypatch.setenv("CONVOLVE_DATA", "signs")
    data = Dataset(
        "signs",
        "a folder",
        "ours",
        manifest.training["data"]["sha256"],
        LABELS,
        train=PART,
        validation=Part(PART.pictures[:45], PART.labels[:45]),
        test=PART,
    )
    monkeypatch.setattr(command, "load", lambda *_: data)
    monkeypatch.setattr(command.engines, "load", lambda *_: Engine())
    for name in ("calibration", "stress"):
        report.pop(name)
    write_version(tmp_path, manifest, report, 1)
    return write_version(tmp_path, manifest, report, 2)


def test_draws_the_page_from_the_numbers(version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (version / "report.json").read_bytes()
    assert command.main([str(version)]) == 0
    assert capsys.readouterr().out == f"{version / 'report.html'}\n"
    page = (version / "report.html").read_text()
    assert "On pictures that are changed" not in page
    assert "all epochs took" in page
    assert (version / "report.json").read_bytes() == before


def test_measures_anew_and_keeps_the_curves(version: Path) -> None:
    assert command.main([str(version), "--measure"]) == 0
    report = json.loads((version / "report.json").read_text())
    assert len(report["curves"]) == 12
    assert report["validation"]["pictures"] == 45
    assert report["calibration"]["temperature"] == 1.2  # as the manifest says
    assert report["before"]["version"] == 1
    assert "On pictures that are changed" in (version / "report.html").read_text()


def test_a_report_that_is_gone_is_measured_again_and_until_then_missed(
    version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (version / "report.json").unlink()
    assert command.main([str(version)]) == 1
    assert "write one with --measure" in capsys.readouterr().err
    assert command.main([str(version), "--measure"]) == 0
    assert "How it learnt" not in (version / "report.html").read_text()


@pytest.mark.parametrize("flags", [[], ["--measure"]])
def test_pictures_of_ones_own_stay_drawn_and_named_others_never_are(
    version: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    own = replace(command.load(), test_names=tuple(f"bird/{place}.png" for place in range(90)))
    monkeypatch.setattr(command, "load", lambda *_: own)
    assert command.main([str(version), "--measure"]) == 0
    assert command.main([str(version), *flags]) == 0
    page = (version / "report.html").read_text()
    assert 'alt="Test picture 0"' in page
    assert "bird/0.png" in page
    assert "not part of this page" not in page
    monkeypatch.setattr(command, "load", lambda *_: replace(own, shareable=False))
    assert command.main([str(version), *flags]) == 0
    page = (version / "report.html").read_text()
    assert 'alt="Test picture' not in page
    assert "not part of this page" in page


@pytest.mark.parametrize("flags", [["--measure"], ["--pictures", "mistakes.html"]])
def test_other_data_is_refused(
    version: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Dataset("others", "elsewhere", "theirs", {"train": "ef" * 32}, LABELS, PART, PART, PART)
    monkeypatch.setattr(command, "load", lambda *_: other)
    before = (version / "report.json").read_bytes()
    assert command.main([str(version), *flags]) == 1
    assert "was trained on signs of other files" in capsys.readouterr().err
    assert (version / "report.json").read_bytes() == before


def test_pictures_of_ones_own_are_not_looked_for_in_mnist(
    version: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CONVOLVE_DATA")
    assert command.main([str(version)]) == 0
    assert "Drawn without the pictures of its mistakes: " in capsys.readouterr().err
    assert command.main([str(version), "--measure"]) == 1
    assert "was trained on signs; say where that is with --data" in capsys.readouterr().err


def test_pictures_go_to_a_file_of_their_own(version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(version), "--pictures", str(tmp_path / "mistakes.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mistakes.html'}\n"
    assert "Test picture 0" in (tmp_path / "mistakes.html").read_text()
    assert not (version / "report.html").exists()


def test_no_mistakes_are_drawn_where_none_are_listed(
    version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (version / "report.json").unlink()
    assert command.main([str(version), "--pictures", str(tmp_path / "mistakes.html")]) == 1
    assert "--measure" in capsys.readouterr().err


def test_no_version_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path / "3")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / '3'}")


def test_wrong_usage_is_2() -> None:
    assert command.main([]) == 2
