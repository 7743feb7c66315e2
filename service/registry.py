"""What is loaded: for each model the version that serves, with its network and its queue."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import engines, pictures
from service.batcher import Batcher
from service.engines import Engine
from service.errors import BadVersion, ModelError, UnknownModel, UnknownVersion
from service.manifest import Manifest
from service.metrics import Metrics, VersionMetrics
from service.repository import Repository
from service.settings import Settings

logger = logging.getLogger(__name__)

INLINE_S = 0.002
"""A network that answers one picture within this many seconds computes on the event loop itself."""
INLINE_PIXELS = 128 * 128
"""A picture up to this size is prepared on the event loop itself: a thread would cost more."""
TOLERANCE = {"f32": 1e-3, "bf16": 0.1, "int8": 0.25}
"""How far an answer to a golden input may be from the recorded one, on whatever processor this is."""


class State(NamedTuple):
    """What there is to say of a version."""

    name: str
    version: int
    state: Literal["serving", "refused", "available"]
    reason: str = ""
    """Why it is refused."""


class Serving:
    """One version that answers.

    Args:
        manifest: What it says of itself.
        engine: Its network, loaded and tried.
        batcher: The queue before it.
        metrics: What it counts.
        decoders: Threads that prepare large pictures.
        max_pixels: Cap on a picture's width times height.
    """

    float_pixels: Literal["raw", "unit"] = "raw"
    """What numbers in a type that has fractions are: whole numbers from 0 to 255, or such / 255."""

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        batcher: Batcher,
        metrics: VersionMetrics,
        decoders: ThreadPoolExecutor,
        max_pixels: int,
    ) -> None:
        self.manifest = manifest
        self.engine = engine
        self.batcher = batcher
        self.metrics = metrics
        self.decoders = decoders
        self.max_pixels = max_pixels

    async def prepare(self, data: bytes, mode: pictures.Mode) -> NDArray[np.uint8]:
        """File bytes → the pixels that the network was trained on. Errors as in `pictures`."""
        image = pictures.open_picture(data, max_pixels=self.max_pixels)
        if image.width * image.height <= INLINE_PIXELS:
            return pictures.prepare(image, self.manifest.input, mode=mode)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.decoders, lambda: pictures.prepare(image, self.manifest.input, mode=mode)
        )

    async def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of every picture, counted by class found. Errors as in `Batcher.predict`."""
        probabilities = await self.batcher.predict(pixels)
        for best in probabilities.argmax(axis=1).tolist():
            self.metrics.predictions[best].inc()
        return probabilities


class Registry:
    """All versions that serve, by model; and those that were refused, with the reason."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.repository = Repository(settings.models)
        self.serving: dict[str, Serving] = {}
        self.refused: dict[tuple[str, int], ModelError] = {}
        self.decoders = ThreadPoolExecutor(2, thread_name_prefix="decoder")

    def load(self) -> None:
        """Of each model, the newest version that keeps its promises."""
        for name in self.repository.names():
            for version in reversed(self.repository.versions(name)):
                try:
                    self.serving[name] = self.start(name, version)
                    break
                except ModelError as error:
                    logger.error("%s %d does not serve: %s", name, version, error)
                    self.refused[name, version] = error

    def start(self, name: str, version: int) -> Serving:
        """Load a version, let it prove itself, and warm it up."""
        settings = self.settings
        manifest = self.repository.open(name, version)
        engine = engines.load(
            settings.engine, self.repository.folder(name, version), manifest, settings.threads_each, settings.precision
        )
        prove(engine, manifest)
        seconds = warm_up(engine, manifest, settings.max_batch)
        metrics = VersionMetrics(self.metrics, manifest, engine.name, engine.precision)
        logger.info(
            "%s %d serves: %s %s, %.2f ms a picture", name, version, engine.name, engine.precision, seconds * 1000
        )
        batcher = Batcher(
            engine,
            classes=len(manifest.labels),
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            deadline_s=settings.deadline_ms / 1000,
            inline=seconds <= INLINE_S,
            metrics=metrics.batch,
        )
        return Serving(manifest, engine, batcher, metrics, self.decoders, settings.max_pixels)

    def get(self, name: str | None, version: int | None, label: str | None = None) -> Serving:
        """The version that answers.

        Args:
            name: A model; None is the default model.
            version: One version of it; None is the one that serves.
            label: A name for a version, such as `stable`.

        Raises:
            UnknownModel: No such model.
            UnknownVersion: The model is there, that version does not serve, or no version bears that label.
        """
        serving = self.serving.get(name or self.settings.default_model)
        if serving is None:
            raise UnknownModel(
                "no such model",
                expected=f"one of: {', '.join(self.serving) or 'none serves'}",
                found=ascii(name or self.settings.default_model)[:80],
                fix="see GET /models",
            )
        if version is not None and version != serving.manifest.version:
            raise UnknownVersion(
                "that version does not serve",
                expected=f"{serving.manifest.name} {serving.manifest.version}",
                found=str(version)[:40],
                fix="see GET /models, or leave the version out",
            )
        if label is not None:
            raise UnknownVersion(
                "no version bears that label",
                expected="a version's number, or none",
                found=ascii(label)[:80],
                fix="see GET /models",
            )
        return serving

    def states(self) -> list[State]:
        """Every version in the store, by name and number."""
        names = sorted({*self.serving, *(name for name, _ in self.refused)})
        return [self.state(name, version) for name in names for version in self.repository.versions(name)]

    def state(self, name: str, version: int) -> State:
        if (error := self.refused.get((name, version))) is not None:
            # The folder's place on this machine is nobody's business.
            reason = f"{type(error).__name__}: " + "; ".join(filter(None, (error.expected, error.found)))
            return State(name, version, "refused", reason)
        serving = self.serving.get(name)
        serves = serving is not None and serving.manifest.version == version
        return State(name, version, "serving" if serves else "available")

    async def close(self) -> None:
        """Finish what is queued, then let go."""
        await asyncio.gather(*(serving.batcher.close() for serving in self.serving.values()))
        self.decoders.shutdown(wait=False, cancel_futures=True)


def prove(engine: Engine, manifest: Manifest) -> None:
    """Let a network answer its golden inputs.

    Raises:
        BadVersion: An answer is another than the recorded one.
    """
    for index, golden in enumerate(manifest.golden):
        pixels = np.frombuffer(golden.pixels, np.uint8).reshape(1, *manifest.input.shape)
        distance = float(np.abs(engine.predict(pixels)[0] - golden.probabilities).max())
        tolerance = TOLERANCE[engine.precision]
        if not distance <= tolerance:
            raise BadVersion(
                f"{manifest.name} {manifest.version} answers golden input {index} wrongly",
                expected=f"probabilities within {tolerance} of the recorded ones",
                found=f"{distance:.4f} off",
            )


def warm_up(engine: Engine, manifest: Manifest, max_batch: int) -> float:
    """Let a network see small and large batches once, and measure it.

    Returns:
        Seconds for one picture, the best of five.
    """
    for size in {max_batch, max_batch // 2, max_batch - 1} - {0}:
        engine.predict(np.zeros((size, *manifest.input.shape), np.uint8))
    one = np.zeros((1, *manifest.input.shape), np.uint8)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        engine.predict(one)
        times.append(time.perf_counter() - started)
    return min(times)
