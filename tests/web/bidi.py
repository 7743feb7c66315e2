"""Just enough of WebDriver BiDi to drive Debian's Firefox, which brings it along: no other driver is needed.

https://www.w3.org/TR/webdriver-bidi/
"""

import itertools
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

PREFERENCES = """
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


@contextmanager
def firefox(path: str) -> Iterator["Tab"]:
    """A fresh headless Firefox with one tab."""
    from websockets.sync.client import connect

    with tempfile.TemporaryDirectory() as profile:
        with open(f"{profile}/user.js", "w") as file:
            file.write(PREFERENCES)
        command = [path, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr
                address = next(
                    found[1] for line in process.stderr if (found := re.search(r"BiDi listening on (ws://\S+)", line))
                )
                with connect(f"{address}/session", max_size=None) as socket:
                    yield Tab(socket)
            finally:
                process.terminate()


class Tab:
    """One tab; notes what its page logs and asks for."""

    def __init__(self, socket: "ClientConnection") -> None:
        self.socket = socket
        self.numbers = itertools.count()
        self.logged: list[str] = []
        self.asked: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.context = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask, and wait for the answer; events that come before it are noted."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(30))
            if message.get("id") == number:
                assert message["type"] == "success", message
                return message["result"]
            if message.get("method") == "log.entryAdded":
                self.logged.append(f"{message['params']['level']}: {message['params']['text']}")
            if message.get("method") == "network.beforeRequestSent":
                self.asked.append(message["params"]["request"]["url"])

    def open(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """A promise's or an expression's value, by way of JSON."""
        wrapped = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        answer = self.call("script.evaluate", expression=wrapped, target={"context": self.context}, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def drag(self, places: list[tuple[float, float]]) -> None:
        """Press the mouse at the first place, move along, let go at the last."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in places]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.call("input.performActions", context=self.context, actions=[source])
