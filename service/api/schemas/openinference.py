"""The Open Inference Protocol, version 2."""

from typing import Any

from pydantic import BaseModel, Field, RootModel


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


class Server(BaseModel):
    """What answers, and its extensions of the protocol."""

    name: str = Field(examples=["convolve"])
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data"]])


class Live(BaseModel):
    """Whether this process answers at all."""

    live: bool


class Ready(Live):
    """Whether calls should be sent here."""

    ready: bool


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str = Field(examples=["mnist"])
    ready: bool


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives."""

    name: str = Field(examples=["image"])
    datatype: str = Field(examples=["UINT8"])
    shape: list[int] = Field(description="-1 is any number.", examples=[[-1, 28, 28, 1]])


class ModelMetadata(BaseModel):
    """The tensors of a model."""

    name: str = Field(examples=["mnist"])
    versions: list[str] = Field(description="Those that serve.", examples=[["2"]])
    platform: str = Field(examples=["tensorflow_savedmodel"])
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class IndexRequest(BaseModel):
    """Which versions to list."""

    ready: bool = Field(default=False, description="Only those that serve.")


class IndexEntry(BaseModel):
    """A version in the store."""

    name: str = Field(examples=["mnist"])
    version: str = Field(examples=["2"])
    state: str = Field(description="`READY` or `UNAVAILABLE`.")
    reason: str = Field(description="Why it does not serve.")


class Index(RootModel[list[IndexEntry]]):
    """Every version in the store."""


class ChangeRequest(BaseModel):
    """What to know for a change of what serves."""

    parameters: dict[str, Any] | None = Field(None, description="`unload_dependents`, which changes nothing here.")


class Changed(BaseModel):
    """It is done, and every worker has followed."""
