"""What the OpenAPI document says of our own routes. Describes; nothing is checked against it while serving."""

from typing import Any

from pydantic import BaseModel, Field


class Guess(BaseModel):
    """One of the best guesses."""

    class_id: int = Field(description="Position of the class among the model's labels.", examples=[7])
    label: str = Field(description="Its name.", examples=["7"])
    probability: float = Field(ge=0, le=1, examples=[0.9991])


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(examples=["urn:convolve:problem:unsupported-picture"])
    title: str
    status: int
    detail: str
    expected: str | None = None
    found: str | None = None
    fix: str | None = None


class Prediction(Guess):
    """The answer to one picture."""

    top: list[Guess] = Field(description="The best guesses, best first.")
    probabilities: list[float] = Field(description="One for each class, in class order.")


class Refusal(BaseModel):
    """The answer to one bad picture among many."""

    error: Problem


class Predictions(BaseModel):
    """One entry for each picture, in order."""

    model: str = Field(examples=["mnist"])
    version: int = Field(examples=[1])
    predictions: list[Prediction | Refusal]


class Model(BaseModel):
    """One version of a model."""

    name: str
    version: int
    state: str = Field(description="`serving`, `refused` (see `reason`) or `available`.")
    reason: str | None = None
    labels: list[str] | None = None
    input: dict[str, Any] | None = None
    parameters: int | None = None
    accuracy: dict[str, float] | None = None
    engine: str | None = None
    precision: str | None = None


class Models(BaseModel):
    """All versions in the store."""

    models: list[Model]


BINARY = {"schema": {"type": "string", "format": "binary"}}
PIXELS = {
    "oneOf": [
        {"type": "string", "description": "A picture file in base64; a data-URL prefix is allowed."},
        {
            "type": "array",
            "items": {},
            "description": "Pixels, whole numbers 0-255: 28 rows of 28, or 784, or 28×28×1.",
        },
    ]
}
PARAMETERS = [
    {
        "name": "model",
        "in": "query",
        "description": "Default: the setting `default_model`.",
        "schema": {"type": "string"},
    },
    {"name": "version", "in": "query", "description": "Default: the one that serves.", "schema": {"type": "integer"}},
    {
        "name": "top",
        "in": "query",
        "description": "How many of the best guesses to list.",
        "schema": {"type": "integer", "minimum": 1, "default": 3},
    },
    {
        "name": "prepare",
        "in": "query",
        "description": "`none` sends a picture file's pixels to the network as they are.",
        "schema": {"enum": ["auto", "none"], "default": "auto"},
    },
]
REFUSED = {
    "model": Problem,
    "description": "What was expected, what was found, and how to fix it.",
    "content": {"application/problem+json": {}},
}
PREDICT_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {"model": Predictions, "description": "One entry for each picture, in order."},
        **dict.fromkeys((400, 404, 408, 413, 415, 503, 504), REFUSED),
    },
    "openapi_extra": {
        "parameters": PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "image/*": BINARY,
                "application/octet-stream": BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    }
                },
                "application/json": {
                    "schema": {
                        "oneOf": [
                            {"type": "object", "required": ["image"], "properties": {"image": PIXELS}},
                            {
                                "type": "object",
                                "required": ["images"],
                                "properties": {"images": {"type": "array", "minItems": 1, "items": PIXELS}},
                            },
                        ]
                    }
                },
            },
        },
    },
}
