"""Numbers that the workers of one server count together, in memory-mapped files that whoever is scraped adds up.

The files are those of the client library's multiprocess mode, which reads them. Here, what concerns one version lies in
files of its own, and goes when the version goes; the library could only let them pile up. Files belong to a slot, and
not to a process: a worker that replaces a dead one goes on counting where that one stopped.
"""

import logging
import mmap
import os
import re
import warnings
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from service.board import is_free

logger = logging.getLogger(__name__)

PAGE = 4096
"""Bytes of a new file."""
BESIDE = 64
"""Bytes that a number takes beside its name: more than enough."""


class File(MmapedDict):
    """Is closed when the last number in it is gone, and the memory with the last view of it.

    Raises:
        OSError: There is no room for it, or for another number.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():  # whoever adds up reads no file that is still empty
            draft = path.with_suffix(".draft")
            try:
                with draft.open("wb") as file:
                    file.truncate(PAGE)
                    reserve(file.fileno(), PAGE)
                draft.rename(path)
            finally:
                draft.unlink(missing_ok=True)
        super().__init__(str(path))  # type: ignore[no-untyped-call]

    def place(self, key: str) -> "memoryview[float]":
        """Where a number stands, and the time that it has, as two doubles: half of what the library does to write one.

        When a file grows it is mapped once more, and views of the mapping before stay good: they share the memory.
        """
        size = self._used + len(key.encode()) + BESIDE
        reserve(self._f.fileno(), size)
        if size > len(self._m):  # the library would take a mapping that fails for one that did not
            longer = max(2 * len(self._m), size)
            self._f.truncate(longer)
            self._m = mmap.mmap(self._f.fileno(), longer)
            self._capacity = longer
        self.read_value(key)  # type: ignore[no-untyped-call] # makes the place, if it is not there
        start: int = self._positions[key]
        return memoryview(self._m)[start : start + 16].cast("d")

    def __del__(self) -> None:
        if hasattr(self, "_f"):
            self._f.close()


def reserve(descriptor: int, size: int) -> None:
    """Have room for so many bytes of a file: who writes into mapped memory for which there is none is killed."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)


class Tally:
    """The files of one worker, and what makes numbers in them.

    Args:
        folder: Shared by all workers.
        slot: Which of them this one is.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        self.folder = folder
        self.slot = slot
        self.files: dict[str, File] = {}
        self.full = False
        self.lock = Lock()

    def __call__(
        self,
        kind: str,
        metric_name: str,
        name: str,
        labelnames: list[str],
        labelvalues: list[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> "Number":
        """A number, with what was counted in it before. The arguments are those of the client library."""
        labels = dict(zip(labelnames, labelvalues, strict=True))
        key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        with self.lock:
            try:
                file = self.file(
                    f"{kind}_{multiprocess_mode}" if multiprocess_mode else kind,
                    ending(labels.get("model", ""), labels.get("version", "")),
                )
                return Number(self.lock, file.place(key), file)
            except OSError as error:
                if not self.full:
                    logger.error("no room in %s: new series are not counted: %s", self.folder, error.strerror)
                self.full = True
                return Number(self.lock, memoryview(bytearray(16)).cast("d"))

    def file(self, kind: str, ending: str) -> File:
        """The file for numbers of a kind."""
        name = f"{kind}_{self.slot}{ending}"
        if name not in self.files:
            self.files[name] = File(self.folder / name)
        return self.files[name]

    def forget(self, model: str, version: str) -> None:
        """Remove the files of a version. Numbers that somebody still holds count on, unseen."""
        with self.lock:
            for name in [name for name in self.files if name.endswith(ending(model, version))]:
                (self.folder / name).unlink(missing_ok=True)
                del self.files[name]
            for path in self.folder.glob(f"*{ending(model, version)}"):  # of workers that have ended
                if is_free(self.folder, int(path.name.partition("-")[0].rpartition("_")[2])):
                    path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Remove what this worker says of the present: there is none any more. What it has counted stays."""
        with self.lock:
            forget_gauges(self.folder, self.slot)


class Number:
    """One number, in the place of the client library's own class of that kind."""

    def __init__(self, lock: Lock, place: "memoryview[float]", file: File | None = None) -> None:
        self.lock = lock
        self.place = place
        self.file = file  # which is there as long as this is

    def inc(self, amount: float) -> None:
        with self.lock:
            self.place[0] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self.lock:
            self.place[0] = value
            self.place[1] = timestamp or 0.0

    def get(self) -> float:
        return self.place[0]


def ending(model: str, version: str) -> str:
    """What tells a version's files from others; a model's own name may be too long for that."""
    if not version:
        return ".db"
    return f"-{blake2b(f'{model}/{version}'.encode(), digest_size=8).hexdigest()}.db"


def forget_gauges(folder: Path, slot: int) -> None:
    """Remove what the worker of a slot says, or said, of the present."""
    for path in folder.glob("gauge_*.db"):
        if re.fullmatch(rf"gauge_\w+?_{slot}(-.*)?\.db", path.name):
            path.unlink(missing_ok=True)


def count_in(folder: Path, slot: int) -> None:
    """Let this process count into the files of one slot. Call it before a metric is made."""
    forget_gauges(folder, slot)  # of a worker that ended without a word
    values.ValueClass = Tally(folder, slot)
    warnings.filterwarnings("ignore", "Removal of labels")  # not from the library's own files, but from these
