"""What the routes share. Made before the first request, let go after the last."""

from dataclasses import dataclass
from typing import TypedDict

from service.control import Control
from service.errors import Draining, NotReady
from service.feedback import Feedback
from service.inside import Microscope
from service.metrics import Metrics
from service.registry import Registry
from service.serving import Serving
from service.settings import Settings


@dataclass
class Shared:
    """One worker's things."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    control: Control
    feedback: Feedback | None = None
    """What keeps pictures to train on; None where that is not switched on."""
    microscope: Microscope | None = None
    """What looks into networks; None where that is switched off."""
    draining: bool = False
    """Whether SIGTERM has come to this worker: calls are still answered, and callers asked to leave."""
    ending: bool = False
    """Whether it has come to all of them: readiness is red as well."""

    def ready(self) -> Serving:
        """The default model's version that serves, which is the sign that calls should be sent here.

        Raises:
            Draining: We are going down.
            NotReady: The default model does not serve.
        """
        if self.ending:
            raise Draining("the server is going down", fix="send requests to another server")
        name = self.settings.default_model
        serving = self.registry.serving.get(name)
        if serving is None:
            raise NotReady(
                "the default model does not serve",
                expected=f"a version of {name} that keeps its promises",
                found=", ".join(self.registry.serving) or "no model serves",
                fix="see GET /models; train one with `make train`, or set default_model",
            )
        return serving


class State(TypedDict):
    """The lifespan state: reaches routes as `request.state.shared`."""

    shared: Shared
