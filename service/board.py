"""What the workers of one server share: a slot for each, its callers, whether it computes, and what it serves."""

import fcntl
import itertools
import mmap
import time
from pathlib import Path
from typing import IO

SLOTS = 1024
"""Workers that there can be, at most."""
NOBODY = -1
"""In a slot that nobody has taken yet."""
GONE = 2**62
"""In the slot of a worker that has ended."""
COMPUTING = 2**62
"""In the slot of a worker that computes now."""
REST_NS = 5_000_000
"""Nanoseconds after its last batch in which a worker counts as busy: callers who were just answered ask again."""


class Board:
    """A few numbers for each worker, in memory that all of them see. Made before they are forked.

    Each worker writes its own numbers only, so that nobody needs a lock.
    """

    def __init__(self) -> None:
        self.over = memoryview(mmap.mmap(-1, 8)).cast("q")
        self.callers, self.computed, self.asked, self.applied, self.digests = (column() for _ in range(5))
        self.take(0)  # as long as nobody else says otherwise, there is one worker

    @property
    def first(self) -> bool:
        """Whether this is the worker that does what one of them has to do: the first that is still there."""
        return next((slot for slot in range(self.taken) if self.applied[slot] != GONE), self.slot) == self.slot

    @property
    def wishes(self) -> int:
        """How often all workers were asked to end; 0 where only one of them is, to be replaced."""
        return self.over[0]

    def end(self) -> None:
        """Tell the workers that all of them are to end."""
        self.over[0] += 1

    def take(self, slot: int) -> None:
        """From now on, this process writes into `slot`."""
        self.slot = slot
        self.computed[slot] = 0  # whoever was here before may have ended in the middle of it
        self.applied[slot] = 0  # from now on, others wait for it

    def publish(self, callers: int) -> bool:
        """Tell the others how many callers this worker has.

        Returns:
            Whether another worker has fewer; of many, an eighth more is no matter.
        """
        self.callers[self.slot] = callers
        for other in self.callers:
            if other == NOBODY:  # slots fill up from the first
                return False
            if other + other // 8 < callers:
                return True
        return False

    def start(self) -> bool:
        """Tell the others that this worker computes.

        Returns:
            Whether they rest, so that their cores are free.
        """
        self.computed[self.slot] = COMPUTING
        since = time.monotonic_ns() - REST_NS
        for slot, end in enumerate(self.computed):
            if end == NOBODY:
                break
            if end > since and slot != self.slot:
                return False
        return True

    def stop(self) -> None:
        """Tell the others that this worker has computed."""
        self.computed[self.slot] = time.monotonic_ns()

    def ask(self) -> int:
        """Ask every worker, this one too, to look at the store.

        Returns:
            What `total` is now; a worker that has applied as much has done so.
        """
        self.asked[self.slot] = max(self.asked[self.slot], 0) + 1
        return self.total

    @property
    def total(self) -> int:
        """How often a look at the store was asked for, by anyone."""
        return sum(number for number in self.asked[: self.taken] if number > 0)

    @property
    def taken(self) -> int:
        """How many slots are taken, or were."""
        return next((slot for slot, number in enumerate(self.applied) if number == NOBODY), SLOTS)

    def apply(self, total: int, digest: int) -> None:
        """Tell the others what this worker has applied, and what serves now."""
        self.digests[self.slot] = digest
        self.applied[self.slot] = total

    def shut(self) -> None:
        """Nobody leaves callers to this worker any more."""
        self.callers[self.slot] = GONE

    def leave(self) -> None:
        """Nobody needs to wait for this worker any more, either."""
        self.shut()
        self.applied[self.slot] = GONE

    def bury(self, folder: Path) -> list[int]:
        """Let nobody wait for workers that have ended without a word: the kernel has freed their locks.

        Args:
            folder: See `claim`.

        Returns:
            Their slots.
        """
        dead = []
        for slot in range(self.taken):
            if self.applied[slot] != GONE and slot != self.slot and is_free(folder, slot):
                self.callers[slot] = self.applied[slot] = GONE
                self.computed[slot] = 0
                dead.append(slot)
        return dead

    def everywhere(self, total: int) -> bool:
        """Whether all workers have applied so much, and the same serves in each."""
        digest = self.digests[self.slot]
        return all(
            self.applied[slot] == GONE or (self.applied[slot] >= total and self.digests[slot] == digest)
            for slot in range(self.taken)
        )


def column() -> memoryview:
    """A number for each slot, in memory that survives a fork."""
    numbers = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("q")
    numbers[:] = memoryview(NOBODY.to_bytes(8, "little", signed=True) * SLOTS).cast("q")
    return numbers


def claim(folder: Path) -> tuple[int, IO[str]]:
    """The first free slot, for as long as this process lives.

    Returns:
        Its number, and the lock that holds it: the kernel frees it when the process ends, however it ends.
    """
    folder.mkdir(exist_ok=True)  # logind removes what a user who has logged out has in /dev/shm (RemoveIPC)
    for slot in itertools.count():
        lock = (folder / f"slot-{slot}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.close()
    return slot, lock


def is_free(folder: Path, slot: int) -> bool:
    """Whether nobody holds the lock of a slot."""
    with (folder / f"slot-{slot}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
