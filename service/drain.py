"""The time between SIGTERM and the end: readiness is red so that nobody sends more, and whoever does is answered.

Where a single worker is to end, the others serve on, and readiness says so.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from service.board import Board
from service.state import Shared

logger = logging.getLogger(__name__)


@contextmanager
def draining(shared: Shared, board: Board) -> Iterator[None]:
    """On SIGTERM, turn readiness red at once and hand the signal on to the server `drain_s` later.

    A second SIGTERM, or Ctrl-C, is handed on at once.

    Args:
        shared: What says so.
        board: What knows whether the other workers end as well.
    """
    server_handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(server_handler):
        yield
        return
    loop = asyncio.get_running_loop()
    parent = os.getppid()
    stop = server_handler

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        alone = shared.settings.processes == 1
        # A signal to the whole process group comes twice, by itself and from the manager, in either order: one wish.
        again = shared.draining and (alone or board.wishes != 1)
        orphaned = os.getppid() != parent  # then the others are, too
        shared.ending = alone or board.wishes > 0 or orphaned
        if again or not shared.settings.drain_s:
            stop(number, frame)
            return
        if shared.draining:
            return
        shared.draining = True
        logger.info("draining for %g s", shared.settings.drain_s)
        loop.call_soon_threadsafe(loop.call_later, shared.settings.drain_s, stop, number, None)

    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server_handler)
