"""When a call is tried again, after how long, and when it is given up. Looks at no clock but the one it is given."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from convolve import answers
from convolve.calls import Call

TOTAL_S, TIMEOUT_S = 60.0, 15.0
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""The request never left."""
LOST = (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)
"""The connection broke: the server may have worked on the request or not. A time-out is not among them: who was too
slow once would only get more to do."""


@dataclass(frozen=True)
class Patience:
    """How long a call may take, and how often it is tried.

    Tried again is what was refused for now (429, and 503 with `Retry-After`, which is honoured), what could not be
    sent, and, where a repetition does no harm, what broke off on the way. Never a 504, and nothing that timed out once
    it was sent.
    """

    attempts: int = 5
    """Tries in all; 1 never repeats."""
    total_s: float | None = None
    """Seconds that a call may take, with all tries and pauses, up to the first piece of its answer; None is 60, or what
    the call may need: 90 for a change of what serves, one for each of many pictures."""
    timeout_s: float | None = None
    """Seconds that a try waits to connect, and for each next piece to arrive or to leave; None is 15, or as above."""
    pause_s: float = 0.25
    """Seconds before the second try; doubles from try to try, up to `longest_pause_s`."""
    longest_pause_s: float = 8.0
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    """From 0 to 1; spreads callers who were refused together, so that they do not come back together."""


class Tries:
    """One call's tries."""

    def __init__(self, call: Call[Any], patience: Patience) -> None:
        self.call = call
        self.patience = patience
        self.made = 0
        self.longest_s = max(TIMEOUT_S, call.takes_s) if patience.timeout_s is None else patience.timeout_s
        self.end = patience.clock() + (max(TOTAL_S, call.takes_s) if patience.total_s is None else patience.total_s)

    @property
    def timeout_s(self) -> float:
        """Seconds that the next try may wait."""
        return max(0.001, min(self.longest_s, self.end - self.patience.clock()))

    def pause_after(self, outcome: httpx2.Response | httpx2.RequestError) -> float | None:
        """Seconds until the next try; None where this outcome is the last."""
        self.made += 1
        if self.made >= self.patience.attempts or not self.worth_repeating(outcome):
            return None
        asked_s = answers.retry_after_s(outcome) if isinstance(outcome, httpx2.Response) else None
        step_s = min(self.patience.longest_pause_s, self.patience.pause_s * 2 ** (self.made - 1))
        # Never before the time that the server names.
        pause_s = (asked_s or 0.0) + step_s * (0.5 + self.patience.chance() / 2)
        return pause_s if self.patience.clock() + pause_s < self.end else None

    def worth_repeating(self, outcome: httpx2.Response | httpx2.RequestError) -> bool:
        if isinstance(outcome, httpx2.RequestError):
            return isinstance(outcome, UNSENT) or (self.call.repeatable and isinstance(outcome, LOST))
        if self.call.answers(outcome):
            return False
        return outcome.status_code == 429 or (outcome.status_code == 503 and "retry-after" in outcome.headers)
