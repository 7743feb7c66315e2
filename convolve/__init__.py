"""Ask a Convolve server: `Client`, `AsyncClient`, and the command line `convolve`. Needs nothing of the server."""

from convolve.answers import Details, Event, Guess, Model, Prediction, Seen, Trial
from convolve.client import AsyncClient, Client
from convolve.errors import BadAnswer, ConvolveError, Problem, Unreachable, Unreadable
from convolve.patience import Patience

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Client",
    "ConvolveError",
    "Details",
    "Event",
    "Guess",
    "Model",
    "Patience",
    "Prediction",
    "Problem",
    "Seen",
    "Trial",
    "Unreachable",
    "Unreadable",
]
