"""Both clients, asked in the same way, before the service in this process or before a script of answers."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from convolve import AsyncClient, Client, Patience
from tests.service.conftest import client as client
from tests.service.conftest import first as first
from tests.service.conftest import start as start
from tests.service.conftest import store as store

Outcome = httpx2.Response | type[httpx2.TransportError]


class Way(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A transport for both clients. It keeps what was asked, and the clock, which only pauses move."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.pauses: list[float] = []
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, **options: Any) -> Patience:
        return Patience(clock=lambda: self.now, chance=lambda: 1.0, **options)


class Through(Way):
    """Into the service in this process."""

    def __init__(self, service: TestClient) -> None:
        super().__init__()
        self.service = service

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.service.request(
            request.method, request.url.raw_path.decode(), content=request.read(), headers=request.headers
        )
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return await asyncio.to_thread(self.handle_request, request)


class Script(Way):
    """Answers one after the other, or fails to."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__()
        self.outcomes = list(outcomes)
        self.bodies: list[bytes] = []
        self.timeouts: list[float] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.read())
        return self.next(request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(await request.aread())
        return self.next(request)

    def next(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.timeouts.append(request.extensions["timeout"]["read"])
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, type):
            raise outcome("out of order", request=request)
        return outcome


class Awaited:
    """AsyncClient, asked like Client."""

    def __init__(self, url: str, sleep: Callable[[float], None], **options: Any) -> None:
        async def pause(seconds: float) -> None:
            sleep(seconds)

        self.runner = asyncio.Runner()
        self.client = AsyncClient(url, sleep=pause, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def ask(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            return self.iterate(answer) if hasattr(answer, "__anext__") else self.runner.run(answer)

        return ask

    def iterate(self, answers: Any) -> Iterator[Any]:
        async def advance() -> Any:
            return await anext(answers, self)

        while (answer := self.runner.run(advance())) is not self:
            yield answer

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()


Connect = Callable[..., Any]


@contextmanager
def connecting(kind: type[Client] | type[Awaited]) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(transport: Way, token: str | None = None, canary_key: str | None = None, **patience: Any) -> Any:
            client = kind(
                "http://testserver",
                token=token,
                canary_key=canary_key,
                patience=transport.patience(**patience),
                transport=transport,
                sleep=transport.sleep,
            )
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture(params=[Client, Awaited], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """A client of either kind: `connect(Script(…), attempts=2)`."""
    with connecting(request.param) as connect:
        yield connect
