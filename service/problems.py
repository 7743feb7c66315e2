"""From an error to what HTTP says of it: statuses, and problem details after RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from service import errors
from service.errors import CallerError, Overload, ServiceError

STATUS: dict[type[ServiceError], int] = {
    errors.ServiceError: 500,
    errors.CallerError: 400,
    errors.UnsupportedPicture: 415,
    errors.UnsupportedMediaType: 415,
    errors.SlowBody: 408,
    errors.TooLarge: 413,
    errors.OpaqueNetwork: 422,
    errors.UnknownModel: 404,
    errors.UnknownRequest: 404,
    errors.FeedbackOff: 403,
    errors.AdminClosed: 403,
    errors.WrongToken: 401,
    errors.Conflict: 409,
    errors.StoreFull: 507,
    errors.Overload: 503,
    errors.DeadlineExceeded: 504,
    errors.NotEverywhere: 504,
}
"""Status of each class of error; a class that is not listed has that of its base."""

MEDIA_TYPE = "application/problem+json"
WORDS = ("expected", "found", "fix")
FAILURE = ServiceError("something went wrong on our side")
"""What callers get to know of an error that nobody has foreseen; the log has the rest."""


def status_of(error: ServiceError) -> int:
    """The status of the nearest listed class."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def describe(error: ServiceError) -> dict[str, Any]:
    """Problem details. Our own failures keep their reasons for the log."""
    slug = error.slug()
    details: dict[str, Any] = {
        "type": f"urn:convolve:problem:{slug}",
        "title": slug.replace("-", " ").capitalize(),
        "status": status_of(error),
        "detail": error.detail,
    }
    if isinstance(error, CallerError | Overload):
        for name in WORDS:
            if text := getattr(error, name):
                details[name] = text
    return details


def respond(error: ServiceError) -> Response:
    """The answer to a request that failed as a whole."""
    return Response(orjson.dumps(describe(error)), status_of(error), headers_of(error), MEDIA_TYPE)


def respond_tersely(error: ServiceError) -> Response:
    """The same in the form of the dialects that have one line for it: `{"error": "…"}`."""
    return terse(status_of(error), sentence(error), headers_of(error))


def sentence(error: ServiceError) -> str:
    """What `describe` says, in one line."""
    details = describe(error)
    return "; ".join([details["detail"], *(f"{name}: {details[name]}" for name in WORDS if name in details)])


def headers_of(error: ServiceError) -> dict[str, str]:
    """When to come back, and whether the connection lives on."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Overload) else {}
    if isinstance(error, errors.WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.TooLarge | errors.SlowBody):
        headers["Connection"] = "close"  # the rest of the body is not read
    return headers


def plain(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: str) -> Response:
    """The answer where HTTP itself is the matter: no such route, no such method."""
    details = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(orjson.dumps(details), status, headers, MEDIA_TYPE)


def terse(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """`{"error": "…"}`"""
    return Response(orjson.dumps({"error": text}), status, headers, "application/json")
