"""The outermost layer: every request comes in here, is named, counted, and answered whatever happens.

Routes of class `HotRoute` are called from here directly. FastAPI documents them, and would answer them as well, but its
layers cost more than the rest of the road together.
"""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service import problems
from service.errors import ServiceError
from service.registry import Serving
from service.state import Shared

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
"""What we take for a request id; anything else could write lines of its own into a log."""
LEFT = 499
"""Counted where the caller left before the answer; nobody gets to see it."""

Handler = Callable[[Request], Awaitable[Response]]


class HotRoute(APIRoute):
    """A route whose function takes the request as it is and makes its own response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def answer(content: Any) -> Response:
    """JSON, NumPy arrays included."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


class Door:
    """The ASGI application that uvicorn calls."""

    def __init__(self, api: FastAPI, hot: list[HotRoute]) -> None:
        self.api = api
        self.hot: dict[tuple[str, str], Handler] = {
            (method, route.path): route.endpoint for route in hot for method in route.methods or ()
        }
        self.counted: dict[tuple[str, int, Serving | None], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        started = time.perf_counter()
        shared: Shared = scope["state"]["shared"]
        request_id = named(scope)
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id))
                if shared.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        with shared.metrics.in_flight.track_inprogress():
            try:
                handler = self.hot.get((scope["method"], scope["path"]))
                if handler is None:
                    await self.api(scope, receive, reply)
                else:
                    response = await safely(handler, Request(scope, receive))
                    await response(scope, receive, reply)
            except ClientDisconnect:
                status = LEFT
            except Exception:
                # The API's own outermost layer has answered 500 already, and passes the error on to be logged.
                logger.exception("request %s failed", request_id.decode())
                if not status:
                    await problems.plain(500, "Something went wrong on our side.")(scope, receive, reply)
        self.count(shared, scope, status, time.perf_counter() - started)

    def count(self, shared: Shared, scope: Scope, status: int, seconds: float) -> None:
        """Add the answer to its series; their number is bounded by our routes and what is loaded."""
        serving: Serving | None = scope["state"].get("serving")
        hot = (scope["method"], scope["path"]) in self.hot
        template: str | None = scope["path"] if hot else getattr(scope.get("route"), "path", None)
        route = template or scope["root_path"] or "unknown"
        key = (route, status, serving)
        if key not in self.counted:
            model, version = ("", "")
            if serving is not None:
                model, version = serving.manifest.name, str(serving.manifest.version)
            self.counted[key] = (
                shared.metrics.requests.labels(route, status, model, version),
                shared.metrics.request_seconds.labels(route, model, version),
            )
        requests, request_seconds = self.counted[key]
        requests.inc()
        request_seconds.observe(seconds)


async def safely(handler: Handler, request: Request) -> Response:
    """The handler's response, or the one that says what went wrong."""
    try:
        return await handler(request)
    except ServiceError as error:
        return refuse(request, error)


def refuse(request: Request, error: ServiceError) -> Response:
    """Count a refusal, and say why. A failure of our own is logged where it happened, not here again."""
    shared: Shared = request.scope["state"]["shared"]
    shared.metrics.rejected.labels(problems.slug(type(error))).inc()
    return problems.respond(error)


def named(scope: Scope) -> bytes:
    """The caller's request id, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: bytes = value
            if REQUEST_ID.fullmatch(given):
                return given
            break
    return uuid.uuid4().hex.encode()
