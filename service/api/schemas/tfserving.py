"""TensorFlow Serving's REST interface."""

from typing import Any

from pydantic import BaseModel, Field


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


class VersionError(BaseModel):
    """Why a version does not serve."""

    error_code: str = Field(description="`OK` or `FAILED_PRECONDITION`.")
    error_message: str


class VersionStatus(BaseModel):
    """A version that serves, or was refused."""

    version: str = Field(examples=["2"])
    state: str = Field(description="`AVAILABLE` or `END`.")
    status: VersionError


class ModelStatus(BaseModel):
    """The versions of a model, newest first."""

    model_version_status: list[VersionStatus]


class NamedStatus(ModelStatus):
    """A model with its versions."""

    name: str = Field(examples=["mnist"])


class Statuses(BaseModel):
    """Every model. TensorFlow Serving itself has no such list."""

    models: list[NamedStatus]


class ModelSpec(BaseModel):
    """Which version is described."""

    name: str = Field(examples=["mnist"])
    signature_name: str
    version: str = Field(examples=["2"])


class Signature(BaseModel):
    """The model's signature, as a SavedModel describes it."""

    signature_def: dict[str, Any] = Field(examples=[{"signature_def": {"serving_default": {"inputs": {}}}}])


class SignatureAnswer(BaseModel):
    """The model's tensors."""

    model_spec: ModelSpec
    metadata: Signature
