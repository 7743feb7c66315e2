"""What the workers of one server share: a slot for each, and how many callers each has."""

import fcntl
import itertools
import mmap
from pathlib import Path
from typing import IO

SLOTS = 1024
"""Workers that there can be, at most."""
NOBODY = -1


class Board:
    """A number for each worker, in memory that all of them see. Made before they are forked."""

    def __init__(self) -> None:
        self.numbers = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("q")
        self.numbers[:] = memoryview(NOBODY.to_bytes(8, "little", signed=True) * SLOTS).cast("q")
        self.slot = 0

    def take(self, slot: int) -> None:
        """From now on, this process writes into `slot`."""
        self.slot = slot

    def publish(self, callers: int) -> bool:
        """Tell the others how many callers this worker has.

        Returns:
            Whether another worker has fewer.
        """
        self.numbers[self.slot] = callers
        for other in self.numbers:
            if other == NOBODY:  # slots fill up from the first
                return False
            if other < callers:
                return True
        return False


def claim(folder: Path) -> tuple[int, IO[str]]:
    """The first free slot, for as long as this process lives.

    Returns:
        Its number, and the lock that holds it: the kernel frees it when the process ends, however it ends.
    """
    for slot in itertools.count():
        lock = (folder / f"slot-{slot}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.close()
    return slot, lock
