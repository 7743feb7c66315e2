"""Numbers of a trial → promoted, taken back, or neither yet. The numbers are those that /metrics shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, Self

from service.policy import Gate, Plan

Series = Mapping[str, Mapping[frozenset[tuple[str, str]], float]]
"""Every series as numbers, by name and labels."""


@dataclass(frozen=True)
class Numbers:
    """What one version has done. All grow only."""

    answered: float = 0
    """Pictures answered while there was a trial."""
    confidence: float = 0
    """Sum of the probabilities of the classes found."""
    agreed: float = 0
    """Compared pictures for which both versions found the same class."""
    differed: float = 0
    failures: float = 0
    """Batches that failed."""
    batches: float = 0
    """Batches that did not."""
    computing: float = 0
    """Seconds of computing them."""
    calls: float = 0
    waiting: float = 0
    """Seconds that calls have waited."""

    @classmethod
    def of(cls, series: Series, model: str, version: int) -> Self:
        """The numbers of one version."""
        labels = {"model": model, "version": str(version)}

        def value(name: str, **more: str) -> float:
            return series.get(f"convolve_{name}", {}).get(frozenset({**labels, **more}.items()), 0)

        return cls(
            answered=value("confidence_count"),
            confidence=value("confidence_sum"),
            agreed=value("compared_total", outcome="agreed"),
            differed=value("compared_total", outcome="differed"),
            failures=value("batch_failures_total"),
            batches=value("stage_seconds_count", stage="compute"),
            computing=value("stage_seconds_sum", stage="compute"),
            calls=value("stage_seconds_count", stage="queue"),
            waiting=value("stage_seconds_sum", stage="queue"),
        )

    def __sub__(self, before: "Numbers") -> "Numbers":
        return Numbers(*(getattr(self, each.name) - getattr(before, each.name) for each in fields(self)))

    @property
    def seconds(self) -> float:
        """Mean seconds from a call's arrival in the queue to its answer."""
        return self.waiting / max(self.calls, 1) + self.computing / max(self.batches, 1)


class Verdict(NamedTuple):
    """What should happen to the version on trial."""

    outcome: Literal["promoted", "taken back"]
    reason: str


class Limit(NamedTuple):
    """One limit of a gate, held against what was measured."""

    kept: bool
    words: str


def judge(plan: Plan, candidate: Numbers, stable: Numbers, seconds: float) -> Verdict | None:
    """Whether a trial is over.

    Args:
        plan: The conditions.
        candidate: What the version on trial has done since the trial began.
        stable: What the stable version has done since then.
        seconds: Since when.
    """
    if plan.rollback is not None and enough(plan.rollback, candidate, seconds):
        broken = [limit.words for limit in limits(plan.rollback, candidate, stable) if not limit.kept]
        if broken:
            return Verdict("taken back", "; ".join(broken))
    if plan.promote is not None and enough(plan.promote, candidate, seconds):
        held = list(limits(plan.promote, candidate, stable))
        known = plan.promote.agreement is None or compared(plan.promote, candidate)
        if known and all(limit.kept for limit in held):
            words = [f"{candidate.answered:.0f} pictures", *(limit.words for limit in held)]
            return Verdict("promoted", "; ".join(words))
    return None


def enough(gate: Gate, candidate: Numbers, seconds: float) -> bool:
    """Whether there is enough to judge by. A version that always fails answers nothing, and is judged as well."""
    return candidate.answered + candidate.failures >= gate.pictures and seconds >= gate.seconds


def compared(gate: Gate, candidate: Numbers) -> bool:
    return candidate.agreed + candidate.differed >= gate.pictures


def limits(gate: Gate, candidate: Numbers, stable: Numbers) -> Iterator[Limit]:
    """The gate's limits, as far as there are numbers for them."""
    if gate.agreement is not None and compared(gate, candidate):
        share = candidate.agreed / (candidate.agreed + candidate.differed)
        yield Limit(share >= gate.agreement, f"agreement {share:.2%} (limit {gate.agreement:.2%})")
    if gate.failures is not None:
        share = candidate.failures / max(candidate.failures + candidate.batches, 1)
        yield Limit(share <= gate.failures, f"failures {share:.2%} (limit {gate.failures:.2%})")
    if gate.confidence is not None and candidate.answered and stable.answered:
        drop = stable.confidence / stable.answered - candidate.confidence / candidate.answered
        yield Limit(drop <= gate.confidence, f"confidence {drop:.3f} lower (limit {gate.confidence:g})")
    if gate.slowdown is not None and candidate.batches and stable.batches:
        factor = candidate.seconds / max(stable.seconds, 1e-9)
        yield Limit(factor <= gate.slowdown, f"{factor:.2f} times the stable version's time (limit {gate.slowdown:g})")
