"""The page before other services: one with two versions, and one that does not let itself be looked into."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.web.conftest import ROOT, SEVEN, THREE, Open, draw, example, expect_text, running, show


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Version 2 computes the same as version 1, and calls it something else."""
    folder = tmp_path_factory.mktemp("two")
    model = folder / "models" / "mnist"
    for version, labels in ((1, "0123456789"), (2, "9876543210")):
        shutil.copytree(ROOT / "models" / "mnist" / "1", model / str(version))
        manifest = model / str(version) / "manifest.json"
        told = json.loads(manifest.read_text()) | {"version": version, "labels": list(labels)}
        manifest.write_text(json.dumps(told))
    (model / "policy.json").write_text(json.dumps({"versions": "all", "labels": {"stable": 1}}))
    with running(folder, "--models", str(folder / "models")) as address:
        yield address


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("closed"), "--inside", "false") as address:
        yield address


def test_two_versions_on_one_drawing(open_page: Open, two: str) -> None:
    page = open_page(at=two)
    example(page, "5", "5")
    assert page.get_by_role("combobox", name="or ask another version").inner_text() == "mnist 2"
    page.get_by_role("button", name="Compare versions").click()
    expect_text(page, "Comparison", "A is mnist 1, B is mnist 2.")

    def shares() -> tuple[float, float]:
        mine, theirs = (page.get_by_role("meter", name=name) for name in ("A: probability of 5", "B: probability of 4"))
        return float(mine.get_attribute("aria-valuenow") or 0), float(theirs.get_attribute("aria-valuenow") or 0)

    mine, theirs = shares()
    assert mine > 0.9
    assert theirs == pytest.approx(mine, abs=0.01)
    show(page, "conv_2", 9, 3, 4)  # looking at another value ends no comparison
    expect_text(page, "Value", "conv_2, map 9, row 3, column 4")
    assert shares() == (mine, theirs)
    assert page.locator("#compare-map-name").inner_text() == "conv_2 map 9"
    example(page, "8", "8")  # another drawing does
    expect_text(page, "Comparison", "A is the drawing from before.")
    assert float(page.get_by_role("meter", name="B: probability of 8").get_attribute("aria-valuenow") or 0) > 0.5


def test_where_nobody_may_look_inside_it_still_answers_and_says_so(open_page: Open, closed: str) -> None:
    page = open_page(at=closed, ready=False, expected="404")  # what the browser itself says of it
    expect_text(page, "Looking inside", "Looking inside is switched off on this server")
    expect_text(page, "Prediction", "7, ")
    for points, label in ((SEVEN, "7"), (THREE, "3")):
        page.get_by_role("button", name="Clear").click()
        expect_text(page, "Prediction", "Nothing is drawn yet")
        draw(page, points)
        expect_text(page, "Prediction", f"{label}, ")
    for name in ("Look inside", "Why", "Compare"):
        assert page.get_by_role("link", name=name).count() == 0
    for name in ("Look inside", "Why this answer?", "Compare", "Parameters, counted"):
        assert not page.get_by_role("heading", name=name).is_visible()
    page.get_by_role("heading", name="Softmax").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
