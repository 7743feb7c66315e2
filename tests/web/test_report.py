"""The shipped report in a real browser: nothing is loaded, nothing is cut off, nobody is left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPORTS = sorted(Path(__file__).parents[2].glob("models/*/*/report.html"))
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("report", REPORTS, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_everybody_can_read_it(chromium: "Browser", report: Path, look: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = LOOKS[look]
    context = chromium.new_context(**options)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(report.as_uri())
    assert [address for address in asked if not address.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == options["viewport"]["width"]
    found = Axe().run(page).response["violations"]
    assert {each["id"]: [node["html"][:200] for node in each["nodes"][:5]] for each in found} == {}
    assert said == []
    context.close()


def test_it_prints_on_a_few_sheets_of_paper(chromium: "Browser") -> None:
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(REPORTS[0].as_uri())
    sheets = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    assert 3 <= sheets <= 8
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()
