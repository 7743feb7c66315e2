"""The OpenAPI document: FastAPI writes it from the routes, and does not know what we say when something is wrong."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from service.api.schemas.refusals import REFUSED, Problem, Status

ERRORS: tuple[type[BaseModel], ...] = (Problem, Status)
"""What the routes answer instead; they name these by reference."""
FOREIGN = ("HTTPValidationError", "ValidationError")
"""What FastAPI would answer."""


class Api(FastAPI):
    """FastAPI, with a document that keeps to what is really answered."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    if FOREIGN[0] in str(operation["responses"].get("422")):
                        del operation["responses"]["422"]
                        operation["responses"]["400"] = REFUSED
            schemas = document["components"]["schemas"]
            for name in FOREIGN:
                schemas.pop(name, None)
            for error in ERRORS:
                schemas[error.__name__] = error.model_json_schema()
        return self.openapi_schema or {}
