"""The page before other services: one with two versions, and one that does not let itself be looked into."""

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.fakes import tell_novelty
from tests.servers import ROOT
from tests.service.conftest import SHIPPED
from tests.web.conftest import (
    ONE,
    SEVEN,
    THREE,
    Open,
    draw,
    example,
    expect_answer,
    expect_text,
    read,
    running,
    show,
)

if TYPE_CHECKING:
    from playwright.sync_api import Route


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Version 2 computes the same as version 1, and calls it something else."""
    folder = tmp_path_factory.mktemp("two")
    model = folder / "models" / "mnist"
    for version, labels in ((1, "0123456789"), (2, "9876543210")):
        shutil.copytree(SHIPPED, model / str(version))
        manifest = model / str(version) / "manifest.json"
        told = json.loads(manifest.read_text()) | {"version": version, "labels": list(labels)}
        manifest.write_text(json.dumps(told))
    (model / "policy.json").write_text(json.dumps({"versions": "all", "labels": {"stable": 1}}))
    with running("--models", str(folder / "models")) as address:
        yield address


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    with running("--inside", "false") as address:
        yield address


@pytest.fixture(scope="module")
def wary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its version takes nothing for a digit but what has hardly any ink."""
    folder = tmp_path_factory.mktemp("wary")
    shutil.copytree(SHIPPED, folder / "models" / "mnist" / "1")
    tell_novelty(folder / "models" / "mnist" / "1", 0.07)
    with running("--models", str(folder / "models")) as address:
        yield address


def test_what_the_network_does_not_know_it_says_kindly(open_page: Open, wary: str) -> None:
    page = open_page(at=wary)
    page.get_by_role("button", name="Clear").click()
    draw(page, ONE)
    expect_answer(page, "1")
    assert "nothing that I know" not in page.get_by_role("status", name="Prediction").inner_text()
    page.get_by_role("button", name="Clear").click()
    draw(page, THREE)
    expect_text(page, "Prediction", "This is nothing that I know. If it has to be something: 3, ")
    expect_text(page, "Preparation", "Careful: it is unlike the pictures that the network was trained on.")
    assert page.locator("#best").inner_text() == "?"
    assert page.locator("#best-share").inner_text() == "perhaps 3"
    page.evaluate("""() => {
        window.written = [];
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
            window.written.push([text, x + this.measureText(text).width]);
            write.call(this, text, x, ...rest);
        };
    }""")
    with page.expect_download():
        page.get_by_role("button", name="Save picture").click()
    told = page.evaluate("window.written")
    assert {"?", "perhaps 3", page.get_by_role("status", name="Value").inner_text()} <= {text for text, _ in told}
    assert all(end <= 1200 for _, end in told)


def test_a_version_that_takes_over_is_the_one_that_is_shown(open_page: Open, tmp_path: Path) -> None:
    model = tmp_path / "models" / "mnist"
    for version in (1, 2):
        shutil.copytree(ROOT / "models" / "mnist" / str(version), model / str(version))
    policy = model / "policy.json"
    policy.write_text(json.dumps({"versions": "all", "labels": {"stable": 1}}))
    with running("--models", str(tmp_path / "models"), "--poll-s", "0.1", "--precision", "f32") as address:
        page = open_page(at=address)
        assert page.locator("#model").inner_text().startswith("mnist 1")
        policy.write_text(json.dumps({"versions": "all", "labels": {"stable": 2}}))
        wait_for_version(address, 2)
        page.get_by_role("button", name="Clear").click()
        draw(page, THREE)
        expect_answer(page, "3")
        assert page.locator("#model").inner_text().startswith("mnist 2")
        show(page, "fc_1", 0, 0, 7)
        expect_text(page, "Value", "fc_1, value 7")
        with urllib.request.urlopen(f"{address}/models/mnist/versions/2/network?weights=fc_1&unit=7") as response:
            bias = float(np.float32(json.load(response)["weights"]["fc_1.bias"][0]))
        page.locator(f'#sum data[value="{bias}"]').wait_for()
        assert read(page, "Strongest") + read(page, "All others") + bias == pytest.approx(read(page, "Total"), abs=1e-3)
        page.close()  # before the service ends, whose numbers it goes on asking for


def wait_for_version(address: str, version: int) -> None:
    """Until it answers."""
    while True:
        with urllib.request.urlopen(f"{address}/health/ready", timeout=10) as answer:
            if json.load(answer)["version"] == str(version):
                return
        time.sleep(0.05)


def test_two_versions_on_one_drawing(open_page: Open, two: str) -> None:
    page = open_page(at=two)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    example(page, "5", "5")
    assert page.get_by_role("combobox", name="or ask another version").inner_text() == "mnist 2"
    page.get_by_role("button", name="Compare versions").click()
    expect_text(page, "Comparison", "A is mnist 1, B is mnist 2.")

    def shares() -> tuple[float, float]:
        mine, theirs = (page.get_by_role("meter", name=name) for name in ("A: probability of 5", "B: probability of 4"))
        return float(mine.get_attribute("aria-valuenow") or 0), float(theirs.get_attribute("aria-valuenow") or 0)

    assert all("feedback=none" in url for url in asked if "/predict" in url)  # as the page promises
    mine, theirs = shares()
    assert mine > 0.9
    assert theirs == pytest.approx(mine, abs=0.01)
    show(page, "conv_2", 9, 3, 4)  # looking at another value ends no comparison
    expect_text(page, "Value", "conv_2, map 9, row 3, column 4")
    assert shares() == (mine, theirs)
    assert page.locator("#compare-map-name").inner_text() == "conv_2 map 9"
    example(page, "8", "8")  # another drawing does
    expect_text(page, "Comparison", "A is the drawing from before, B the one at hand.")
    assert float(page.get_by_role("meter", name="B: probability of 8").get_attribute("aria-valuenow") or 0) > 0.5


def test_a_comparison_that_fails_leaves_the_answer_alone(open_page: Open, two: str) -> None:
    page = open_page(at=two, expected="503")
    example(page, "5", "5")
    answer = page.get_by_role("status", name="Prediction").inner_text()
    page.route(re.compile(r"/inside\?.*version=2"), lambda route: route.fulfill(status=503, json={"detail": "no room"}))
    page.get_by_role("button", name="Compare versions").click()
    expect_text(page, "Comparison", "No room.")
    assert page.get_by_role("status", name="Prediction").inner_text() == answer


def test_where_nobody_may_look_inside_it_still_answers_and_says_so(open_page: Open, closed: str) -> None:
    page = open_page(at=closed, ready=False, expected="404")  # what the browser itself says of it
    expect_text(page, "Looking inside", "Looking inside is switched off on this server")
    expect_answer(page, "7")
    for points, label in ((SEVEN, "7"), (THREE, "3")):
        page.get_by_role("button", name="Clear").click()
        expect_text(page, "Prediction", "Nothing is drawn yet")
        draw(page, points)
        expect_answer(page, label)
        expect_text(page, "Preparation", "Cropped to")
    shown = page.get_by_role("img", name="What the network sees", exact=True).evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 280, 280).data]"
    )
    assert 0.05 < np.array(shown).reshape(280, 280, 4)[..., 0].mean() / 255 < 0.3
    for name in ("Look inside", "Why", "Compare"):
        assert page.get_by_role("link", name=name).count() == 0
    for name in ("Look inside", "Why this answer?", "Compare", "Parameters, counted"):
        assert not page.get_by_role("heading", name=name).is_visible()
    page.get_by_role("heading", name="Softmax").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_a_comparison_with_a_drawing_that_is_gone_is_dropped(open_page: Open, two: str) -> None:
    page = open_page(at=two)
    example(page, "5", "5")
    held: list[Route] = []
    page.route(re.compile(r"/inside\?.*version=2"), lambda route: held.append(route))
    with page.expect_request(re.compile(r"/inside\?.*version=2")):
        page.get_by_role("button", name="Compare versions").click()
    example(page, "8", "8")
    with page.expect_response(re.compile(r"/inside\?.*version=2")):
        held[0].continue_()
    page.wait_for_timeout(300)
    assert page.get_by_role("status", name="Comparison").inner_text() == ""
    assert page.locator("#compare-pair").is_hidden()
