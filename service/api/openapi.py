"""The OpenAPI document: FastAPI writes it from the routes, and does not know what we say when something is wrong."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.api.schemas.reference import NAMED, TEMPLATE
from service.api.schemas.refusals import REFUSED

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
            _, named = models_json_schema([(model, "validation") for model in NAMED], ref_template=TEMPLATE)
            schemas.update(named["$defs"])
            self.openapi_schema = without_nulls(document)
        return self.openapi_schema or {}


def without_nulls(part: Any) -> Any:
    """A part of the document without defaults that are null: what writes clients from it takes a field that has a
    default for one that is always sent.
    """
    if isinstance(part, dict):
        return {name: without_nulls(each) for name, each in part.items() if (name, each) != ("default", None)}
    return [without_nulls(each) for each in part] if isinstance(part, list) else part
