"""Everyone gets their own answer, nobody waits for a batch to fill, and a failure stays with its batch."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.batcher import Batcher
from service.board import Board
from service.engines import Answers, Engine
from service.errors import DeadlineExceeded, Draining, EngineError, QueueFull
from service.metrics import BatchMetrics, Metrics
from tests.fakes import Failing, Gated, Reader, Wary, answer_to, on, picture

INLINE = pytest.mark.parametrize("inline", [True, False], ids=["inline", "thread"])


@asynccontextmanager
async def batcher(engine: Engine, *, inline: bool = True, **changes: Any) -> AsyncIterator[Batcher]:
    metrics = BatchMetrics(Metrics(CollectorRegistry()), "fake", "1")
    settings = {"classes": 10, "max_batch": 8, "max_queue": 64, "deadline_s": 30.0, "board": Board(), **changes}
    made = Batcher(engine, inline=inline, metrics=metrics, **settings)
    yield made
    await asyncio.wait_for(made.close(), 30)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


@INLINE
def test_a_thousand_pictures_by_64_callers_are_never_mixed_up(inline: bool) -> None:
    async def test() -> None:
        async with batcher(Reader(), inline=inline, max_queue=1000) as made:

            async def caller(numbers: range) -> None:
                for number in numbers:
                    rows, _ = await made.predict(picture(number)[None])
                    np.testing.assert_array_equal(rows, answer_to(number)[None])

            await asyncio.gather(*(caller(range(start, 1000, 64)) for start in range(64)))

    run(test)


@INLINE
def test_a_call_larger_than_the_largest_batch_is_split_and_put_together_in_order(inline: bool) -> None:
    async def test() -> None:
        engine = Reader()
        async with batcher(engine, inline=inline, max_batch=8) as made:
            rows, _ = await made.predict(np.stack([picture(number) for number in range(30)]))
            np.testing.assert_array_equal(rows, np.stack([answer_to(number) for number in range(30)]))
            assert engine.batches == [8, 8, 8, 6]

    run(test)


@INLINE
def test_scores_go_to_whose_pictures_they_are_of(inline: bool) -> None:
    async def test() -> None:
        async with batcher(Wary(), inline=inline, max_batch=8) as made:
            asked = [np.stack([picture(number) for number in numbers]) for numbers in ((1, 2), range(40), (3,))]
            for answers, pixels in zip(await asyncio.gather(*map(made.predict, asked)), asked, strict=True):
                assert answers.novelty is not None
                np.testing.assert_allclose(answers.novelty, pixels[:, 0, 1, 0] / 1000)

    run(test)


def test_what_arrives_in_one_turn_of_the_loop_leaves_as_one_batch() -> None:
    async def test() -> None:
        engine = Reader()
        async with batcher(engine) as made:
            await asyncio.gather(*(made.predict(picture(number)[None]) for number in range(5)))
            assert engine.batches == [5]

    run(test)


def test_while_each_turn_of_the_loop_brings_somebody_they_all_come_along_up_to_a_full_batch() -> None:
    async def test() -> None:
        engine = Reader()
        async with batcher(engine) as made:
            asked = [asyncio.ensure_future(made.predict(picture(0)[None]))]
            for number in range(1, 11):
                asked.append(asyncio.ensure_future(made.predict(picture(number)[None])))
                await asyncio.sleep(0)
            assert engine.batches == [8]
            await asyncio.gather(*asked)
            assert engine.batches == [8, 3]

    run(test)


def test_who_is_alone_as_the_one_before_was_waits_for_nobody() -> None:
    async def test() -> None:
        engine = Reader()
        async with batcher(engine) as made:
            for number in range(3):
                asking = asyncio.ensure_future(made.predict(picture(number)[None]))
                await asyncio.sleep(0)  # asked
                await asyncio.sleep(0)  # computed
                assert engine.batches == [1] * (number + 1)
                await asking

    run(test)


def test_what_waits_while_the_network_computes_leaves_together_when_it_is_free() -> None:
    async def test() -> None:
        engine = Gated()
        async with batcher(engine, inline=False) as made:
            first = asyncio.ensure_future(made.predict(picture(1)[None]))
            await asyncio.to_thread(engine.started.wait, 30)
            others = [asyncio.ensure_future(made.predict(picture(number)[None])) for number in range(2, 6)]
            await asyncio.sleep(0)
            assert made.congested
            engine.go.set()
            await asyncio.gather(first, *others)
            assert engine.batches == [1, 4]

    run(test)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def test() -> None:
        engine = Gated()
        async with batcher(engine, inline=False, max_queue=4) as made:
            first = asyncio.ensure_future(made.predict(picture(1)[None]))
            await asyncio.to_thread(engine.started.wait, 30)
            waiting = made.submit(np.stack([picture(2)] * 4))
            for seconds, wanted in ((0.001, 1), (2.1, 9)):
                made.seconds_per_picture = seconds
                with pytest.raises(QueueFull) as refusal:
                    made.submit(picture(3)[None])
                assert refusal.value.retry_after_s == wanted
            assert "4 waiting" in refusal.value.found
            engine.go.set()
            await first
            assert len((await waiting).probabilities) == 4

    run(test)


def test_more_than_fits_into_the_next_batch_is_a_jam() -> None:
    async def test() -> None:
        async with batcher(Reader(), max_batch=8) as made:
            waiting = [made.submit(np.stack([picture(1)] * 8))]
            assert not made.congested
            waiting.append(made.submit(picture(2)[None]))
            assert made.congested
            await asyncio.gather(*waiting)
            assert not made.congested

    run(test)


def test_a_caller_who_has_left_is_not_computed_and_harms_nobody() -> None:
    async def test() -> None:
        engine = Gated()
        async with batcher(engine, inline=False) as made:
            first = asyncio.ensure_future(made.predict(picture(1)[None]))
            await asyncio.to_thread(engine.started.wait, 30)
            leaving, staying = made.submit(picture(2)[None]), made.submit(picture(3)[None])
            leaving.cancel()
            engine.go.set()
            np.testing.assert_array_equal((await staying).probabilities[0], answer_to(3))
            await first
            assert engine.batches == [1, 1]

    run(test)


def test_a_caller_whose_batch_is_being_computed_may_leave() -> None:
    async def test() -> None:
        engine = Gated()
        async with batcher(engine, inline=False) as made:
            leaving = asyncio.ensure_future(made.predict(picture(1)[None]))
            await asyncio.to_thread(engine.started.wait, 30)
            leaving.cancel()
            engine.go.set()
            np.testing.assert_array_equal((await made.predict(picture(2)[None])).probabilities[0], answer_to(2))

    run(test)


def test_a_picture_whose_deadline_has_passed_is_not_computed() -> None:
    async def test() -> None:
        engine = Reader()
        async with batcher(engine, deadline_s=-1.0) as made:
            with pytest.raises(DeadlineExceeded):
                await made.predict(picture(1)[None])
            assert engine.batches == []
            made.deadline_s = 30.0
            late, early = made.submit(picture(1)[None]), made.submit(picture(2)[None])
            made.queue[0].arrived -= 31
            made.queue[1].arrived -= 29
            assert len((await early).probabilities) == 1
            assert isinstance(late.exception(), DeadlineExceeded)

    run(test)


def test_a_network_that_hangs_answers_late_but_its_callers_are_told_in_time() -> None:
    async def test() -> None:
        engine = Gated()
        async with batcher(engine, inline=False, deadline_s=0.1) as made:
            made.loop.call_later(0.3, engine.go.set)
            with pytest.raises(DeadlineExceeded):
                await made.predict(picture(1)[None])
            assert made.busy_since is not None

    run(test)


@INLINE
def test_a_failing_batch_fails_its_own_callers_and_the_next_one_is_answered(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with batcher(Failing(), inline=inline) as made:
            outcomes = await asyncio.gather(
                *(made.predict(picture(number)[None]) for number in (1, 666)), return_exceptions=True
            )
            assert all(isinstance(outcome, EngineError) for outcome in outcomes)
            assert "secret" not in str(outcomes[0])
            np.testing.assert_array_equal((await made.predict(picture(2)[None])).probabilities[0], answer_to(2))

    run(test)
    assert "a secret of the network" in caplog.text


@pytest.mark.parametrize("answers", [np.zeros((2, 10), np.float32), np.full((1, 10), np.nan, np.float32)])
def test_answers_that_do_not_fit_the_questions_are_an_error(answers: Any) -> None:
    class Odd(Reader):
        def predict(self, pixels: Any, *, spare: bool = False) -> Any:
            return Answers(answers)

    async def test() -> None:
        async with batcher(Odd()) as made:
            with pytest.raises(EngineError):
                await made.predict(picture(1)[None])

    run(test)


@INLINE
def test_closing_finishes_what_is_queued_takes_nothing_new_and_may_happen_twice(inline: bool) -> None:
    async def test() -> None:
        async with batcher(Reader(), inline=inline, max_batch=2) as made:
            waiting = made.submit(np.stack([picture(number) for number in range(5)]))
            await asyncio.gather(made.close(), made.close())
            assert waiting.done()
            assert len(waiting.result().probabilities) == 5
            with pytest.raises(Draining):
                made.submit(picture(1)[None])

    run(test)


def test_every_stage_and_batch_is_counted() -> None:
    async def test() -> None:
        registry = CollectorRegistry()
        metrics = BatchMetrics(Metrics(registry), "fake", "1")
        limits = {"classes": 10, "max_batch": 4, "max_queue": 64, "deadline_s": 30.0}
        made = Batcher(Reader(), inline=True, board=Board(), metrics=metrics, **limits)
        six = np.stack([picture(number) for number in range(6)])
        await asyncio.gather(made.predict(six), *(made.predict(each[None]) for each in six[:2]))
        labels = {"model": "fake", "version": "1"}
        assert registry.get_sample_value("convolve_batch_pictures_count", labels) == 2
        assert registry.get_sample_value("convolve_batch_pictures_sum", labels) == 8
        assert registry.get_sample_value("convolve_stage_seconds_count", {"stage": "queue", **labels}) == 3
        assert registry.get_sample_value("convolve_stage_seconds_count", {"stage": "compute", **labels}) == 2
        assert registry.get_sample_value("convolve_queue_pictures", labels) == 0

    run(test)


def test_spare_threads_compute_while_the_other_workers_rest() -> None:
    class Listener(Reader):
        def predict(self, pixels: Any, *, spare: bool = False) -> Answers:
            heard.append(spare)
            return super().predict(pixels)

    heard: list[bool] = []

    async def test() -> None:
        board = Board()
        async with batcher(Listener(), board=board) as made:
            await made.predict(picture(1)[None])
            another = on(board, 1)
            another.start()
            await made.predict(picture(2)[None])
            another.stop()
            await made.predict(picture(3)[None])
        assert heard == [True, False, False]

    run(test)


@INLINE
def test_after_a_failure_a_worker_does_not_count_as_computing(inline: bool) -> None:
    async def test() -> None:
        board = Board()
        async with batcher(Failing(), inline=inline, board=board) as made:
            with pytest.raises(EngineError):
                await made.predict(picture(666)[None])
        assert board.computed[0] <= time.monotonic_ns()

    run(test)
