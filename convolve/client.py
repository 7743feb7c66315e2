"""Client and AsyncClient: the same calls, with two ways of waiting.

What is sent and how answers are read stands in `calls`, when a call is repeated in `patience`.
"""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2

from convolve import calls
from convolve.answers import Details, Event, Model, Prediction
from convolve.calls import Call, Options
from convolve.errors import Problem, Unreadable
from convolve.patience import Patience, Tries
from convolve.pictures import Chunk, Picture, Source, chunks, load

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
LAST_PORT = 65_535
CHUNK = 64
"""Pictures that `predict_many` sends in one request: what a server computes at once."""
TOO_LARGE = 413
"""Status of a request with too many bytes or pictures."""


class Settings:
    """What both clients are made of."""

    def __init__(self, url: str | None, token: str | None, canary_key: str | None, patience: Patience | None) -> None:
        try:
            self.url = httpx2.URL(url or os.environ.get("CONVOLVE_URL") or DEFAULT_URL)
        except httpx2.InvalidURL as error:
            raise ValueError(f"not a URL: {error}") from error
        if self.url.scheme not in ("http", "https") or not self.url.host:
            raise ValueError(f"not the URL of a server: {self.url}; expected: something like {DEFAULT_URL}")
        if self.url.port is not None and not 1 <= self.url.port <= LAST_PORT:
            raise ValueError(f"not a port: {self.url.port}; expected: 1 to {LAST_PORT}")
        self.token = check_header("token", token or os.environ.get("CONVOLVE_ADMIN_TOKEN"))
        self.canary_key = check_header("canary_key", canary_key)
        self.patience = patience or Patience()

    def of_httpx(self) -> dict[str, Any]:
        # A proxy that the environment names has no way to what listens on this machine only.
        return {"base_url": self.url, "trust_env": self.url.host not in HERE}

    def build(
        self, http: httpx2.Client | httpx2.AsyncClient, call: Call[Any], request_id: str | None
    ) -> httpx2.Request:
        """The request of a call. It keeps its id from try to try."""
        request = http.build_request(call.method, call.path, params=call.params or None, **call.body)
        request.headers["x-request-id"] = check_header("request_id", request_id) or uuid.uuid4().hex
        if self.canary_key:
            request.headers["x-canary-key"] = self.canary_key
        if call.admin and self.token:
            request.headers["authorization"] = f"Bearer {self.token}"
        return request


def check_header(name: str, value: str | None) -> str:
    """What is sent as a header, without blanks around it; empty where there is none.

    Raises:
        TypeError: It is no text.
        ValueError: No header takes it.
    """
    if not isinstance(value, str | None):
        raise TypeError(f"the {name} is of type {type(value).__name__}; expected: str")
    value = (value or "").strip()
    if not (value.isascii() and (value + "x").isprintable()):
        raise ValueError(f"the {name} has signs that no header takes")
    return value


def limit(request: httpx2.Request, tries: Tries) -> None:
    request.extensions["timeout"] = httpx2.Timeout(tries.timeout_s).as_dict()


class Client:
    """Talks to a Convolve server. One may be shared by many threads.

    Args:
        url: Where the server is; the variable `CONVOLVE_URL`, else http://127.0.0.1:8000.
        token: The server's admin token, for calls that change what serves, and sent with no others; the variable
            `CONVOLVE_ADMIN_TOKEN`.
        canary_key: Whose calls these are: while a new version is tried out on a share of the callers, one key always
            meets the same version. Without it, each call is a caller of its own.
        patience: How long a call may take, and how often it is tried.
        transport: Another way to the server than plain TCP: httpx2.HTTPTransport(uds="…", verify=…).
        sleep: How pauses between tries are spent.

    Raises:
        ValueError: The URL is none, or the token or the key can not be one.

    Every method raises `Unreachable` where nobody answers in time, `Problem` where the server refuses, and `BadAnswer`
    where what answers is no Convolve.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        canary_key: str | None = None,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = Settings(url, token, canary_key, patience)
        self._http = httpx2.Client(**self._settings.of_httpx(), transport=transport)
        self._sleep = sleep

    def predict(self, picture: Picture, *, request_id: str | None = None, **options: Unpack[Options]) -> Prediction:
        """Probabilities of every class for one picture.

        Args:
            picture: A path, the bytes of a picture file, a binary file object; or pixels: an array, or nested
                sequences of whole numbers from 0 to 255, which go to the network as they are.
            request_id: Named in logs on both sides; made up if not given.
            options: `model`, `version` or `label`, `top` (how many of the best guesses), `prepare` ("auto" or "none"),
                `include` ("seen": what the network was given).

        Raises:
            Unreadable: There is nothing to send.
            Problem: The server refused the picture, or is too busy for longer than we are patient.
        """
        return self._run(calls.predict(load(picture), options), request_id)

    def predict_many(
        self, pictures: Iterable[Picture], *, chunk: int = CHUNK, **options: Unpack[Options]
    ) -> Iterator[Prediction | Problem | Unreadable]:
        """One entry for each picture, in order, as answers come in.

        A picture that can not be read, here or there, spoils only itself: its entry is the error, which is not raised.
        What concerns a whole call (no such model, nobody answers) is raised.

        Args:
            pictures: As for `predict`. Read when their turn has come: a generator of millions is welcome.
            chunk: Pictures that are sent in one request, at most.
            options: As for `predict`.
        """
        for some in chunks(pictures, chunk):
            yield from some.merge(self._predict_some(some.sources, options))

    def _predict_some(self, sources: Sequence[Source], options: Options) -> list[Prediction | Problem]:
        """The answers to some pictures, in several requests where the server takes no such large one."""
        try:
            return self._run(calls.predict_many(sources, options)) if sources else []
        except Problem as problem:
            if problem.status != TOO_LARGE or len(sources) == 1:
                raise
        half = len(sources) // 2
        return [*self._predict_some(sources[:half], options), *self._predict_some(sources[half:], options)]

    def models(self) -> tuple[Model, ...]:
        """Every version in the server's store: which serve, which were refused and why."""
        return self._run(calls.models())

    def ready(self) -> bool:
        """Whether the server wants to be asked: its default model answers, and it is not going down."""
        return self._run(calls.ready())

    def model(self, name: str) -> Details:
        """One model: what answers, what its versions are called, which is on trial."""
        return self._run(calls.model(name))

    def history(self, name: str) -> tuple[Event, ...]:
        """What happened to a model, oldest first."""
        return self._run(calls.history(name))

    def feedback(self, answer: Prediction | str, label: str | None = None, *, picture: int = 0) -> None:
        """Say of an answer what would have been right, so that its picture is kept to train on.

        The server keeps pictures where it was started to do so, and remembers an answer for an hour. Needs the token.

        Args:
            answer: What `predict` returned, or its `request_id`.
            label: The right class; None only says that something is wrong.
            picture: Where only a request's id is given: the place of the picture in it, as in `Prediction.picture`.
        """
        return self._run(calls.feedback(answer, label, picture))

    def promote(self, name: str, version: int | str) -> Details:
        """Let a version, or the one with this label, answer wherever a call names none.

        As all that changes what serves it needs the token, is done in every worker when it returns, and may take as
        long as a version takes to load and to prove itself.
        """
        return self._run(calls.promote(name, version))

    def rollback(self, name: str) -> Details:
        """Take back the version on trial; without a trial, the one that answers: the one before answers again."""
        return self._run(calls.rollback(name))

    def load(self, name: str, version: int | None = None) -> Details:
        """Let the server look at a model's folder at once; with a version, load that one whatever the policy says."""
        return self._run(calls.load(name, version))

    def unload(self, name: str, version: int | None = None) -> Details:
        """Take a version, or the whole model, out of service. What is in flight is answered."""
        return self._run(calls.unload(name, version))

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, call: Call[T], request_id: str | None = None) -> T:
        request = self._settings.build(self._http, call, request_id)
        tries = Tries(call, self._settings.patience)
        while True:
            limit(request, tries)
            try:
                outcome: httpx2.Response | httpx2.RequestError = self._http.send(request)
            except httpx2.RequestError as error:
                outcome = error
            if (pause_s := tries.pause_after(outcome)) is None:
                return call.conclude(outcome)
            self._sleep(pause_s)


class AsyncClient:
    """`Client` for asyncio: the same arguments, methods and errors. Files are read beside the event loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        canary_key: str | None = None,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = Settings(url, token, canary_key, patience)
        self._http = httpx2.AsyncClient(**self._settings.of_httpx(), transport=transport)
        self._sleep = sleep

    async def predict(
        self, picture: Picture, *, request_id: str | None = None, **options: Unpack[Options]
    ) -> Prediction:
        """See `Client.predict`."""
        source = await asyncio.to_thread(load, picture)
        return await self._run(calls.predict(source, options), request_id)

    async def predict_many(
        self, pictures: Iterable[Picture], *, chunk: int = CHUNK, **options: Unpack[Options]
    ) -> AsyncIterator[Prediction | Problem | Unreadable]:
        """See `Client.predict_many`."""
        rest = chunks(pictures, chunk)
        while (some := await asyncio.to_thread(next, rest, Chunk())).pictures:
            for answer in some.merge(await self._predict_some(some.sources, options)):
                yield answer

    async def _predict_some(self, sources: Sequence[Source], options: Options) -> list[Prediction | Problem]:
        try:
            return await self._run(calls.predict_many(sources, options)) if sources else []
        except Problem as problem:
            if problem.status != TOO_LARGE or len(sources) == 1:
                raise
        half = len(sources) // 2
        return [*await self._predict_some(sources[:half], options), *await self._predict_some(sources[half:], options)]

    async def models(self) -> tuple[Model, ...]:
        """See `Client.models`."""
        return await self._run(calls.models())

    async def ready(self) -> bool:
        """See `Client.ready`."""
        return await self._run(calls.ready())

    async def model(self, name: str) -> Details:
        """See `Client.model`."""
        return await self._run(calls.model(name))

    async def history(self, name: str) -> tuple[Event, ...]:
        """See `Client.history`."""
        return await self._run(calls.history(name))

    async def feedback(self, answer: Prediction | str, label: str | None = None, *, picture: int = 0) -> None:
        """See `Client.feedback`."""
        return await self._run(calls.feedback(answer, label, picture))

    async def promote(self, name: str, version: int | str) -> Details:
        """See `Client.promote`."""
        return await self._run(calls.promote(name, version))

    async def rollback(self, name: str) -> Details:
        """See `Client.rollback`."""
        return await self._run(calls.rollback(name))

    async def load(self, name: str, version: int | None = None) -> Details:
        """See `Client.load`."""
        return await self._run(calls.load(name, version))

    async def unload(self, name: str, version: int | None = None) -> Details:
        """See `Client.unload`."""
        return await self._run(calls.unload(name, version))

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call[T], request_id: str | None = None) -> T:
        request = self._settings.build(self._http, call, request_id)
        tries = Tries(call, self._settings.patience)
        while True:
            limit(request, tries)
            try:
                outcome: httpx2.Response | httpx2.RequestError = await self._http.send(request)
            except httpx2.RequestError as error:
                outcome = error
            if (pause_s := tries.pause_after(outcome)) is None:
                return call.conclude(outcome)
            await self._sleep(pause_s)
