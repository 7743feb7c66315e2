"""Models that the document names by reference: they are made ready when somebody asks for it, not at each start."""

from typing import Any

from pydantic import BaseModel

NAMED: list[type[BaseModel]] = []
"""All of them."""
TEMPLATE = "#/components/schemas/{model}"


def content(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    """A body or an answer, by its media type."""
    NAMED.append(model)
    return {media_type: {"schema": {"$ref": TEMPLATE.format(model=model.__name__)}}}
