"""The service on a port of its own, and a real browser that looks at it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import program
from tests.servers import serving

if TYPE_CHECKING:  # `make test` has no browser, and collects this file all the same
    from playwright.sync_api import Browser, Page

OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--force-color-profile=srgb",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
SEVEN = [(0.28, 0.2), (0.72, 0.2), (0.45, 0.82)]
THREE = [
    (0.32, 0.25), (0.45, 0.17), (0.6, 0.2), (0.64, 0.33), (0.55, 0.44), (0.45, 0.48),
    (0.58, 0.52), (0.67, 0.65), (0.6, 0.79), (0.45, 0.83), (0.31, 0.76),
]  # fmt: skip
ONE = [(0.5, 0.15), (0.5, 0.85)]

Open = Callable[..., "Page"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("verify")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """A running service."""
    with running() as address:
        yield address


@contextmanager
def running(*flags: str) -> Iterator[str]:
    """A service with these flags: its address."""
    with serving("--workers", "1", "--drain-s", "0", *flags) as server:
        yield server.address


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    path = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: "Browser", address: str) -> Iterator[Open]:
    """Open the page: `open_page("#…", viewport=…)`. Afterwards, nothing may have failed or gone elsewhere.

    `at` is the address of another service, `ready` whether to wait until all is shown, and `expected` what may fail.
    """
    contexts = []
    wrong: list[str] = []
    served = [address]
    foreseen: list[str] = []

    def watch(page: "Page") -> None:
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: check(request.url))

    def check(url: str) -> None:
        if not url.startswith((*served, "data:", "blob:")):
            wrong.append(f"asked {url}")

    def open_page(
        fragment: str = "", *, at: str = address, ready: bool = True, expected: str = "", **options: Any
    ) -> "Page":
        served.append(at)
        foreseen.extend([expected] * bool(expected))
        context = chromium.new_context(
            **{
                "viewport": {"width": 1280, "height": 900},
                "permissions": ["clipboard-read", "clipboard-write", "camera"],
                **options,
            }
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watch(page)
        page.goto(f"{at}/{fragment}")
        if ready:
            expect_text(page, "Prediction", "%")
            expect_text(page, "Value", ":")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in wrong if not any(words in each for words in foreseen)] == []


def expect_text(page: "Page", status: str, text: str) -> None:
    """Wait until a status says so."""
    from playwright.sync_api import expect

    expect(page.get_by_role("status", name=status, exact=True)).to_contain_text(text, timeout=15_000)


def expect_answer(page: "Page", label: str) -> None:
    """Wait until this class is the one that is told first."""
    from playwright.sync_api import expect

    answer = re.compile(rf"(^|: ){label}, ")
    expect(page.get_by_role("status", name="Prediction", exact=True)).to_contain_text(answer, timeout=15_000)


def draw(page: "Page", points: list[tuple[float, float]]) -> None:
    """One stroke with the mouse, in shares of the pad."""
    pad = page.get_by_role("application", name="Drawing pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def example(page: "Page", name: str, label: str) -> None:
    page.get_by_role("button", name=f"Example {name}", exact=True).click()
    expect_answer(page, label)


def show(page: "Page", layer: str, map_: int, row: int, column: int) -> None:
    """Choose a value: a map by its button, then the place by the arrow keys."""
    single = page.get_by_role("button", name=f"{layer} values", exact=True)
    many = page.get_by_role("button", name=f"{layer} map {map_}", exact=True)
    head = page.get_by_role("button", name=re.compile(f"^Layer {layer} "))
    if head.get_attribute("aria-expanded") == "false":  # on a phone, only the chosen layer shows its maps
        head.click()
    (single if layer in ("input", "flatten", "fc_1", "fc_2") else many).click()
    lens = page.get_by_role("application", name=f"Values of {layer}")
    lens.focus()
    for key in ["ArrowUp", "ArrowLeft"]:
        for _ in range(20):
            page.keyboard.press(f"Shift+{key}")
    for key, times in (("ArrowDown", row), ("ArrowRight", column)):
        for _ in range(times // 5):
            page.keyboard.press(f"Shift+{key}")
        for _ in range(times % 5):
            page.keyboard.press(key)


def read(page: "Page", name: str) -> float:
    """A named number of the written-out sum, with all its digits."""
    found = page.get_by_role("region", name="Sum").get_by_role("group", name=name, exact=True).locator("data")
    return float(found.first.get_attribute("value") or "nan")
