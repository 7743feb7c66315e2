"""What the routes of others' dialects have in common: names in the path, JSON in and out."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from service.api.schemas.reference import content
from service.api.schemas.refusals import FAILED

READING = (400, 404)
"""Statuses with which a question about a model is refused."""
LISTING = (400, 408, 413, 415, 503)
"""Statuses with which a question about all of them is refused, if it has a body."""
ASKING = (400, 404, 408, 413, 415, 503, 504)
"""Statuses with which pictures are refused."""
CHANGING = (400, 401, 403, 404, 408, 409, 413, 415, 503, 504, 507)
"""Statuses with which a change of what serves is refused."""


def describe(
    answer: type[BaseModel] | None,
    *names: str,
    question: type[BaseModel] | None = None,
    required: bool = True,
    refused: Sequence[int] = READING,
    otherwise: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A route that asks and answers in JSON.

    Args:
        answer: What it says when all is well; None where it never is.
        names: Of the path's parameters.
        question: What its body is; None where it has none.
        required: Whether it has to have it.
        refused: Statuses of errors.
        otherwise: What the answer may be instead, by media type.
    """
    more: dict[str, Any] = {}
    if names:
        parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        more["parameters"] = parameters
    if question is not None:
        more["requestBody"] = {"required": required, "content": content(question)}
    if HTTPStatus.UNAUTHORIZED in refused:
        more["security"] = [{"HTTPBearer": []}]
    responses: dict[int, Any] = dict.fromkeys(refused, FAILED)
    if answer is not None:
        responses[200] = {"content": content(answer) | dict(otherwise or {})}
    return {
        "response_model": None,
        "status_code": refused[0] if answer is None else 200,
        "responses": responses,
        "openapi_extra": more,
    }
