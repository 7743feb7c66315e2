"""One version that answers: its network, loaded and tried, with a queue of its own before it."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Histogram

from service import engines, pictures
from service.batcher import Batcher
from service.board import Board
from service.engines import Answers, Engine
from service.errors import BadVersion
from service.manifest import Manifest
from service.metrics import Metrics, VersionMetrics
from service.pictures import Seen
from service.repository import Repository
from service.settings import Settings

INLINE_S = 0.002
"""A network that answers one picture within this many seconds computes on the event loop itself."""
INLINE_PIXELS = 128 * 128
"""A picture up to this size is prepared on the event loop itself: a thread would cost more."""

Watch = Callable[["Serving", NDArray[np.uint8], NDArray[np.float32]], None]
"""Is told who answered, which pictures, and the probabilities."""


class Tried(NamedTuple):
    """A network that has kept its manifest's promises on this machine."""

    manifest: Manifest
    engine: Engine
    seconds: float
    """For one picture."""


class Serving:
    """One version that answers.

    It has no end of its own: a request that holds it gets its answer, and when the last one has let go of it, so has
    the memory.

    Args:
        tried: What it says of itself, and its network.
        settings: Size of its queue, and more of that kind.
        metrics: Where it counts.
        decoders: Threads that prepare large pictures.
        board: Where the workers tell each other when they compute.
    """

    def __init__(
        self, tried: Tried, settings: Settings, metrics: Metrics, decoders: ThreadPoolExecutor, board: Board
    ) -> None:
        self.manifest = tried.manifest
        self.engine = tried.engine
        self.metrics = VersionMetrics(metrics, tried.manifest, tried.engine.name, tried.engine.precision)
        self.batcher = Batcher(
            tried.engine,
            classes=len(tried.manifest.labels),
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            deadline_s=settings.deadline_ms / 1000,
            inline=tried.seconds <= INLINE_S,
            board=board,
            metrics=self.metrics.batch,
        )
        novelty = tried.manifest.novelty
        self.threshold = None if novelty is None else float(np.float32(novelty.threshold))
        """The greatest score of a picture that is recognized."""
        self.decoders = decoders
        self.max_pixels = settings.max_pixels
        self.counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        """What the door counts in, by route and status."""
        # By policy
        self.float_pixels: Literal["raw", "unit"] = "raw"
        """What numbers in a type that has fractions are: whole numbers from 0 to 255, or such / 255."""
        self.watch: Watch | None = None

    async def prepare(self, data: bytes, mode: pictures.Mode) -> NDArray[np.uint8]:
        """File bytes → the pixels that the network was trained on. Errors as in `pictures`."""
        return (await self.inspect(data, mode)).pixels

    async def inspect(self, data: bytes, mode: pictures.Mode) -> Seen:
        """Like `prepare`, and tells what was done.

        Raises:
            DeadlineExceeded: It waited too long for a thread.
        """
        target = self.manifest.input
        if (ready := pictures.read_ready(data, target, mode=mode, max_pixels=self.max_pixels)) is not None:
            return ready
        image = pictures.open_picture(data, max_pixels=self.max_pixels)
        if image.width * image.height <= INLINE_PIXELS:
            return pictures.inspect(image, target, mode=mode)
        work = partial(pictures.inspect, image, target, mode=mode)
        try:
            async with asyncio.timeout(self.batcher.deadline_s):
                return await asyncio.get_running_loop().run_in_executor(self.decoders, work)
        except TimeoutError:
            raise self.batcher.too_late() from None

    async def predict(self, pixels: NDArray[np.uint8]) -> Answers:
        """What the network says of every picture, counted by class found. Errors as in `Batcher.predict`."""
        answers = await self.batcher.predict(pixels)
        counts: dict[int, int] = {}  # mostly of one picture, for which a Counter takes longer
        for best in answers.probabilities.argmax(axis=1).tolist():
            counts[best] = counts.get(best, 0) + 1
        for best, count in counts.items():
            self.metrics.predictions[best].inc(count)
        if self.metrics.unrecognized is not None and (strangers := self.recognized(answers).count(False)):
            self.metrics.unrecognized.inc(strangers)
        if self.watch is not None:
            self.watch(self, pixels, answers.probabilities)
        return answers

    def recognized(self, answers: Answers) -> list[bool | None]:
        """Whether each picture is like those that the network was trained on; None where the version can not tell."""
        if self.threshold is None or answers.novelty is None:
            return [None] * len(answers.probabilities)
        return [score <= self.threshold for score in answers.novelty.tolist()]

    def let_go(self) -> asyncio.Event:
        """Call this on taking it out of service.

        Returns:
            Is set when no request holds it any more.
        """
        self.watch = None
        gone = asyncio.Event()
        weakref.finalize(self, tell, asyncio.get_running_loop(), gone).atexit = False
        return gone


def tell(loop: asyncio.AbstractEventLoop, gone: asyncio.Event) -> None:
    """Set an event from whatever thread lets go last, which may be after the loop's end."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(gone.set)


def load(repository: Repository, name: str, version: int, settings: Settings, *, at_once: bool) -> Tried:
    """Load a version, let it prove itself, and warm it up.

    Args:
        repository: The store.
        name: Of the model.
        version: Its number.
        settings: The engine, and more of that kind.
        at_once: Be there as soon as pictures can be answered at all: there is nobody else who answers them.

    Raises:
        BadManifest: It does not say what it is.
        BadVersion: It is not what it says.
    """
    manifest = repository.open(name, version)
    folder = repository.folder(name, version)
    threads, spare = settings.threads_each, settings.threads_spare
    engine = engines.load(settings.engine, folder, manifest, threads, settings.precision, spare=spare, at_once=at_once)
    prove(engine, manifest)
    return Tried(manifest, engine, warm_up(engine, manifest, settings.max_batch))


def prove(engine: Engine, manifest: Manifest) -> None:
    """Let a network answer its golden inputs.

    Raises:
        BadVersion: An answer is another than the recorded one.
    """
    for index, golden in enumerate(manifest.golden):
        pixels = np.frombuffer(golden.pixels, np.uint8).reshape(1, *manifest.input.shape)
        answers = engine.predict(pixels)
        distance = float(np.abs(answers.probabilities[0] - golden.probabilities).max())
        tolerance = engines.TOLERANCE[engine.precision]
        if not distance <= tolerance:
            raise BadVersion(
                f"{manifest.name} {manifest.version} answers golden input {index} wrongly",
                expected=f"probabilities within {tolerance} of the recorded ones",
                found=f"{distance:.4f} off",
            )
        if answers.novelty is not None and not 0 <= answers.novelty[0] <= 1:
            raise BadVersion(
                f"the novelty network of {manifest.name} {manifest.version} scores golden input {index} out of range",
                expected="a novelty score from 0 to 1",
                found=str(answers.novelty[0]),
            )


def warm_up(engine: Engine, manifest: Manifest, max_batch: int) -> float:
    """Let a network see small and large batches once, and measure it.

    Returns:
        Seconds for one picture, the best of five.
    """
    for size in () if engine.warm else {max_batch, max_batch // 2, max_batch - 1} - {0}:
        engine.predict(np.zeros((size, *manifest.input.shape), np.uint8))
    one = np.zeros((1, *manifest.input.shape), np.uint8)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        engine.predict(one)
        times.append(time.perf_counter() - started)
    return min(times)
