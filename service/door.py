"""The outermost layer: every request comes in here, is named, counted, and answered whatever happens.

Routes of class `HotRoute` are called from here directly. FastAPI documents them, and would answer them as well, but its
layers cost more than the rest of the road together.
"""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import Counter, Histogram
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service import problems
from service.errors import Draining, ServiceError
from service.metrics import Metrics
from service.serving import Serving
from service.state import Shared
from service.whole import WHOLE, Whole

logger = logging.getLogger(__name__)

HEADER = b"x-request-id"
"""Names a request, and its answer."""
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
"""What we take for a request id; anything else could write lines of its own into a log."""
LEFT = 499
"""Counted where the caller left before the answer; nobody gets to see it."""

Counted = dict[tuple[str, int], tuple[Counter, Histogram]]
"""What answers are counted in, by route and status."""


class Name(Convertor[str]):
    """What a path may call a model, a version or a label. A colon is not in it: a verb comes behind one."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("name", Name())


class HotRoute(APIRoute):
    """A route whose function takes the request as it is and makes its own response.

    A dialect with an error form of its own overrides `respond`.
    """

    @staticmethod
    def respond(error: ServiceError) -> Response:
        """What the caller gets instead of an answer."""
        return problems.respond(error)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class TerseRoute(HotRoute):
    """A route of a dialect whose errors are `{"error": "…"}`."""

    @staticmethod
    def respond(error: ServiceError) -> Response:
        return problems.respond_tersely(error)


class Answer(Response):
    """JSON, NumPy arrays included. Made without what Starlette does for responses in general."""

    def __init__(self, content: Any) -> None:
        self.status_code = 200
        self.background = None
        self.body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        length = str(len(self.body)).encode()
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", length)]


class Door:
    """The ASGI application that uvicorn calls."""

    def __init__(self, api: FastAPI, hot: list[HotRoute]) -> None:
        self.api = api
        self.fixed = {(method, route.path): route for route in hot for method in route.methods or ()}
        self.numbers = itertools.count()
        self.prefix = secrets.token_hex(8).encode()
        self.patterns = [route for route in hot if "{" in route.path]
        self.counted: Counted = {}
        """What answers without a version are counted in, by route and status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        scope = as_get(scope)
        started = time.perf_counter()
        route: HotRoute | None = None
        shared: Shared = scope["state"]["shared"]
        headers = dict(scope["headers"])
        request_id = scope["state"]["request_id"] = self.name(headers)
        leave = Leave(receive) if b"expect" in headers else None
        take = leave or receive
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                mark(message, request_id, last=shared.draining or (leave is not None and leave.awaited))
            await send(message)

        shared.metrics.in_flight.inc()
        try:
            route = scope["route"] = self.find(scope)
            app = self.api if route is None else await respond(route, Request(scope, take))
            last = shared.draining or (leave is not None and leave.awaited)
            if isinstance(app, Answer) and not last and give(scope, app, request_id):
                status = app.status_code
            else:
                await app(scope, take, reply)
        except ClientDisconnect:
            status = scope["state"].get("refused", LEFT)  # or its body broke off, and the server has answered
        except asyncio.CancelledError:  # the server has waited `stop_s` for this one, and goes
            if status:
                raise
            error = Draining("the server is going down", fix="send the request to another server")
            await excuse(route, error)(scope, take, reply)
        except Exception:
            # The API's own outermost layer has answered 500 already, and passes the error on to be logged.
            logger.exception("request %s failed", request_id.decode())
            if not status:
                await excuse(route, problems.FAILURE)(scope, take, reply)
        finally:
            shared.metrics.in_flight.dec()
        self.count(shared, scope, status, time.perf_counter() - started)

    def name(self, headers: dict[bytes, bytes]) -> bytes:
        """The caller's request id, or a new one."""
        given = headers.get(HEADER)
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return b"%s-%x" % (self.prefix, next(self.numbers))

    def find(self, scope: Scope) -> HotRoute | None:
        """The hot route of a request, its path parameters in `scope["path_params"]`."""
        method, path = scope["method"], scope["path"]
        route = self.fixed.get((method, path))
        if route is not None:
            return route
        for route in self.patterns:
            if method in (route.methods or ()) and (found := route.path_regex.match(path)):
                scope["path_params"] = found.groupdict()
                return route
        return None

    def count(self, shared: Shared, scope: Scope, status: int, seconds: float) -> None:
        """Add the answer to its series; their number is bounded by our routes and what is loaded."""
        # Taken away: an idle connection keeps its last request, and that would keep a version that was unloaded.
        serving: Serving | None = scope["state"].pop("serving", None)
        counted = self.counted if serving is None else serving.counted
        template: str | None = getattr(scope.get("route"), "path_format", None)
        count(shared.metrics, counted, serving, template or scope["root_path"] or "unknown", status, seconds)


class Leave:
    """The body of a caller who waits for leave to send it. Who gets another answer instead may send it or not, so that
    nobody knows what comes next on this connection (RFC 9110, section 10.1.1).
    """

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.awaited = True

    async def __call__(self) -> Message:
        self.awaited = False
        return await self.receive()


def give(scope: Scope, answer: Answer, request_id: bytes) -> bool:
    """Let a server that can do so send all of an answer at once. Returns whether it did."""
    extensions = scope.get("extensions", {})
    if WHOLE not in extensions:
        return False
    send: Whole = extensions[WHOLE]["send"]
    return send(scope, [*answer.raw_headers, (HEADER, request_id)], bytes(answer.body))


def mark(start: Message, request_id: bytes, *, last: bool) -> None:
    """Put into an answer's head what all answers have; the last one is that of a connection."""
    if start["status"] == HTTPStatus.TEMPORARY_REDIRECT:
        start["headers"] = [*map(relative, start["headers"])]
    start["headers"].append((HEADER, request_id))
    if last:
        start["headers"].append((b"connection", b"close"))


def relative(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Where a path with a slash too many, or too few, leads: told so that it holds behind any proxy."""
    name, value = header
    if name != b"location":
        return header
    there = urlsplit(value)
    last = there.path.rstrip(b"/").rpartition(b"/")[2]
    place = last + b"/" if there.path.endswith(b"/") else b"../" + last
    return name, place + (b"?" + there.query if there.query else b"")


def as_get(scope: Scope) -> Scope:
    """HEAD is what GET would say; uvicorn, which has the scope as it was, leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def excuse(route: HotRoute | None, error: ServiceError) -> Response:
    """What the caller gets instead of an answer, in the words of the route."""
    return route.respond(error) if route else problems.respond(error)


def count(metrics: Metrics, counted: Counted, serving: Serving | None, route: str, status: int, seconds: float) -> None:
    """Add an answer to its series, which are looked up once and kept in `counted`."""
    if (route, status) not in counted:
        model, version = ("", "")
        if serving is not None:
            model, version = serving.manifest.name, str(serving.manifest.version)
        counted[route, status] = (
            metrics.requests.labels(route, status, model, version),
            metrics.request_seconds.labels(route, model, version),
        )
    requests, request_seconds = counted[route, status]
    requests.inc()
    request_seconds.observe(seconds)


async def respond(route: HotRoute, request: Request) -> Response:
    """The route's response, or the one that says what went wrong."""
    try:
        response: Response = await route.endpoint(request)
    except ServiceError as error:
        count_refusal(request, error)
        return route.respond(error)
    return response


def count_refusal(request: Request, error: ServiceError) -> None:
    """Count a request that is refused. A failure of our own is logged where it happened, not here again."""
    shared: Shared = request.scope["state"]["shared"]
    shared.metrics.rejected.labels(error.slug()).inc()
