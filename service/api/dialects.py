"""What the OpenAPI document says of the dialects of others. Describes; nothing is checked against it while serving."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field


class Status(BaseModel):
    """Something went wrong: one line that says what was expected, what was found, and how to fix it."""

    error: str


FAILED = {
    "description": "What was expected, what was found, and how to fix it.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}},
}


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str = Field(examples=["image"])
    datatype: str = Field(description="UINT8 … FP64 for pixels, BYTES for picture files.", examples=["UINT8"])
    shape: list[int] = Field(examples=[[1, 28, 28, 1]])
    data: list[Any] | None = Field(None, description="Values; base64 for BYTES. Or binary, behind the JSON.")
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    """A question of the Open Inference Protocol."""

    id: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="`binary_data_output`, `prepare`.")
    inputs: list[Tensor]
    outputs: list[dict[str, Any]] | None = Field(
        None,
        description="Of those in the model's metadata; without them, the first: the probabilities.",
        examples=[[{"name": "probabilities", "parameters": {"classification": 3}}]],
    )


class InferResponse(BaseModel):
    """Its answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


class Rows(BaseModel):
    """TensorFlow Serving's question, in row form or in column form."""

    signature_name: str | None = Field(None, examples=["serving_default"])
    instances: list[Any] | None = Field(None, description='Pictures: pixels in lists, or `{"b64": …}` of a file.')
    inputs: Any | None = Field(None, description="The same as one tensor.")


class RowsAnswer(BaseModel):
    """A row of probabilities for each picture."""

    predictions: list[list[float]] | None = None
    outputs: list[list[float]] | None = None


class Examples(BaseModel):
    """TensorFlow Serving's question to a classifier."""

    signature_name: str | None = None
    context: dict[str, Any] | None = None
    examples: list[dict[str, Any]] = Field(examples=[[{"image": {"b64": "…"}}]])


class Classes(BaseModel):
    """For each example every label with its probability."""

    results: list[list[tuple[str, float]]]
    result: list[list[tuple[str, float]]] = Field(description="The same: the dialect's own document calls it so.")


def name_in_path(*more: str, refused: Sequence[int] = (400, 404)) -> dict[str, Any]:
    """The path's parameters, `name` and more; and the statuses of errors."""
    names = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in ("name", *more)]
    return {"openapi_extra": {"parameters": names}, "responses": dict.fromkeys(refused, FAILED)}


def asked_in_json(
    question: type[BaseModel], answer: type[BaseModel], *names: str, content: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A route of a dialect that asks and answers in JSON; and in what `content` says, by media type."""
    schema = question.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # what a question is made of is in its answer as well, and described there
    return {
        "response_model": None,
        "responses": {
            200: {"model": answer, "content": dict(content or {})},
            **dict.fromkeys((400, 404, 408, 413, 415, 503, 504), FAILED),
        },
        "openapi_extra": {
            **name_in_path(*names)["openapi_extra"],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        },
    }
