"""A picture in, named probabilities out."""

from typing import Any

from pydantic import BaseModel, Field

from service.api.schemas.reference import content
from service.api.schemas.refusals import REFUSED, Problem


class Guess(BaseModel):
    """One of the best guesses."""

    class_id: int = Field(description="Position of the class among the model's labels.", examples=[7])
    label: str = Field(description="Its name.", examples=["7"])
    probability: float = Field(ge=0, le=1, examples=[0.9991])


class Done(BaseModel):
    """What was done to a picture before the network got it.

    A point (x, y) of the picture, after turning, lies at (x - box[0]) × scale + shift[0] and
    (y - box[1]) × scale + shift[1] of what the network got.
    """

    prepared: bool = Field(description="Whether anything was done beyond decoding, greys and paper.")
    turned: int = Field(description="The EXIF orientation that was undone; 1 is upright.")
    inverted: bool = Field(description="Whether dark ink on light paper became light on black.")
    box: list[float] | None = Field(description="Left, top, right, bottom of what was taken; null: nothing to see.")
    scale: float = Field(description="Pixels of the input per pixel of the picture.")
    shift: list[float] = Field(description="Where the box's left upper corner went, x and y.")


class Shown(Done):
    """What the network was given, with `include=seen`."""

    picture: str = Field(description="The network's input: a PNG file in base64.", examples=["iVBORw0KGgo…"])
    novelty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How unlike the training set it is. Absent where the version can not tell.",
        examples=[0.02],
    )
    warning: str | None = Field(
        None,
        description="Why the answer may mean little. Absent where nothing is odd.",
        examples=["it is blank: there is nothing to read"],
    )


class Prediction(Guess):
    """The answer to one picture."""

    recognized: bool | None = Field(
        None,
        description="false: it is unlike the pictures that the network was trained on, and the guesses are only that."
        " Absent where the version can not tell.",
        examples=[True],
    )
    top: list[Guess] = Field(description="The best guesses, best first.")
    probabilities: list[float] = Field(description="One for each class, in class order.")
    seen: Shown | None = Field(None, description="With `include=seen`.")


class Refusal(BaseModel):
    """The answer to one bad picture among many."""

    error: Problem


class Predictions(BaseModel):
    """One entry for each picture, in order."""

    model: str = Field(examples=["mnist"])
    version: int = Field(examples=[1])
    predictions: list[Prediction | Refusal]


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


def parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


PARAMETERS = [
    parameter("model", "Default: the setting `default_model`.", type="string"),
    parameter("version", "Default: the one that serves.", type="integer", minimum=1, maximum=999_999_999),
    parameter("label", "A version by its label, such as `previous` after a promotion.", type="string"),
    parameter("top", "How many of the best guesses to list.", type="integer", minimum=1, default=3),
    parameter(
        "prepare",
        "`none` sends a picture file's pixels to the network as they are.",
        enum=["auto", "none"],
        default="auto",
    ),
    parameter(
        "include", "`seen` adds to each prediction what the network was given, and what was done for it.", enum=["seen"]
    ),
    parameter("feedback", "`none` keeps none of these pictures, and takes no corrections of them.", enum=["none"]),
]
PREDICT_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {"content": content(Predictions), "description": "One entry for each picture, in order."},
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
