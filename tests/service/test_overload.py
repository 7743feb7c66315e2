"""A network that is busy: refusals come at once, health answers, and nobody waits for ever."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.state import Shared
from tests.fakes import Gated, picture
from tests.service.conftest import Start


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
