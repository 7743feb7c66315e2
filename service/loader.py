"""Loads versions aside, in a thread, and remembers which of them were refused."""

import asyncio
import errno
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from service import serving
from service.errors import BadVersion, ModelError
from service.files import locked
from service.repository import Repository
from service.serving import Tried
from service.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")
PASSING = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.EAGAIN,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
"""What may be over at the next look: no room for files or memory, storage that fails for a moment."""


class Loader:
    """The one thread of a worker that touches the store.

    Args:
        settings: The engine, and more of that kind.
        repository: The store.
    """

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings = settings
        self.repository = repository
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self.considerate = False
        """Whether callers are answered meanwhile: then, of several workers, one loads after the other."""
        self.aside: dict[tuple[str, int], Tried] = {}
        self.stamps: dict[tuple[str, int], int] = {}
        """What the files of a refused version looked like."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do what touches the disk, or takes long, beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    async def put_aside(self, name: str, version: int) -> None:
        """Load a version before it is wanted. Errors as in `load`."""
        self.aside[name, version] = await self.load(name, version)

    async def load(self, name: str, version: int) -> Tried:
        """A network that has kept its promises, with what it says of itself.

        Raises:
            ModelError: It has not.
        """
        if (name, version) in self.aside:
            return self.aside.pop((name, version))
        return await self.run(lambda: self.read(name, version))

    def read(self, name: str, version: int) -> Tried:
        """On the thread: `load`."""
        self.stamps[name, version] = self.repository.stamp(name, version)
        try:
            with self.turn():
                tried = serving.load(self.repository, name, version, self.settings, at_once=not self.considerate)
        except ModelError as error:
            if passes(error.__cause__):
                del self.stamps[name, version]
            raise
        except Exception as error:  # a folder can be wrong in ways that no library has foreseen
            if passes(error):
                del self.stamps[name, version]
            else:
                logger.exception("%s %d can not be loaded", name, version)
            raise BadVersion(f"{name} {version} can not be loaded", found=type(error).__name__) from error
        del self.stamps[name, version]
        return tried

    def turn(self) -> AbstractContextManager[None]:
        """A worker's turn to load, which takes a whole core."""
        return locked(self.repository.root.resolve()) if self.considerate else nullcontext()

    def refused(self, name: str) -> dict[int, int]:
        """The refused versions of a model, with a stamp of their files as they are now."""
        versions = [version for model, version in self.stamps if model == name]
        return {version: self.repository.stamp(name, version) for version in versions}

    def hopeless(self, name: str, stamps: dict[int, int]) -> set[int]:
        """Refused versions whose files are still as they were; the others get another chance."""
        for version, stamp in stamps.items():
            if self.stamps.get((name, version)) != stamp:
                self.stamps.pop((name, version), None)
        return {version for model, version in self.stamps if model == name}

    def close(self) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)


def passes(error: BaseException | None) -> bool:
    """Whether what went wrong may be over at the next look."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in PASSING)
