"""A new version beside the stable one: who gets it, and whether the two agree.

A canary answers its share of the callers, and the stable version is asked afterwards what it would have said; a shadow
is asked afterwards itself. Nobody waits for a comparison, and there is none while callers wait.
"""

import asyncio
import random
from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.engines import Answers
from service.manifest import Input
from service.metrics import Metrics, TrialMetrics
from service.policy import Plan
from service.serving import Serving
from service.verdict import Numbers

KEYS = (b"x-canary-key", b"x-request-id")
"""Headers by which a caller is known again, the first of them that there is."""
AT_ONCE = 16
"""Comparisons that are going on, at most."""
MAX_PICTURES = 64
"""Pictures of one call that are compared, at most."""


class Began(NamedTuple):
    """Where the numbers stood when a trial began."""

    at: float
    """Seconds of the monotonic clock."""
    candidate: Numbers
    stable: Numbers


class Trial:
    """One version that is tried out.

    Args:
        plan: Share and limits.
        mode: `canary` or `shadow`.
        stable: The version that answers.
        candidate: The version on trial.
        metrics: Where to count.
    """

    def __init__(
        self, plan: Plan, mode: Literal["canary", "shadow"], stable: Serving, candidate: Serving, metrics: Metrics
    ) -> None:
        self.plan = plan
        self.mode = mode
        self.stable = stable
        self.candidate = candidate
        self.counts = TrialMetrics(metrics, candidate.manifest, stable.manifest.version)
        self.share = int(plan.share * 2**64)
        # Who is sticky in this trial is not in the next: not always the same callers try everything out.
        self.salt = f"{candidate.manifest.name}/{candidate.manifest.version}".encode()
        self.comparable = like(stable.manifest.input, candidate.manifest.input)
        self.comparing = 0
        self.began: Began | None = None
        """Set by whoever decides about it."""
        stable.watch = candidate.watch = self.watch

    def is_between(
        self, stable: Serving | None, candidate: Serving | None, plan: Plan | None, mode: Literal["canary", "shadow"]
    ) -> bool:
        """Whether it is the trial of these two, in this way."""
        return (self.stable, self.candidate, self.plan, self.mode) == (stable, candidate, plan, mode)

    def end(self) -> None:
        """Nobody is compared any more."""
        self.stable.watch = self.candidate.watch = None

    def picks(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the canary answers the caller with these headers: always the same for the same key."""
        given = dict(headers)
        for name in KEYS:
            if key := given.get(name):
                return int.from_bytes(blake2b(key, digest_size=8, salt=self.salt[-16:]).digest()) < self.share
        return random.random() < self.plan.share  # noqa: S311 - who asks does not say who he is

    def watch(self, answered: Serving, pixels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
        """Count an answer, and let the other version give its own."""
        confidence = self.counts.confidence[answered.manifest.version]
        for best in probabilities.max(axis=1).tolist():
            confidence.observe(best)
        if self.comparable and self.asks_other(answered):
            self.ask(answered, pixels[:MAX_PICTURES], probabilities[:MAX_PICTURES])

    def asks_other(self, answered: Serving) -> bool:
        """Whether this answer is one that is compared."""
        if self.mode == "canary":
            return answered is self.candidate
        return answered is self.stable and random.random() < self.plan.share  # noqa: S311 - a sample

    def ask(self, answered: Serving, pixels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
        """Put the question to the other version, unless there is other work."""
        other = self.candidate if answered is self.stable else self.stable
        if self.comparing >= AT_ONCE or answered.batcher.depth or other.batcher.depth:
            self.counts.dropped.inc(len(pixels))
            return
        self.comparing += 1
        other.batcher.submit(pixels).add_done_callback(partial(self.compare, answered, probabilities))

    def compare(self, answered: Serving, probabilities: NDArray[np.float32], asking: asyncio.Future[Answers]) -> None:
        """Count whether both found the same class. A failure has been counted where it happened."""
        self.comparing -= 1
        if asking.cancelled() or asking.exception() is not None:
            self.counts.dropped.inc(len(probabilities))
            return
        others = asking.result().probabilities
        other = self.candidate if answered is self.stable else self.stable
        if other is self.candidate:
            for best in others.max(axis=1).tolist():
                self.counts.confidence[other.manifest.version].observe(best)
        agreed = sum(
            answered.manifest.labels[mine] == other.manifest.labels[theirs]
            for mine, theirs in zip(probabilities.argmax(axis=1).tolist(), others.argmax(axis=1).tolist(), strict=True)
        )
        self.counts.agreed.inc(agreed)
        self.counts.differed.inc(len(probabilities) - agreed)


def like(one: Input, other: Input) -> bool:
    """Whether both read the same pixels: only then can their answers be compared."""
    return (one.shape, one.polarity, one.preparation) == (other.shape, other.polarity, other.preparation)
