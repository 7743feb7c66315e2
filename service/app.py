"""create_app(): everything is built here, before the first request, and let go after the last."""

import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing, nullcontext

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service import __version__, problems
from service.api import admin, inside, native, openinference, operations, page, tfserving
from service.api.openapi import Api
from service.board import Board
from service.control import Control
from service.door import Door, HotRoute, count_refusal
from service.drain import draining
from service.errors import ServiceError, shown, wanted
from service.feedback import Feedback
from service.inside import Microscope
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.registry import Registry
from service.settings import Settings
from service.state import Shared, State
from service.watchdog import Watchdog

DIALECTS = (native.router, openinference.router, tfserving.router)
TERSE = {"v1": tfserving.ROUTES, "v2": openinference.ROUTES}
"""The dialects whose errors are one line, by where their paths begin, with the routes that they have."""


def create_app(settings: Settings, board: Board | None = None) -> Door:
    """The service with these settings, as the ASGI application that uvicorn calls.

    Args:
        settings: Every knob.
        board: What this worker shares with others; None where it has none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with living(settings, board or Board()) as shared:
            yield {"shared": shared}

    api = Api(
        title="Convolve",
        version=__version__,
        summary="Pictures in, named probabilities out.",
        lifespan=lifespan,
        servers=[{"url": ".", "description": "where this document lies"}],  # wherever a proxy has put it
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=name_of,
    )
    for router in (*DIALECTS, operations.router, admin.router):
        api.include_router(router)
    if settings.inside:
        api.include_router(inside.router)
    api.include_router(page.router)
    operations.mount_files(api)
    page.mount_files(api)
    api.add_exception_handler(ServiceError, on_service_error)
    api.add_exception_handler(RequestValidationError, on_validation_error)
    api.add_exception_handler(HTTPException, on_http_error)
    api.add_exception_handler(Exception, on_failure)
    return Door(api, [route for router in DIALECTS for route in router.routes if isinstance(route, HotRoute)])


@asynccontextmanager
async def living(settings: Settings, board: Board) -> AsyncIterator[Shared]:
    """What the routes share: there before the first request, and let go in reverse after the last."""
    with ExitStack() as stack:
        metrics = Metrics(CollectorRegistry())
        registry = Registry(settings)
        lifecycle = Lifecycle(settings, metrics, registry, board)
        control = Control(lifecycle)
        await lifecycle.start()
        control.start()
        feedback = Feedback(settings.feedback, settings, metrics) if settings.feedback else None
        if feedback is not None:
            feedback.start()
            stack.callback(feedback.close)
        microscope = stack.enter_context(closing(Microscope())) if settings.inside else None
        shared = Shared(settings, metrics, registry, control, feedback, microscope)
        stack.enter_context(draining(shared, board))
        stack.enter_context(Watchdog(registry, settings.hang_s))
        gc.freeze()  # what is loaded stays: the collector need not look at it again
        async with over_grpc(shared):
            yield shared
        control.close()
        await lifecycle.close()
        metrics.leave()


def name_of(route: APIRoute) -> str:
    """What a client generated from the OpenAPI document calls a route: `predict`, `v2_infer_version`."""
    dialect = route.path.split("/")[1]
    places = [name for name in ("version", "label") if f"{{{name}" in route.path and not route.name.endswith(name)]
    return "_".join([*([dialect] if dialect in TERSE else []), route.name, *places])


def over_grpc(shared: Shared) -> AbstractAsyncContextManager[None]:
    """The same over gRPC, where that is switched on. Only then is its library needed."""
    if shared.settings.grpc_port is None:
        return nullcontext()
    from service.api.grpc import listening

    return listening(shared)


async def on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for nothing else
    count_refusal(request, error)
    return problems.respond(error)


async def on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return problems.plain(400, f"{where} is not understood", expected=wanted(first["msg"]), found=shown(first["input"]))


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    path = shown(request.url.path)
    if routes := TERSE.get(request.url.path.split("/")[1]):
        detail = "no such route" if error.status_code == 404 else f"this route does not take {request.method}"
        return problems.terse(error.status_code, f"{detail}; expected: {routes}; found: {path}", error.headers)
    if error.status_code == 404:
        return problems.plain(404, "there is nothing here", found=path, fix="see /docs for the routes")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        detail = "this route does not take that method"
        return problems.plain(405, detail, error.headers, expected=allowed, found=f"{request.method} {path}")
    return problems.plain(error.status_code, str(error.detail), error.headers)


async def on_failure(request: Request, error: Exception) -> Response:
    return problems.respond(problems.FAILURE)  # the door logs it
