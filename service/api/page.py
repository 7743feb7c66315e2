"""The page: its files, and the example pictures that it offers. Everything comes from here, nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEB = Path(__file__).parent.parent / "web"
EXAMPLES = WEB.parent.parent / "examples"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # asked for each time, and mostly answered with 304
}

router = APIRouter()

FILES = StaticFiles(directory=WEB)


class Guarded:
    """Sends an application's answers with the page's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guard(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, guard)


@router.get("/", include_in_schema=False)
async def page(request: Request) -> Response:
    """Draw a digit, get the answer, look inside."""
    response = await FILES.get_response("index.html", request.scope)
    response.headers.update(HEADERS)
    return response


@router.get("/examples", tags=["models"])
def list_examples() -> list[str]:
    """Addresses of the pictures that the page offers."""
    if not EXAMPLES.is_dir():
        return []
    return [f"examples/{path.name}" for path in sorted(EXAMPLES.iterdir()) if path.suffix in (".png", ".jpg")]


def mount_files(api: FastAPI) -> None:
    """Files of the page, and the examples."""
    api.mount("/web", GZipMiddleware(Guarded(FILES), minimum_size=512))
    if EXAMPLES.is_dir():
        api.mount("/examples", Guarded(StaticFiles(directory=EXAMPLES)))
