"""A network that is busy: refusals come at once, health answers, and nobody waits for ever."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from service import pictures, road
from service.state import Shared
from tests.fakes import Gated, Reader, picture
from tests.service.conftest import Start, png


@contextmanager
def busy(engine: Gated, client: TestClient, callers: ThreadPoolExecutor) -> Iterator["Future[Any]"]:
    """A network that computes somebody's picture until it is let go."""
    engine.go.clear()
    engine.started.clear()
    first = callers.submit(client.post, "/predict", json={"image": picture(1).tolist()})
    assert engine.started.wait(30)
    try:
        yield first
    finally:
        engine.go.set()


def wait_for_queue(client: TestClient, depth: int) -> None:
    """Until so many pictures wait."""
    (batcher,) = [serving.batcher for serving in shared(client).registry.serving.values()]
    while batcher.depth < depth:
        client.get("/health/live")


def shared(client: TestClient) -> Shared:
    state: Any = client.app_state
    found: Shared = state["shared"]
    return found


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Gated:
    """A network that counts as slow, so that it computes on a thread."""
    monkeypatch.setattr("service.serving.INLINE_S", 0.0)
    engine = Gated()
    engine.go.set()
    return engine


def test_a_full_queue_is_503_and_says_when_to_come_back(engine: Gated, start: Start) -> None:
    client = start(engine, max_queue=2, max_pictures=2)
    with ThreadPoolExecutor(4) as callers:
        with busy(engine, client, callers) as first:
            waiting = callers.submit(client.post, "/predict", json={"images": [picture(n).tolist() for n in (2, 3)]})
            wait_for_queue(client, 2)
            refused = client.post("/predict", json={"image": picture(4).tolist()})
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["type"] == "urn:convolve:problem:queue-full"
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 200
        assert first.result(30).status_code == 200
        assert waiting.result(30).status_code == 200


def test_a_deadline_that_passes_is_504(engine: Gated, start: Start) -> None:
    client = start(engine, deadline_ms=50)
    with ThreadPoolExecutor(4) as callers, busy(engine, client, callers) as first:
        late = first.result(30)
        assert late.status_code == 504
        assert late.json()["type"] == "urn:convolve:problem:deadline-exceeded"
        assert "50 ms" in late.json()["expected"]
    assert client.post("/predict", json={"image": picture(7).tolist()}).status_code == 200


LARGE = png(np.full((300, 300), 255, np.uint8))


def test_a_picture_that_waits_too_long_for_a_decoder_is_504(start: Start) -> None:
    client = start(Reader(), deadline_ms=50)
    (serving,) = shared(client).registry.serving.values()
    go = threading.Event()
    held = [serving.decoders.submit(go.wait, 30) for _ in range(2)]
    try:
        late = client.post("/predict", content=LARGE)
        assert late.status_code == 504
        assert "50 ms" in late.json()["expected"]
        assert client.post("/predict", json={"image": picture(7).tolist()}).status_code == 200
    finally:
        go.set()
    assert all(each.result(30) for each in held)
    assert client.post("/predict", content=LARGE).status_code == 200


def test_a_call_whose_pictures_take_too_long_together_is_504(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(*given: Any, **options: Any) -> Any:
        time.sleep(0.03)
        return real(*given, **options)

    real = pictures.inspect
    monkeypatch.setattr(pictures, "inspect", inspect)
    client = start(Reader(), deadline_ms=50)
    late = client.post("/predict", files=[("a", (f"{number}.png", LARGE)) for number in range(10)])
    assert late.status_code == 504
    assert late.json()["type"] == "urn:convolve:problem:deadline-exceeded"


def test_pictures_of_a_caller_who_has_left_are_not_prepared() -> None:
    async def body() -> None:
        left = asyncio.Event()
        prepared = []

        async def one(_: Any, source: Any, mode: Any) -> Any:
            prepared.append(source)
            if len(prepared) == 3:
                left.set()
            await asyncio.sleep(road.TURN_S)
            return picture(1)

        async def receive() -> dict[str, str]:
            await left.wait()
            return {"type": "http.disconnect"}

        request: Any = SimpleNamespace(receive=receive)
        serving: Any = SimpleNamespace(batcher=SimpleNamespace(deadline_s=30))
        with pytest.raises(ClientDisconnect):
            await road.prepare(serving, [b""] * 1000, "auto", one, request)
        assert len(prepared) < 10

    asyncio.run(body())
