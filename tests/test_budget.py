"""What a request may cost, counted and not timed: function calls, Python's and C's, from the ASGI call to the answer.

The counts are the same on every run and every machine, but a few move with Python's version and the libraries'. Whoever
makes the road shorter writes down the new number; whoever makes it longer has to say why.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import uvloop

from service.app import create_app
from service.settings import Settings
from service.whole import WHOLE
from tests.service.conftest import ROOT, png
from training import strokes

SEVEN = strokes.golden((28, 28, 1))[7]
FILE = png(SEVEN)
V2 = "/v2/models/mnist/infer"


@dataclass(frozen=True)
class Question:
    path: str
    media_type: str
    body: bytes
    calls: int
    """What it cost when it was last recorded."""


QUESTIONS = {
    "a PNG file": Question("/predict", "image/png", FILE, 271),
    "784 numbers in JSON": Question(
        "/predict", "application/json", orjson.dumps({"image": SEVEN.reshape(-1).tolist()}), 232
    ),
    "784 numbers through v2": Question(
        V2,
        "application/json",
        orjson.dumps(
            {"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": SEVEN.reshape(-1).tolist()}]}
        ),
        264,  # more calls, but none for each number
    ),
}
ALLOWANCE = 1.05
"""For other versions of Python and of the libraries."""


class Counter:
    """Counts calls while it is on: `with counter.on(): …`."""

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        sys.setprofile(self.see)
        try:
            yield
        finally:
            sys.setprofile(None)

    def see(self, _frame: Any, event: str, _argument: Any) -> None:
        self.calls += event in ("call", "c_call")


async def ask(question: Question) -> tuple[int, int]:
    """The status of an answer, and the calls that it took when all caches are warm."""
    app = create_app(Settings(models=ROOT / "models"))
    state: dict[str, Any] = {}
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "state": state}, events.get, told.put))
    await events.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        for _ in range(3):
            await once(app, question, state)
        counter = Counter()
        with counter.on():
            status = await once(app, question, state)
    finally:
        await events.put({"type": "lifespan.shutdown"})
        await life
    return status, counter.calls


async def once(app: Any, question: Question, state: dict[str, Any]) -> int:
    """The status of one answer."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": question.path,
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"content-type", question.media_type.encode()),
            (b"content-length", str(len(question.body)).encode()),
        ],
        "state": dict(state),
    }
    answers: list[Any] = []

    def whole(_scope: Any, _headers: Any, _body: bytes) -> bool:
        answers.append({"status": 200})
        return True

    scope["extensions"] = {WHOLE: {"send": whole}}  # as our own server has it

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": question.body, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    await app(scope, receive, send)
    status: int = answers[0]["status"]
    return status


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_request_costs_no_more_calls_than_recorded(question: Question) -> None:
    status, calls = uvloop.run(ask(question))  # the loop that serves
    assert status == 200
    assert calls <= question.calls * ALLOWANCE, f"{calls} calls, and {question.calls} are recorded"
