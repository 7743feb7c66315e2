"""Single pictures → batches → single answers.

Takes what is waiting and never idles: when the network is free, the queue leaves as one batch, and the next one gathers
while it computes. Nobody waits for a batch to fill, but while each turn of the loop brings more callers, they all come
along.
"""

import asyncio
import logging
import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.board import Board
from service.engines import Answers, Engine
from service.errors import DeadlineExceeded, Draining, EngineError, QueueFull
from service.metrics import BatchMetrics

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


class Waiting:
    """One caller's pictures, with the future that answers them."""

    __slots__ = ("answers", "arrived", "future", "pixels", "taken")

    def __init__(self, pixels: Pixels, future: asyncio.Future[Answers], arrived: float) -> None:
        self.pixels = pixels
        self.future = future
        self.arrived = arrived
        self.taken = 0
        self.answers: list[Answers] = []


class Part(NamedTuple):
    """The pictures of one caller that go into one batch."""

    caller: Waiting
    pixels: Pixels
    last: bool


class Batcher:
    """The queue before one network. Lives on one event loop.

    Args:
        engine: What computes.
        classes: Probabilities that it must answer for each picture.
        max_batch: Pictures in one batch, at most.
        max_queue: Pictures that wait, at most.
        deadline_s: Seconds after which a waiting picture is given up.
        inline: Compute on the event loop itself. For a network of a fraction of a millisecond, a thread costs more
            than it frees; a larger one must not stop the loop.
        board: Where workers tell each other when they compute.
        metrics: Where to count.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        classes: int,
        max_batch: int,
        max_queue: int,
        deadline_s: float,
        inline: bool,
        board: Board,
        metrics: BatchMetrics,
    ) -> None:
        # Settings
        self.engine = engine
        self.classes = classes
        self.max_batch = max_batch
        self.max_queue = max_queue
        self.deadline_s = deadline_s
        self.thread = None if inline else ThreadPoolExecutor(1, thread_name_prefix="engine")
        self.board = board
        self.metrics = metrics
        # Shared
        self.loop = asyncio.get_running_loop()
        self.queue: deque[Waiting] = deque()
        self.depth = 0  # pictures in the queue
        self.closing = False
        self.idle = asyncio.Event()
        self.idle.set()
        # This batch
        self.seen = 0  # pictures that were in the queue a turn of the loop ago
        self.crowd = False  # whether there was more than one in the last batch
        self.busy_since: float | None = None
        self.seconds_per_picture = 0.0

    @property
    def congested(self) -> bool:
        """Whether what arrives now has to wait for a batch or more, so that it pays to notice departed callers."""
        return self.busy_since is not None or self.depth > self.max_batch

    async def predict(self, pixels: Pixels) -> Answers:
        """What the network says of each picture, in order.

        Args:
            pixels: (n, height, width, channels), n ≥ 1. Must not change until the answer is there.

        Raises:
            QueueFull: No room for so many pictures; nothing was queued.
            Draining: The batcher is closed.
            DeadlineExceeded: Waited too long.
            EngineError: The network failed on the batch.
        """
        future = self.submit(pixels)
        if self.thread is None:
            return await future
        # A thread that computes can hang; a loop that computes could not run this timer anyway.
        try:
            async with asyncio.timeout(self.deadline_s):
                return await future
        except TimeoutError:
            raise self.too_late() from None

    def submit(self, pixels: Pixels) -> asyncio.Future[Answers]:
        """Queue pictures; cancel the future to take them back. Errors as in `predict`."""
        if self.closing:
            raise Draining("the server is going down", fix="send the request to another server")
        if self.depth + len(pixels) > self.max_queue:
            raise QueueFull(
                "too many pictures are waiting",
                expected=f"room for {len(pixels)} of at most {self.max_queue} waiting pictures",
                found=f"{self.depth} waiting",
                fix="try again later, or slow down",
                retry_after_s=max(1, math.ceil(self.depth * self.seconds_per_picture)),
            )
        future: asyncio.Future[Answers] = self.loop.create_future()
        self.queue.append(Waiting(pixels, future, time.perf_counter()))
        self.depth += len(pixels)
        if self.idle.is_set():
            self.idle.clear()
            # Not at once: what else arrived in this turn of the loop comes along.
            self.loop.call_soon(self.turn)
        return future

    def turn(self) -> None:
        """Take what is waiting and compute it, as soon as a turn of the loop has brought nobody else.

        Where the last picture was alone, and this one is, nobody is waited for.
        """
        if self.seen < self.depth < self.max_batch and (self.crowd or self.depth > 1):
            self.seen = self.depth
            self.loop.call_soon(self.turn)
            return
        self.seen = 0
        self.crowd = self.depth > 1
        batch = self.take()
        self.metrics.queue_pictures.set(self.depth)
        if not batch:
            self.idle.set()
        elif self.thread is None:
            self.finish(batch, self.attempt(batch))
        else:
            self.busy_since = time.monotonic()
            self.thread.submit(self.attempt, batch).add_done_callback(
                lambda attempt: self.loop.call_soon_threadsafe(self.finish, batch, attempt.result())
            )

    def take(self) -> list[Part]:
        """The next batch, oldest first; whoever has left or waited too long is dropped."""
        batch: list[Part] = []
        room = self.max_batch
        now = time.perf_counter()
        while self.queue and room:
            caller = self.queue[0]
            left = len(caller.pixels) - caller.taken
            if not caller.future.done() and now - caller.arrived > self.deadline_s:
                caller.future.set_exception(self.too_late())
            if caller.future.done():
                self.queue.popleft()
                self.depth -= left
                continue
            if not caller.taken:
                self.metrics.queue_seconds.observe(now - caller.arrived)
            count = min(left, room)
            batch.append(Part(caller, caller.pixels[caller.taken : caller.taken + count], count == left))
            caller.taken += count
            room -= count
            self.depth -= count
            if count == left:
                self.queue.popleft()
        return batch

    def compute(self, batch: list[Part]) -> Answers:
        """Run the network; on the engine's thread, if it has one."""
        pixels = batch[0].pixels if len(batch) == 1 else np.concatenate([part.pixels for part in batch])
        started = time.perf_counter()
        spare = self.board.start()
        try:
            answers = self.engine.predict(pixels, spare=spare)
        finally:
            self.board.stop()
        seconds = time.perf_counter() - started
        found = answers.probabilities
        # The sum of their squares is finite if all are, and found in half of the time that a sum takes.
        if found.shape != (len(pixels), self.classes) or not math.isfinite(np.vdot(found, found)):
            raise ValueError(f"{found.shape} answers to {len(pixels)} pictures, or not all finite")
        self.metrics.compute_seconds.observe(seconds)
        self.metrics.batch_pictures.observe(len(pixels))
        self.seconds_per_picture = seconds / len(pixels)
        return answers

    def attempt(self, batch: list[Part]) -> Answers | Exception:
        """`compute`, or what went wrong: what a foreign network raises is not known, and must not end the loop."""
        try:
            return self.compute(batch)
        except Exception as error:
            return error

    def finish(self, batch: list[Part], outcome: Answers | Exception) -> None:
        """Hand out a batch, and start the next."""
        self.busy_since = None
        if isinstance(outcome, Exception):
            self.metrics.failures.inc()
            logger.error("the network failed on a batch of %d", len(batch), exc_info=outcome)
            for part in batch:
                if not part.caller.future.done():
                    part.caller.future.set_exception(EngineError("the network failed on this batch"))
        else:
            self.hand_out(batch, outcome)
        # Through the loop: between two batches, everybody else gets a turn.
        if self.queue:
            self.loop.call_soon(self.turn)
        else:
            self.idle.set()

    def hand_out(self, batch: list[Part], answers: Answers) -> None:
        """Each caller's part to that caller."""
        start = 0
        for caller, pixels, last in batch:
            caller.answers.append(answers if len(batch) == 1 else answers.part(start, start + len(pixels)))
            start += len(pixels)
            if last and not caller.future.done():
                whole = caller.answers[0] if len(caller.answers) == 1 else Answers.together(caller.answers)
                caller.future.set_result(whole)

    def too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            "the answer would come too late",
            expected=f"a place in a batch within {round(self.deadline_s * 1000)} ms",
            fix="try again later, send fewer pictures at once, or raise deadline_ms",
        )

    async def close(self) -> None:
        """Take no new work, finish what is queued, then stop. May be called twice."""
        self.closing = True
        await self.idle.wait()
        if self.thread is not None:
            self.thread.shutdown(wait=False)
