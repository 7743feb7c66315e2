"""What the OpenAPI document says of our own routes. Describes; nothing is checked against it while serving."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.policy import Policy


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


class NoveltyState(BaseModel):
    """How a version tells pictures that are unlike its training set."""

    threshold: float = Field(description="A picture with a greater score is not recognized.", examples=[0.5])
    flagged: dict[str, float] = Field(description="Share of such pictures, by part of the data set.")


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
    novelty: NoveltyState | None = None
    engine: str | None = None
    precision: str | None = None


class TrialState(BaseModel):
    """A version that is tried out beside the one that answers."""

    mode: str = Field(description="`canary` answers a share of the callers, `shadow` is compared only.")
    version: int
    share: float


class ModelDetails(BaseModel):
    """A model, with what its policy says."""

    name: str
    version: int | None = Field(None, description="The one that answers where a call names none.")
    labels: dict[str, int] = Field({}, description="Names of versions that serve.")
    trial: TrialState | None = None
    policy: Policy
    policy_refused: str | None = Field(None, description="Why policy.json is not in force, but the one before.")
    versions: list[Model]


class HistoryEvent(BaseModel):
    """One step in a model's life."""

    time: str
    event: str
    version: int | None = None
    reason: str


class History(BaseModel):
    """The latest events, oldest first."""

    events: list[HistoryEvent]


class Target(BaseModel):
    """Which version to promote: by number or by label."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, strict=True, ge=1, le=999_999_999)
    label: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def names_one(self) -> Self:
        if (self.version is None) == (self.label is None):
            raise ValueError("either a version or a label")
        return self


class Correction(BaseModel):
    """What somebody says of a picture that was answered."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=128, description="`X-Request-ID` of the answer.")
    picture: int = Field(0, strict=True, ge=0, description="Its place in the call, from 0 on; bad ones count.")
    label: str | None = Field(None, max_length=200, description="The right class; without one, it is only flagged.")


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
        "name": "label",
        "in": "query",
        "description": "A version by its label, such as `stable`.",
        "schema": {"type": "string"},
    },
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
    {
        "name": "include",
        "in": "query",
        "description": "`seen` adds to each prediction what the network was given, and what was done for it.",
        "schema": {"enum": ["seen"]},
    },
    {
        "name": "feedback",
        "in": "query",
        "description": "`none` keeps none of these pictures, and takes no corrections of them.",
        "schema": {"enum": ["none"]},
    },
]
REFUSED = {
    "description": "What was expected, what was found, and how to fix it.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
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


class SeenPicture(Done):
    """What the network was given, and what was done to the picture for it."""

    pixels: list[Any] = Field(description="Rows of whole numbers, 0 to 255; 0 is black.")


class LayerValues(BaseModel):
    """What one layer computed."""

    name: str = Field(examples=["conv_1"])
    kind: str = Field(description="`input`, `conv`, `pool`, `flatten` or `dense`.")
    shape: list[int] = Field(description="Rows, columns, channels; or one number.", examples=[[26, 26, 32]])
    before: list[Any] | None = Field(description="Before the activation; null where there is none.")
    values: list[Any] = Field(description="After the activation: nested lists of that shape.")


class Inside(Guess):
    """Every value that the network computed for one picture."""

    model: str = Field(examples=["mnist"])
    version: int = Field(examples=[1])
    probabilities: list[float]
    seen: SeenPicture
    layers: list[LayerValues]


class Occlusion(BaseModel):
    """What the network answers with one part of the picture after the other covered."""

    model: str
    version: int
    patch: int = Field(description="Side of the square that is covered, in pixels of the input.")
    stride: int = Field(description="Pixels from one place to the next; the first square is centred on pixel 0, 0.")
    probabilities: list[float] = Field(description="Nothing covered.")
    covered: list[list[list[float]]] = Field(description="Rows and columns of places; a probability for each class.")


class ReachShape(BaseModel):
    """The receptive field: the value at i comes from `size` pixels of the input from start + i × jump on."""

    jump: list[int]
    size: list[int]
    start: list[int]


class NetworkLayer(BaseModel):
    """One layer without its weights."""

    name: str
    kind: str
    shape: list[int]
    window: list[int] | None = Field(description="Rows and columns of the layer below that one value comes from.")
    stride: list[int] | None
    padding: list[int] | None = Field(description="Rows above and columns to the left that are padded.")
    pooling: str | None = Field(description="`max` or `mean`.")
    activation: str | None = Field(description="`relu` or `softmax`.")
    field: ReachShape | None = Field(description="Null where every value comes from the whole picture.")
    parameters: int
    counted: str | None = Field(description="How the parameters are counted.", examples=["((3·3·1) + 1) · 32"])
    note: str | None


class Network(BaseModel):
    """A version that serves, layer by layer."""

    model: str
    version: int
    labels: list[str]
    parameters: int
    accuracy: dict[str, float]
    layers: list[NetworkLayer]
    weights: dict[str, Any] | None = Field(
        None, description="`conv_1.kernel`: rows, columns, channels in, channels out. `fc_1.kernel`: values in, out."
    )


COMPACT = "safetensors: 8 bytes with the length of a JSON header (little-endian), the header, the arrays' bytes."
FORMAT = {
    "name": "format",
    "in": "query",
    "description": f"Default: what the header Accept says. {COMPACT}",
    "schema": {"enum": ["json", "safetensors"], "default": "json"},
}
TWO_FORMS = {"application/json": {}, "application/vnd.safetensors": BINARY}


def whole(name: str, description: str) -> dict[str, Any]:
    """A query parameter that is a whole number."""
    return {"name": name, "in": "query", "description": description, "schema": {"type": "integer"}}


ONE_PICTURE = PREDICT_API["openapi_extra"]["requestBody"]
SHARED_PARAMETERS = [each for each in PARAMETERS if each["name"] not in ("top", "include", "feedback")]
INSIDE_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        **PREDICT_API["responses"],
        200: {
            "model": Inside,
            "description": "The layers. As safetensors: an array for each layer (`conv_1.before` is before the"
            " activation, `conv_1` after it) and `seen.pixels`; the rest as JSON texts in `__metadata__`.",
            "content": TWO_FORMS,
        },
        422: REFUSED,
    },
    "openapi_extra": {
        "parameters": [
            *SHARED_PARAMETERS,
            {
                "name": "layers",
                "in": "query",
                "description": "`all`, `none` (only what was done to the picture), or names with commas between.",
                "schema": {"type": "string", "default": "all"},
            },
            FORMAT,
        ],
        "requestBody": ONE_PICTURE,
    },
}
OCCLUSION_API: dict[str, Any] = {
    "response_model": None,
    "responses": {**PREDICT_API["responses"], 200: {"model": Occlusion, "description": "Place by place."}},
    "openapi_extra": {
        "parameters": [
            *SHARED_PARAMETERS,
            whole("patch", "Side of the square that is covered; 5 of 28."),
            whole("stride", "Pixels from one place to the next; 2 of 28."),
        ],
        "requestBody": ONE_PICTURE,
    },
}
NETWORK_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "model": Network,
            "description": "The layers. As safetensors: the weights, and the rest as JSON texts in `__metadata__`.",
            "content": TWO_FORMS,
        },
        **dict.fromkeys((400, 404, 422, 503), REFUSED),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "weights",
                "in": "query",
                "description": "`all`, `none`, or names of layers with commas between. Default: `none` in JSON, `all`"
                " in safetensors.",
                "schema": {"type": "string"},
            },
            whole("unit", "Only the weights of this channel or value of each layer, from 0."),
            FORMAT,
        ]
    },
}
