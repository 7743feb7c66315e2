from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engines import Answers
from service.errors import BadVersion
from service.manifest import Golden, Input, Manifest
from training import gate
from training.datasets import Part
from training.errors import TrainingError
from training.gate import Latency

SHAPE = (2, 2, 1)
PART = Part(np.arange(1_000, dtype=np.uint8)[:, None, None, None].repeat(4, axis=1).reshape(-1, *SHAPE), None)
PART = Part(PART.pictures, PART.pictures[:, 0, 0, 0] % 2)
GOLDEN = Golden(bytes(4), (1.0, 0.0))
MANIFEST = Manifest("signs", 1, "2026-11-21", Input("image", SHAPE), ("even", "odd"), 1, {}, (GOLDEN,))
SERVED = Latency("int8", 0.05, 0.5)
QUICK, SLOW = Latency("f32", 0.1, 1.0), Latency("f32", 0.35, 1.0)


class Engine:
    """Tells even pixels from odd ones, apart from the first few pictures of a part."""

    precision = "f32"

    def __init__(self, wrong: int = 0, off: float = 0.0) -> None:
        self.wrong = wrong
        self.off = off

    def predict(self, pixels: np.ndarray) -> Answers:
        odd = pixels[:, 0, 0, 0] % 2
        if len(pixels) > 1:
            odd[: self.wrong] = 1 - odd[: self.wrong]
        return Answers(np.stack([1 - odd - self.off, odd + self.off], axis=1).astype(np.float32))


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What computes in each folder, by its name; how quick they are; and that nothing is really loaded."""
    known: dict[str, Any] = {"new": Engine(), "1": Engine(), "paces": [QUICK, QUICK]}

    def load(engine: str, folder: Path, _: object, threads: int, precision: str) -> Engine:
        found = known.get(f"{folder.name}/{precision if precision != 'f32' else engine}", known[folder.name])
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(gate.engines, "load", load)
    paces = {"auto": lambda: [SERVED], "f32": lambda: known["paces"]}
    monkeypatch.setattr(gate, "measure", lambda asked, precision: paces[precision]()[: len(asked)])
    (tmp_path / "1").mkdir()
    MANIFEST.write(tmp_path / "1")
    return known


def judge(folder: Path, *, force: bool = False, before: bool = True, manifest: Manifest = MANIFEST) -> dict[str, Any]:
    return gate.judge(folder / "new", manifest, PART, folder / "1" if before else None, force=force)


def test_equal_version_passes(versions: dict[str, Any], tmp_path: Path) -> None:
    found = judge(tmp_path)
    assert (found["passed"], found["forced"]) == (True, False)
    assert [check["name"] for check in found["checks"]] == ["golden pictures", "validation accuracy", "latency"]
    assert all(check["passed"] for check in found["checks"])
    assert found["latency"] == {"precision": "int8", "one_ms": 0.05, "batch_ms": 0.5, "batch": 64}


def test_first_version_has_nothing_to_be_worse_than(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["new"] = Engine(wrong=400)
    found = judge(tmp_path, before=False)
    assert found["passed"]
    assert found["checks"][1]["expected"] == "no version before"


def test_worse_version_is_refused_with_both_figures(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["new"] = Engine(wrong=20)
    with pytest.raises(TrainingError, match=r"not published: validation accuracy: .*at most 0.74% below the 100.00%"):
        judge(tmp_path)
    with pytest.raises(TrainingError, match=r"found 98.00% of 1,000 pictures; .*--resume --force"):
        judge(tmp_path)


def test_forced_version_says_so(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["new"] = Engine(wrong=20)
    found = judge(tmp_path, force=True)
    assert (found["passed"], found["forced"]) == (False, True)
    assert [check["passed"] for check in found["checks"]] == [True, False, True]
    versions["new"] = Engine()
    found = judge(tmp_path, force=True)
    assert (found["passed"], found["forced"]) == (True, False)  # nothing had to be forced


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (1, True), (2, True), (3, False), (20, False)])
def test_margin_is_a_thousandth_or_what_is_certain(
    versions: dict[str, Any], tmp_path: Path, wrong: int, passes: bool
) -> None:
    versions["new"] = Engine(wrong=wrong)
    assert judge(tmp_path, force=True)["passed"] is passes


def test_exchanged_mistakes_are_noise(versions: dict[str, Any], tmp_path: Path) -> None:
    class Other(Engine):
        def predict(self, pixels: np.ndarray) -> Answers:
            return Answers(super().predict(pixels[::-1]).probabilities[::-1])  # wrong about the last few

    versions["1"] = Engine(wrong=10)
    versions["new"] = Other(wrong=18)  # 28 changed sides: eight more or fewer are within 1.645 standard errors
    assert judge(tmp_path)["passed"]
    versions["new"] = Other(wrong=20)
    assert not judge(tmp_path, force=True)["passed"]


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_engine_that_answers_otherwise_is_named(versions: dict[str, Any], tmp_path: Path, engine: str) -> None:
    versions[f"new/{engine}"] = Engine(off=0.01)
    with pytest.raises(TrainingError, match=rf"within 1e-05 of Keras', .*found .*1.0e-02 apart in {engine}"):
        judge(tmp_path)


def test_version_that_the_service_would_refuse_is_not_published(versions: dict[str, Any], tmp_path: Path) -> None:
    class Coarse(Engine):
        precision = "int8"

    versions["new/auto"] = Coarse(off=0.2)
    assert judge(tmp_path)["passed"]
    versions["new/auto"] = Coarse(off=0.3)
    with pytest.raises(TrainingError, match=r"golden pictures: .*and 0.25 as served, found .*3.0e-01 apart in int8"):
        judge(tmp_path)


def test_version_of_other_classes_takes_force(versions: dict[str, Any], tmp_path: Path) -> None:
    other = replace(MANIFEST, labels=("odd", "even"))
    versions["paces"] = [SLOW, QUICK]
    with pytest.raises(TrainingError, match=r"classes: expected those of version 1: .*, found odd, even"):
        judge(tmp_path, manifest=other)
    versions["paces"] = [SLOW, QUICK]
    found = judge(tmp_path, manifest=other, force=True)
    assert found["forced"]
    assert "has other labels" in str(found["checks"])


def test_version_of_another_kind_is_not_compared(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["new"] = Engine(wrong=400)
    versions["paces"] = [SLOW, QUICK]
    found = judge(tmp_path, manifest=replace(MANIFEST, input=Input("image", SHAPE, preparation="fit")))
    assert found["passed"]
    assert ["prepared otherwise" in check["expected"] for check in found["checks"]] == [False, True, True]


def test_damaged_version_stops_nobody(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["1"] = BadVersion("no network")
    found = judge(tmp_path)
    assert found["passed"]
    assert found["checks"][1]["expected"] == "version 1 can not be loaded: BadVersion"
    (tmp_path / "1" / "manifest.json").write_text("{}")
    assert judge(tmp_path)["passed"]


def test_slower_version_is_refused(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["paces"] = [SLOW, QUICK]
    with pytest.raises(TrainingError, match=r"latency: .*at most 3 × the version before: 0.100 ms.*found 0.350 ms"):
        judge(tmp_path)
    versions["paces"] = [QUICK, SLOW]
    assert judge(tmp_path)["passed"]


def test_pace_is_compared_in_f32_whatever_each_is_served_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*given: object) -> Engine:
        asked.append(given[-1])
        return Engine()

    monkeypatch.setattr(gate.engines, "load", load)
    version = gate.Version(tmp_path, MANIFEST)
    assert [each.precision for each in gate.measure([version, version], "f32")] == ["f32", "f32"]
    assert asked == ["f32", "f32"]


def test_version_that_can_not_be_loaded_is_not_forced(versions: dict[str, Any], tmp_path: Path) -> None:
    versions["new"] = BadVersion("no network")
    with pytest.raises(BadVersion):
        judge(tmp_path, force=True)
