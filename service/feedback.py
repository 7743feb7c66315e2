"""Pictures that are kept to train on: those that the network was unsure of, and those that people flagged or corrected.

Nothing here exists unless a folder is set; how they lie in it, `archive` says.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.archive import Archive, Part
from service.claims import STALE_S, Claim, Claims
from service.errors import BadBody, StoreFull, UnknownRequest, shown
from service.metrics import Metrics
from service.serving import Serving
from service.settings import Settings

logger = logging.getLogger(__name__)

RECENT = 2048
"""Calls of which each worker remembers the pictures, at most, for feedback to come."""
RECENT_BYTES = 64 * 1024 * 1024
RECENT_S = 3600.0
"""Seconds after which they are forgotten."""
MAX_PICTURES = 64
"""Pictures of one call that are remembered, at most."""
BACKLOG = 64
"""Pictures that wait to be written, at most; beyond, unsure ones are not kept."""
PRUNE_EVERY = 32
"""Pictures that each worker is given to keep between two looks at the caps, at most."""
PRUNE_S = 3600.0
"""Seconds between two looks, at most: pictures grow old where none are written."""
REASONS = ("unsure", "flagged", "corrected", "dropped")
CLAIMS = ".claims"
"""The folder in which a worker asks the others for a call that it did not answer itself."""


class Call(NamedTuple):
    """What was answered to one call."""

    at: float
    """Seconds of the monotonic clock."""
    model: str
    labels: tuple[str, ...]
    pixels: NDArray[np.uint8]
    found: list[int]
    """Class of each picture."""
    places: list[int]
    """Of each among all pictures of the call: bad ones were not answered."""


class Feedback:
    """What one worker remembers, and what all of them keep.

    Args:
        root: The folder.
        settings: The caps.
        metrics: Where to count.
    """

    def __init__(self, root: Path, settings: Settings, metrics: Metrics) -> None:
        # Settings
        self.root = root
        self.settings = settings
        self.counts = {reason: metrics.feedback.labels(reason) for reason in REASONS}
        # Shared
        self.calls: OrderedDict[str, Call] = OrderedDict()
        self.bytes = 0
        self.archive = Archive(root, settings)
        self.claims = Claims(root / CLAIMS, lambda claim: claim.request_id in self.calls, self.settle)
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self.backlog = 0
        self.asked = 0
        # All workers write at once: together they stay below the cap, whatever each adds until its next look.
        self.every = max(1, min(PRUNE_EVERY, settings.feedback_pictures // (2 * settings.processes)))
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Listen to the other workers. What hinders the folder is in the log: a worker that takes another's place
        answers without it.
        """
        self.writer.submit(self.make_folder)  # storage may hang
        self.tasks.append(asyncio.create_task(self.age()))
        if self.settings.processes > 1:
            self.tasks.append(asyncio.create_task(self.claims.watch()))

    def close(self) -> None:
        """Write what waits, then let go."""
        for task in self.tasks:
            task.cancel()
        self.claims.close()
        self.writer.shutdown()

    # What was answered

    def remember(
        self,
        request_id: str,
        serving: Serving,
        pixels: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        places: Sequence[int] | None = None,
    ) -> None:
        """Remember the pictures of a call for a while, and keep those whose class is unsure."""
        pixels = pixels[:MAX_PICTURES].copy()
        found = probabilities[:MAX_PICTURES].argmax(axis=1).tolist()
        known = list(places or range(len(pixels)))[:MAX_PICTURES]
        call = Call(time.monotonic(), serving.manifest.name, serving.manifest.labels, pixels, found, known)
        self.forget(request_id)
        self.calls[request_id] = call
        self.bytes += pixels.nbytes
        self.forget_oldest()
        for index in np.flatnonzero(probabilities[:MAX_PICTURES].max(axis=1) < self.settings.feedback_below).tolist():
            self.keep_unsure(call, index)

    def forget_oldest(self) -> None:
        """Keep to the caps."""
        while self.calls and self.too_much():
            self.forget(next(iter(self.calls)))

    def too_much(self) -> bool:
        oldest = next(iter(self.calls.values()))
        old = time.monotonic() - oldest.at > RECENT_S
        return old or len(self.calls) > RECENT or self.bytes > RECENT_BYTES

    def forget(self, request_id: str) -> None:
        call = self.calls.pop(request_id, None)
        if call is not None:
            self.bytes -= call.pixels.nbytes

    def keep_unsure(self, call: Call, index: int) -> None:
        """Write a picture beside the loop, unless too many wait to be written."""
        if self.backlog >= BACKLOG:
            self.counts["dropped"].inc()
            return
        self.backlog += 1
        label = call.labels[call.found[index]]
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self.writer, self.keep, call, index, label, "unlabelled").add_done_callback(self.done)

    def done(self, writing: "asyncio.Future[bool]") -> None:
        self.backlog -= 1
        if writing.cancelled():
            return
        if (error := writing.exception()) is not None:
            logger.error("a picture can not be kept: %s", error)
        elif writing.result():
            self.counts["unsure"].inc()

    # What people say

    async def take(self, claim: Claim) -> None:
        """Keep a picture as somebody says, whichever worker has answered it.

        Raises:
            UnknownRequest: No worker remembers that call, or it had no such picture.
            BadBody: Not one of the model's classes.
            StoreFull: It can not be written.
        """
        try:
            async with asyncio.timeout(STALE_S):
                reply = await self.settle(claim)
                if reply is None and self.settings.processes > 1:
                    reply = await self.claims.ask(claim)
        except OSError as error:
            logger.error("a picture can not be kept: %s", error)
            raise StoreFull("the picture can not be kept") from error
        if reply is None:
            raise UnknownRequest(
                "nobody remembers that picture",
                expected=f"the X-Request-ID of an answer, at most {RECENT_S / 60:.0f} minutes or {RECENT:,} calls old,"
                f" and one of its first {MAX_PICTURES} pictures that were answered",
                found=f"{shown(claim.request_id)}, picture {shown(claim.picture)}",
            )
        if "failed" in reply:
            raise StoreFull("the picture can not be kept")
        if "expected" in reply:
            raise BadBody("no such class", expected=reply["expected"], found=shown(claim.label))

    async def settle(self, claim: Claim) -> dict[str, str] | None:
        """Keep a picture that this worker remembers; None if it does not."""
        self.forget_oldest()
        call = self.calls.get(claim.request_id)
        if call is None or claim.picture not in call.places:
            return None
        index = call.places.index(claim.picture)
        if claim.label is not None and claim.label not in call.labels:
            return {"expected": ", ".join(call.labels[:20])}
        label = call.labels[call.found[index]] if claim.label is None else claim.label
        part: Part = "unlabelled" if claim.label is None else "labelled"
        await asyncio.get_running_loop().run_in_executor(self.writer, self.keep, call, index, label, part)
        self.counts["flagged" if claim.label is None else "corrected"].inc()
        return {"kept": part}

    async def age(self) -> None:
        """Look at the caps now, and once in a while."""
        while True:
            self.forget_oldest()
            try:
                await asyncio.get_running_loop().run_in_executor(self.writer, self.prune)
            except OSError:
                logger.exception("pictures that are too old can not be removed")
            await asyncio.sleep(PRUNE_S)

    # On the writer's thread

    def make_folder(self) -> None:
        try:
            (self.root / CLAIMS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logger.error("no pictures can be kept in %s: %s", self.root, error.strerror)

    def keep(self, call: Call, index: int, label: str, part: Part) -> bool:
        """Write one picture, and now and then look at the caps. Returns whether it is news, as `Archive.keep`."""
        new = self.archive.keep(call.model, part, label, call.pixels[index])
        self.asked += 1
        if self.asked % self.every == 0:
            self.prune()
        return new

    def prune(self) -> None:
        """Remove what killed workers have left, and what is too old or too much."""
        self.claims.prune()
        self.archive.prune(self.every * self.settings.processes)
