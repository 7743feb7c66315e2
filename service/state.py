"""What the routes share. Made before the first request, let go after the last."""

from dataclasses import dataclass
from typing import TypedDict

from service.inside import Microscope
from service.metrics import Metrics
from service.registry import Registry
from service.settings import Settings


@dataclass
class Shared:
    """One worker's things."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    microscope: Microscope | None = None
    """What looks into networks; None where that is switched off."""
    draining: bool = False
    """Whether SIGTERM has come: readiness is red, calls are still answered."""


class State(TypedDict):
    """The lifespan state: reaches routes as `request.state.shared`."""

    shared: Shared
