"""Models, their versions and their history."""

from typing import Any

from pydantic import BaseModel, Field

from service.policy import Policy


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


class Models(BaseModel):
    """All versions in the store."""

    models: list[Model]
