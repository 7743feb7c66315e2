"""Ends a worker that hangs, so that it is replaced."""

import asyncio
import logging
import os
import threading
import time
from types import TracebackType
from typing import Self

from service.registry import Registry

logger = logging.getLogger(__name__)

EXIT_CODE = 70
"""Internal software error, after sysexits.h."""


class Watchdog:
    """A thread that asks the event loop and the networks for a sign of life.

    Args:
        registry: Whose networks to watch.
        hang_s: Seconds without a sign after which the process ends.
    """

    def __init__(self, registry: Registry, hang_s: float) -> None:
        self.registry = registry
        self.hang_s = hang_s
        self.loop = asyncio.get_running_loop()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()

    def watch(self) -> None:
        while not self.stopped.wait(self.hang_s / 10):
            alive = threading.Event()
            self.loop.call_soon_threadsafe(alive.set)
            if not alive.wait(self.hang_s) and not self.stopped.is_set():
                self.end("the event loop")
            self.check()

    def check(self) -> None:
        """See that no network has been computing for too long."""
        # Not in `watch`, which would hold the last version that it has seen while it sleeps.
        for serving in self.registry.everything():
            since = serving.batcher.busy_since
            if since is not None and time.monotonic() - since > self.hang_s:
                self.end(f"the network of {serving.manifest.name} {serving.manifest.version}")

    def end(self, what: str) -> None:
        """No clean-up: whatever would do it hangs."""
        logger.critical("%s hangs for more than %.0f s, so this worker ends", what, self.hang_s)
        os._exit(EXIT_CODE)
