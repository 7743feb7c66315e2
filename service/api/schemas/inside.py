"""Looking inside: layers, weights, and what each part of a picture adds."""

from typing import Any

from pydantic import BaseModel, Field

from service.api.schemas.native import BINARY, PARAMETERS, PREDICT_API, Done, Guess, parameter
from service.api.schemas.reference import content
from service.api.schemas.refusals import REFUSED


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
FORMAT = parameter(
    "format",
    f"Default: what the header Accept says. {COMPACT}",
    enum=["json", "safetensors"],
    default="json",
)
ARRAYS = {"application/vnd.safetensors": BINARY}


ONE_PICTURE = PREDICT_API["openapi_extra"]["requestBody"]
SHARED_PARAMETERS = [each for each in PARAMETERS if each["name"] not in ("top", "include", "feedback")]
INSIDE_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        **PREDICT_API["responses"],
        200: {
            "description": "The layers. As safetensors: an array for each layer (`conv_1.before` is before the"
            " activation, `conv_1` after it) and `seen.pixels`; the rest as JSON texts in `__metadata__`.",
            "content": content(Inside) | ARRAYS,
        },
        422: REFUSED,
    },
    "openapi_extra": {
        "parameters": [
            *SHARED_PARAMETERS,
            parameter(
                "layers",
                "`all`, `none` (only what was done to the picture), or names with commas between.",
                type="string",
                default="all",
            ),
            FORMAT,
        ],
        "requestBody": ONE_PICTURE,
    },
}
OCCLUSION_API: dict[str, Any] = {
    "response_model": None,
    "responses": {**PREDICT_API["responses"], 200: {"content": content(Occlusion), "description": "Place by place."}},
    "openapi_extra": {
        "parameters": [
            *SHARED_PARAMETERS,
            parameter("patch", "Side of the square that is covered; 5 of 28.", type="integer"),
            parameter("stride", "Pixels from one place to the next; 2 of 28.", type="integer"),
        ],
        "requestBody": ONE_PICTURE,
    },
}
NETWORK_API: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "The layers. As safetensors: the weights, and the rest as JSON texts in `__metadata__`.",
            "content": content(Network) | ARRAYS,
        },
        **dict.fromkeys((400, 404, 422, 503), REFUSED),
    },
    "openapi_extra": {
        "parameters": [
            parameter(
                "weights",
                "`all`, `none`, or names of layers with commas between. Default: `none` in JSON, `all` in safetensors.",
                type="string",
            ),
            parameter("unit", "Only the weights of this channel or value of each layer, from 0.", type="integer"),
            FORMAT,
        ]
    },
}
