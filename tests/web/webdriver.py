"""Just enough of WebDriver to drive Debian's WebKit, whose driver speaks nothing newer.

https://www.w3.org/TR/webdriver2/
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = "lib/*/webkit2gtk-4.?/MiniBrowser"


@contextmanager
def webkit(driver: str, display: str) -> Iterator["Window"]:
    """A fresh window.

    Args:
        driver: The program WebKitWebDriver.
        display: The program Xvfb, which gives it a screen.
    """
    (browser, *_) = Path(driver).parents[1].glob(BROWSER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [display, "-displayfd", "1", "-screen", "0", "1280x1000x24"], stdout=subprocess.PIPE
    ) as screen:
        assert screen.stdout
        environment = {**os.environ, "DISPLAY": f":{screen.stdout.readline().decode().strip()}"}
        with subprocess.Popen([driver, f"--port={port}"], env=environment) as process:
            try:
                wait_for(port)
                window = Window(f"http://127.0.0.1:{port}/session", browser)
                yield window
                window.call("DELETE", "")
            finally:
                process.terminate()
                screen.terminate()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


class Window:
    """One window."""

    def __init__(self, sessions: str, browser: Path) -> None:
        self.session = sessions
        options = {"binary": str(browser), "args": ["--automation"]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self.session += f"/{self.call('POST', '', wanted)['sessionId']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.session + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def open(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def evaluate(self, expression: str) -> Any:
        """A promise's or an expression's value."""
        script = (
            f"const done = arguments[0]; Promise.resolve({expression}).then(done, (error) => done(`error: ${{error}}`))"
        )
        return self.call("POST", "/execute/async", {"script": script, "args": []})

    def drag(self, places: list[tuple[float, float]]) -> None:
        """Press the mouse at the first place, move along, let go at the last."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in places]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.call("POST", "/actions", {"actions": [source]})
