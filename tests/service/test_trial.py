"""A release that guards itself: a new version is tried out, compared, and promoted or taken back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.control import Control, Judged
from service.engines import Answers
from service.errors import EngineError, NothingBefore
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.policy import Gate, Plan, Policy
from service.verdict import Numbers, Verdict, judge
from tests.fakes import Reader, Store, answer_to, picture
from tests.service.test_lifecycle import running, serving


class Muddled(Reader):
    """Right on the golden input, which is a 3, and wrong about everything else."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        answers, _ = super().predict(pixels)
        wrong = answers.argmax(axis=1) != 3
        answers[wrong] = np.roll(answers[wrong], 1, axis=1)
        return Answers(answers)


class Brittle(Reader):
    """Right on the golden input, and fails on everything else once it has been warmed up."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        if pixels.any() and pixels[0, 0, 1, 0] != 3:
            raise RuntimeError("no")
        return super().predict(pixels)


def check(store: Store, body: Callable[[Control, Lifecycle], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(store) as lifecycle:
            await body(Control(lifecycle), lifecycle)

    asyncio.run(run())


def tried(store: Store, mode: str, candidate: Reader | None = None, **plan: Any) -> None:
    """Version 1 is stable, version 2 on trial."""
    store.add(1)
    store.add(2)
    if candidate is not None:
        store.engines["mnist/2"] = candidate
    store.policy({"labels": {"stable": 1}, mode: {"version": "latest", **plan}})


def headers(number: int, name: bytes = b"x-canary-key") -> list[tuple[bytes, bytes]]:
    return [(b"host", b"here"), (name, b"caller-%d" % number)]


async def ask(lifecycle: Lifecycle, numbers: range) -> list[int]:
    """Each caller's picture; which versions answered."""
    versions = []
    for number in numbers:
        answering = lifecycle.registry.get(None, headers=headers(number))
        versions.append(answering.manifest.version)
        await answering.predict(picture(number)[None])
        while (trial := lifecycle.registry.models["mnist"].trial) and trial.comparing:
            await asyncio.sleep(0)
    return versions


def counted(lifecycle: Lifecycle, outcome: str) -> float | None:
    labels = {"model": "mnist", "version": "2", "outcome": outcome}
    return lifecycle.metrics.registry.get_sample_value("convolve_compared_total", labels)


@pytest.mark.parametrize("name", [b"x-canary-key", b"x-request-id"])
def test_a_canary_answers_its_share_and_the_same_callers_again(store: Store, name: bytes) -> None:
    tried(store, "canary", share=0.25)

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        def picked() -> list[bool]:
            found = (lifecycle.registry.get(None, headers=headers(number, name)) for number in range(2000))
            return [each.manifest.version == 2 for each in found]

        first = picked()
        assert 400 < sum(first) < 600
        assert picked() == first
        assert lifecycle.registry.get(None, 1, headers=headers(1, name)).manifest.version == 1
        assert {lifecycle.registry.get(None, label="stable").manifest.version for _ in range(50)} == {1}
        assert lifecycle.registry.get(None, label="canary").manifest.version == 2

    check(store, body)


def test_the_canary_key_goes_before_the_request_id_and_without_both_chance_decides(store: Store) -> None:
    tried(store, "canary", share=0.5)

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        def version(*given: tuple[bytes, bytes]) -> int:
            return lifecycle.registry.get(None, headers=given).manifest.version

        key = headers(7)[1]
        assert len({version((b"x-request-id", b"%d" % number), key) for number in range(50)}) == 1
        assert {version() for _ in range(200)} == {1, 2}

    check(store, body)


def test_a_share_that_grows_keeps_those_whom_it_had(store: Store) -> None:
    tried(store, "canary", share=0.1)

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        def picked() -> set[int]:
            asked = {number: lifecycle.registry.get(None, headers=headers(number)) for number in range(500)}
            return {number for number, found in asked.items() if found.manifest.version == 2}

        few = picked()
        store.policy({"labels": {"stable": 1}, "canary": {"version": "latest", "share": 0.5}})
        await lifecycle.refresh()
        assert few < picked()

    check(store, body)


def test_the_next_trial_has_other_callers(store: Store) -> None:
    tried(store, "canary", share=0.5)

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        def picked() -> list[bool]:
            found = (lifecycle.registry.get(None, headers=headers(number)) for number in range(500))
            return [each.manifest.version != 1 for each in found]

        first = picked()
        store.add(3)
        await lifecycle.refresh()
        both = sum(here and there for here, there in zip(first, picked(), strict=True))
        assert 75 < both < 175

    check(store, body)


def test_a_shadow_is_asked_and_never_heard(store: Store) -> None:
    tried(store, "shadow", Muddled())

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        assert set(await ask(lifecycle, range(40))) == {1}
        assert (counted(lifecycle, "agreed"), counted(lifecycle, "differed")) == (4, 36)
        for version in ("1", "2"):
            labels = {"model": "mnist", "version": version}
            assert lifecycle.metrics.registry.get_sample_value("convolve_confidence_count", labels) == 40

    check(store, body)


def test_a_canarys_answers_are_held_against_the_stable_ones(store: Store) -> None:
    tried(store, "canary", Muddled(), share=0.5)

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        versions = await ask(lifecycle, range(100))
        agreed, differed = counted(lifecycle, "agreed"), counted(lifecycle, "differed")
        assert agreed is not None
        assert differed is not None
        assert agreed + differed == versions.count(2)
        assert differed > agreed > 0

    check(store, body)


def test_nothing_is_compared_while_callers_wait(store: Store) -> None:
    tried(store, "shadow")

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        answering = lifecycle.registry.get(None)
        waiting = answering.batcher.submit(picture(1)[None])
        trial = lifecycle.registry.models["mnist"].trial
        assert trial is not None
        trial.watch(answering, picture(2)[None], answer_to(2)[None])
        assert counted(lifecycle, "dropped") == 1
        await waiting
        trial.comparing = 16
        trial.watch(answering, picture(2)[None], answer_to(2)[None])
        assert counted(lifecycle, "dropped") == 2
        trial.comparing = 0

    check(store, body)


def test_a_failing_shadow_harms_nobody(store: Store) -> None:
    tried(store, "shadow", Brittle())

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        assert set(await ask(lifecycle, range(1, 11))) == {1}
        assert counted(lifecycle, "dropped") == 9

    check(store, body)


def test_classes_are_compared_by_name(store: Store) -> None:
    tried(store, "shadow")
    store.engines["mnist/2"] = Reader()

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        candidate = lifecycle.registry.get(None, 2)
        object.__setattr__(candidate.manifest, "labels", tuple("1234567890"))
        await ask(lifecycle, range(10))
        assert (counted(lifecycle, "agreed"), counted(lifecycle, "differed")) == (0, 10)

    check(store, body)


def test_a_good_version_is_promoted_by_itself_and_the_next_one_is_tried_out(store: Store) -> None:
    tried(store, "canary", share=0.5, promote={"pictures": 20, "agreement": 0.95})

    async def body(control: Control, lifecycle: Lifecycle) -> None:
        await control.decide()
        await ask(lifecycle, range(200))
        assert serving(lifecycle) == [1, 2]
        await control.decide()
        assert serving(lifecycle) == [2, 1]
        assert lifecycle.registry.get(None, label="previous").manifest.version == 1
        (decided, followed) = lifecycle.history.read("mnist")[-2:]
        assert (decided.event, decided.version, followed.event, followed.version) == ("promoted", 2, "answers", 2)
        assert "agreement 100.00% (limit 95.00%)" in decided.reason
        store.add(3)
        await lifecycle.refresh()
        trial = lifecycle.registry.models["mnist"].trial
        assert trial is not None
        assert trial.candidate.manifest.version == 3

    check(store, body)


@pytest.mark.parametrize("mode", ["canary", "shadow"])
def test_a_bad_version_is_taken_back_by_itself_and_stays_away(store: Store, mode: str) -> None:
    tried(store, mode, Muddled(), share=0.5, rollback={"pictures": 20, "agreement": 0.95})

    async def body(control: Control, lifecycle: Lifecycle) -> None:
        await control.decide()
        await ask(lifecycle, range(200))
        await control.decide()
        assert serving(lifecycle) == [1]
        (decided, followed) = lifecycle.history.read("mnist")[-2:]
        assert (decided.event, decided.version, followed.event, followed.version) == ("taken back", 2, "unloaded", 2)
        assert decided.reason.startswith("agreement ")
        for _ in range(3):
            await lifecycle.refresh()
        assert serving(lifecycle) == [1]

    check(store, body)


def test_a_version_that_only_fails_is_taken_back(store: Store) -> None:
    tried(store, "canary", Brittle(), share=1.0, rollback={"pictures": 10, "failures": 0.1})

    async def body(control: Control, lifecycle: Lifecycle) -> None:
        await control.decide()
        for number in range(10, 20):
            with pytest.raises(EngineError):
                await lifecycle.registry.get(None).predict(picture(number)[None])
        await control.decide()
        assert serving(lifecycle) == [1]

    check(store, body)


@pytest.mark.parametrize("limit", ["promote", "rollback"])
def test_what_a_person_decides_meanwhile_stays(store: Store, limit: str) -> None:
    """The numbers are of a trial that is over when they are there: it decides nothing any more."""
    store.add(1)
    store.add(2)
    store.add(3)
    candidate = Muddled() if limit == "rollback" else Reader()
    store.engines["mnist/3"] = candidate
    gate = {"pictures": 20, "agreement": 0.95}
    labels = {"stable": 2, "previous": 1}
    store.policy({"labels": labels, "canary": {"version": "latest", "share": 0.5, limit: gate}})

    async def body(control: Control, lifecycle: Lifecycle) -> None:
        await control.decide()
        await ask(lifecycle, range(200))
        judged = await control.judge("mnist")
        assert judged is not None
        assert await control.rollback("mnist") == 3
        await control.carry_out("mnist", judged)
        model = lifecycle.registry.models["mnist"]
        assert (model.default.manifest.version, model.policy.never, model.labels) == (2, frozenset({3}), labels)
        assert [event.event for event in lifecycle.history.read("mnist")].count("taken back") == 1
        assert "promoted" not in [event.event for event in lifecycle.history.read("mnist")]

    check(store, body)


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"labels": {"stable": 2}},
        {"labels": {"stable": 1}},
        {"labels": {"stable": 1}, "canary": {"version": 2, "share": 0.5}},
        {"labels": {"stable": 1}, "shadow": {"version": "latest", "share": 0.5, "rollback": {"failures": 0.5}}},
        {"labels": {"stable": 3}, "canary": {"version": "latest", "share": 0.5, "rollback": {"failures": 0.5}}},
        {"serve": False, "labels": {"stable": 1}, "canary": {"version": "latest", "share": 0.5}},
    ],
    ids=["promoted", "ended", "another plan", "a shadow now", "another stable one", "put away"],
)
@pytest.mark.parametrize("outcome", ["promoted", "taken back"])
def test_a_trial_that_is_another_now_is_not_settled(outcome: Any, meanwhile: dict[str, Any]) -> None:
    plan = Plan(version="latest", share=0.5, rollback=Gate(failures=0.5) if meanwhile.get("serve", True) else None)
    judged = Judged(plan, "canary", 1, 2, Verdict(outcome, "its numbers"))
    policy = Policy.model_validate(meanwhile)
    assert judged.settle(policy) is policy
    running_on = Policy(labels={"stable": 1}, canary=plan)
    assert judged.settle(running_on) != running_on


def test_a_trial_on_a_store_that_can_not_be_written_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tried(store, "canary", Muddled(), share=0.5, rollback={"pictures": 10, "agreement": 0.95})

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    async def body(control: Control, lifecycle: Lifecycle) -> None:
        monkeypatch.setattr("service.policy.write", read_only)
        await control.decide()
        await ask(lifecycle, range(100))
        await control.decide()
        assert serving(lifecycle) == [1, 2]

    check(store, body)


def test_taking_back_without_anything_before(store: Store) -> None:
    store.add(1)

    async def body(control: Control, _: Lifecycle) -> None:
        with pytest.raises(NothingBefore):
            await control.rollback("mnist")

    check(store, body)


def numbers(**given: float) -> Numbers:
    usual = {"answered": 1000, "confidence": 990, "agreed": 990, "differed": 10, "batches": 1000, "computing": 1.0}
    return Numbers(**{**usual, "calls": 1000, "waiting": 0.1, **given})


STABLE = numbers(agreed=0, differed=0)


@pytest.mark.parametrize(
    ("limit", "candidate", "kept"),
    [
        ({"agreement": 0.98}, numbers(), True),
        ({"agreement": 0.98}, numbers(agreed=970, differed=30), False),
        ({"agreement": 1.0}, numbers(agreed=1000, differed=0), True),
        ({"failures": 0}, numbers(), True),
        ({"failures": 0.05}, numbers(failures=50, batches=950), True),
        ({"failures": 0.01}, numbers(failures=20), False),
        ({"confidence": 0.05}, numbers(confidence=950), True),
        ({"confidence": 0.05}, numbers(confidence=900), False),
        ({"slowdown": 2}, numbers(computing=1.9), True),
        ({"slowdown": 2}, numbers(computing=2.5), False),
        ({"slowdown": 2}, numbers(waiting=5), False),
    ],
)
def test_each_limit_decides_both_ways(limit: dict[str, float], candidate: Numbers, kept: bool) -> None:
    plan = Plan(version=2, promote=Gate(**limit), rollback=Gate(**limit))
    verdict = judge(plan, candidate, STABLE, 1)
    assert verdict is not None
    assert verdict.outcome == ("promoted" if kept else "taken back")
    assert "limit" in verdict.reason


@pytest.mark.parametrize(
    ("gate", "candidate", "seconds"),
    [
        (Gate(pictures=1001), numbers(), 1),
        (Gate(seconds=60), numbers(), 59),
        (Gate(agreement=0.9), numbers(agreed=999, differed=0), 1),
        (Gate(agreement=0.9), numbers(agreed=0, differed=0), 1),
    ],
)
def test_with_too_little_to_judge_by_nothing_is_decided(gate: Gate, candidate: Numbers, seconds: float) -> None:
    assert judge(Plan(version=2, promote=gate), candidate, STABLE, seconds) is None
    if gate.limited:
        assert judge(Plan(version=2, rollback=gate), candidate, STABLE, seconds) is None


def test_the_numbers_are_those_of_the_metrics_page(store: Store) -> None:
    tried(store, "shadow")

    async def body(_: Control, lifecycle: Lifecycle) -> None:
        await ask(lifecycle, range(30))
        series = Metrics.numbers(lifecycle.metrics)
        found = Numbers.of(series, "mnist", 2)
        assert (found.answered, found.agreed, found.differed, found.failures) == (30, 30, 0, 0)
        assert found.batches == found.calls == 30
        assert found.seconds > 0

    check(store, body)
