"""The page in Debian's Firefox: drawn on, looked into, nothing failed, nothing asked elsewhere."""

import os

import pytest

from tests.web.bidi import Tab, firefox
from tests.web.conftest import THREE


def wait(tab: Tab, name: str, words: str) -> str:
    """Wait until a status says so."""
    script = f"""new Promise((resolve, reject) => {{
        const status = document.querySelector('[role=status][aria-label="{name}"]');
        const look = () => status.textContent.includes({words!r}) && resolve(status.textContent);
        new MutationObserver(look).observe(status, {{childList: true, characterData: true, subtree: true}});
        look();
        setTimeout(() => reject(status.textContent), 15000);
    }})"""
    said: str = tab.evaluate(script)
    return said


def test_firefox(address: str) -> None:
    path = os.environ.get("FIREFOX", "/usr/bin/firefox-esr")
    if not os.path.exists(path):
        pytest.skip("no Firefox here: apt-get install firefox-esr")
    with firefox(path) as tab:
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
        assert [line for line in tab.logged if line.startswith(("error", "warn"))] == []
        assert [url for url in tab.asked if not url.startswith((address, "about:", "data:", "blob:"))] == []
