"""The time between SIGTERM and the end: readiness is red so that nobody sends more, and whoever does is answered."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from service.state import Shared

logger = logging.getLogger(__name__)


@contextmanager
def draining(shared: Shared) -> Iterator[None]:
    """On SIGTERM, turn readiness red at once and hand the signal on to the server `drain_s` later.

    A second SIGTERM, or Ctrl-C, is handed on at once.
    """
    server_handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server_handler):
        yield
        return
    loop = asyncio.get_running_loop()
    stop = server_handler

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if shared.draining or not shared.settings.drain_s:
            stop(number, frame)
            return
        shared.draining = True
        logger.info("draining for %g s", shared.settings.drain_s)
        loop.call_soon_threadsafe(loop.call_later, shared.settings.drain_s, stop, number, None)

    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server_handler)
