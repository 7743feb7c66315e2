"""The page in Debian's Firefox and WebKit: drawn on, looked into, nothing failed, nothing asked elsewhere."""

from typing import Any

from tests.conftest import program
from tests.web.bidi import firefox
from tests.web.conftest import THREE
from tests.web.webdriver import webkit


def wait(tab: Any, name: str, words: str) -> str:
    """Wait until a status says so."""
    script = f"""new Promise((resolve, reject) => {{
        const status = document.querySelector('[role=status][aria-label="{name}"]');
        const look = () => status.textContent.includes({words!r}) && resolve(status.textContent);
        new MutationObserver(look).observe(status, {{childList: true, characterData: true, subtree: true}});
        look();
        setTimeout(() => reject(new Error(status.textContent)), 15000);
    }})"""
    said: str = tab.evaluate(script)
    return said


def use(tab: Any, address: str) -> None:
    """Draw, look at a value, and come back by the link."""
    tab.open(f"{address}/")
    wait(tab, "Prediction", "7, ")
    left, top, width = tab.evaluate(
        "(({x, y, width}) => [x, y, width])(document.getElementById('pad').getBoundingClientRect())"
    )
    tab.drag([(left + x * width, top + y * width) for x, y in THREE])
    wait(tab, "Prediction", "3, ")
    wait(tab, "Preparation", "Dark ink became light on black")
    tab.evaluate("document.querySelector('[aria-label=\"conv_2 map 9\"]').click()")
    wait(tab, "Value", "conv_2, map 9, row 12, column 12")
    tab.evaluate("document.getElementById('link').click()")
    wait(tab, "Shared", "copied")
    value = tab.evaluate("document.getElementById('value').textContent")
    link = tab.evaluate("location.href")
    tab.open("about:blank")
    tab.open(link)
    wait(tab, "Prediction", "3, ")
    wait(tab, "Value", value)


def test_firefox(address: str) -> None:
    with firefox(program("firefox-esr", "firefox-esr")) as tab:
        use(tab, address)
        assert [line for line in tab.logged if line.startswith(("error", "warn"))] == []
        assert [url for url in tab.asked if not url.startswith((address, "about:", "data:", "blob:"))] == []


def test_webkit(address: str) -> None:
    driver, display = program("WebKitWebDriver", "webkit2gtk-driver"), program("Xvfb", "xvfb")
    with webkit(driver, display) as window:
        use(window, address)
        asked = window.evaluate("performance.getEntriesByType('resource').map(({name}) => name)")
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
