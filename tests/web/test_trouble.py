"""The service answers late, or not at all, or another one does; somebody is quicker than what is on its way."""

import base64
import io
import re
import threading
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.web.conftest import ONE, THREE, Open, draw, example, expect_answer, expect_text

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def once(page: "Page", address: str | re.Pattern[str], trouble: "Callable[[Route], Any]") -> None:
    """The first request of this kind meets with trouble, the others are answered."""
    page.route(address, trouble, times=1)


def busy(route: "Route") -> None:
    route.fulfill(status=503, json={"detail": "the queue is full", "fix": "try again later"})


@pytest.mark.parametrize("path", [r"/models$", r"/network$", r"/health/ready$"])
def test_what_could_not_be_found_out_at_the_start_is_found_out_later(open_page: Open, path: str) -> None:
    page = open_page(ready=False, expected="503")
    page.goto("about:blank")
    once(page, re.compile(path), busy)
    page.go_back()
    expect_answer(page, "7")
    draw(page, THREE)
    expect_answer(page, "3")
    page.get_by_role("button", name="Layer conv_1").wait_for()
    assert "mnist" in page.locator("#model").inner_text()
    assert page.get_by_role("status", name="Looking inside").is_hidden()


def test_a_drawing_that_could_not_be_answered_is_answered_as_soon_as_it_can(open_page: Open) -> None:
    page = open_page(expected="503")
    page.route(re.compile("/predict"), busy)
    page.get_by_role("button", name="Example 3", exact=True).click()
    expect_text(page, "Prediction", "The queue is full. Try again later.")
    page.unroute(re.compile("/predict"))
    expect_answer(page, "3")


def test_no_heat_stays_beside_another_drawing(open_page: Open) -> None:
    page = open_page(expected="503")
    example(page, "1", "1")
    expect_text(page, "Covered place", "Nothing covered: 1 has")
    page.route(re.compile("/inside/occlusion"), busy)
    page.get_by_role("button", name="Example 8", exact=True).click()
    expect_text(page, "Covered place", "The queue is full.")
    expect_answer(page, "8")


def test_heat_that_fails_late_leaves_that_of_the_drawing_at_hand(open_page: Open) -> None:
    page = open_page(expected="503")
    held: list[Route] = []
    once(page, re.compile("/inside/occlusion"), lambda route: held.append(route))
    with page.expect_request(re.compile("/inside/occlusion")):
        example(page, "3", "3")
    example(page, "8", "8")
    expect_text(page, "Covered place", "Nothing covered: 8 has")
    with page.expect_response(re.compile("/inside/occlusion")) as refused:
        busy(held[0])
    assert refused.value.status == 503
    page.evaluate("new Promise(requestAnimationFrame)")  # what follows from it has followed
    expect_text(page, "Covered place", "Nothing covered: 8 has")


def test_an_answer_that_is_late_is_told_and_the_one_before_no_longer_stands_as_current(open_page: Open) -> None:
    page = open_page()
    example(page, "3", "3")
    held: list[Route] = []
    once(page, re.compile("/predict"), lambda route: held.append(route))
    page.get_by_role("button", name="Example 8", exact=True).click()
    expect_text(page, "Prediction", "The answer is on its way.")
    assert float(page.locator("#bars").evaluate("list => getComputedStyle(list).opacity")) < 0.5
    held[0].continue_()
    expect_answer(page, "8")
    assert page.locator("#bars").evaluate("list => getComputedStyle(list).opacity") == "1"


def test_values_of_the_drawing_before_are_neither_kept_nor_shown_as_its_own(open_page: Open) -> None:
    page = open_page()
    example(page, "3", "3")
    keep = page.get_by_role("button", name="Keep as A")
    assert keep.is_enabled()
    held: list[Route] = []
    free = threading.Event()
    page.route(re.compile(r"/inside\?"), lambda route: route.continue_() if free.is_set() else held.append(route))
    page.get_by_role("button", name="Example 8", exact=True).click()
    page.locator("body.blank").wait_for()
    assert page.locator("#best").inner_text() == "8"
    assert keep.is_disabled()
    free.set()
    for route in held:
        route.continue_()
    page.locator("body:not(.blank)").wait_for()
    assert keep.is_enabled()


def test_the_picture_that_was_chosen_last_is_meant_and_a_stroke_goes_before(open_page: Open) -> None:
    page = open_page()
    held: list[Route] = []
    page.route(re.compile("/examples/2.png"), lambda route: held.append(route))
    page.get_by_role("button", name="Example 2", exact=True).click()
    example(page, "8", "8")
    page.route(re.compile("/examples/5.png"), lambda route: held.append(route))
    page.get_by_role("button", name="Example 5", exact=True).click()
    page.get_by_role("button", name="Clear").click()
    draw(page, ONE)
    expect_answer(page, "1")
    assert len(held) == 2
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    expect_answer(page, "1")


def test_the_mouse_draws_nothing_after_a_key(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    draw(page, ONE)
    page.keyboard.press("Space")  # the pad has the focus: the pen is put down where the mouse was
    pad = page.get_by_role("application", name="Drawing pad")
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.3 * box["height"], steps=8)
    with Image.open(io.BytesIO(pad.screenshot())) as image:
        assert image.convert("L").getpixel((int(0.2 * image.width), int(0.5 * image.height))) > 200
    draw(page, [(0.3, 0.4), (0.7, 0.4)])  # and draws on when its button is pressed
    with Image.open(io.BytesIO(pad.screenshot())) as image:
        assert image.convert("L").getpixel((int(0.35 * image.width), int(0.4 * image.height))) < 100


def squeezed(*numbers: int) -> str:
    packer = zlib.compressobj(wbits=-15)
    return base64.urlsafe_b64encode(packer.compress(bytes(numbers)) + packer.flush()).decode().rstrip("=")


@pytest.mark.parametrize("drawing", [squeezed(1, 0, 0), squeezed(2, 1, 1, 9, 9), squeezed(1, 2, 2, 0), "%", "AAAA"])
def test_a_drawing_that_can_not_be_read_is_told(open_page: Open, drawing: str) -> None:
    page = open_page(f"#v=1&layer=conv_1&drawing={drawing}")
    expect_text(page, "Shared", "The drawing in this link can not be read.")
    expect_answer(page, "7")
