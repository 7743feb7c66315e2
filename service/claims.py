"""How workers ask each other about a call that only one of them remembers: a file for each claim, and for its answer.

Whoever remembers the call renames the claim first, so that the asker knows that it is being settled. All that touches
the folder is done on a thread: storage may be slow, or hang, and predictions go on.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from service.files import whole

logger = logging.getLogger(__name__)

LAID, TAKEN, ANSWERED = ".json", ".taken", ".answer"
"""Suffixes: of a claim, of one that is being settled, and of what came of it."""
GLANCE_S = 0.05
"""Seconds between two looks at the folder."""
PATIENCE_S = 1.0
"""Seconds in which somebody takes a claim, if anybody does."""
STALE_S = 60.0
"""Seconds after which nobody waits for one any more."""

Reply = dict[str, str]


class Claim(NamedTuple):
    """What somebody says of a picture."""

    request_id: str
    picture: int
    """Its place among the call's pictures, from 0 on."""
    label: str | None
    """The right class; None only says that something is wrong."""


class Claims:
    """One worker's view of the folder.

    Args:
        folder: Where all workers look.
        knows: Whether this worker remembers what a claim is about. Asked on a thread.
        settle: Does what the claim says; None where it can not be done here.
    """

    def __init__(
        self, folder: Path, knows: Callable[[Claim], bool], settle: Callable[[Claim], Awaitable[Reply | None]]
    ) -> None:
        self.folder = folder
        self.knows = knows
        self.settle = settle
        self.waiting: dict[str, asyncio.Future[Reply | None]] = {}
        """The claims of this worker, by the names of their files."""
        self.answering: set[asyncio.Task[None]] = set()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="claims")

    def close(self) -> None:
        """Let go. Who still waits is told by the end of the server."""
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def ask(self, claim: Claim) -> Reply | None:
        """What the worker that remembers the call says; None where none does.

        Raises:
            OSError: The folder can not be written, or does not answer; TimeoutError among them.
        """
        loop = asyncio.get_running_loop()
        path = self.folder / f"{uuid.uuid4().hex}{LAID}"
        answered = self.waiting[path.stem] = loop.create_future()
        try:
            async with asyncio.timeout(STALE_S / 2):
                await loop.run_in_executor(self.thread, self.lay, path, claim)
                await asyncio.wait([answered], timeout=PATIENCE_S)
                if not answered.done() and await loop.run_in_executor(self.thread, withdraw, path):
                    return None
                reply: Reply | None = await answered
                return reply
        finally:
            del self.waiting[path.stem]
            with suppress(RuntimeError):  # it is closed
                self.thread.submit(forget, path)

    async def watch(self) -> None:
        """Settle the claims of other workers that this one can, and take the answers to its own, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(GLANCE_S)
            try:
                taken, replies = await loop.run_in_executor(self.thread, self.look)
            except Exception:
                logger.exception("claims can not be read")
                continue
            for name, reply in replies.items():
                if name in self.waiting and not self.waiting[name].done():
                    self.waiting[name].set_result(reply)
            for path, claim in taken:
                task = loop.create_task(self.answer(path, claim))
                self.answering.add(task)
                task.add_done_callback(self.answering.discard)

    async def answer(self, path: Path, claim: Claim) -> None:
        """Settle a claim that was taken, and say what came of it."""
        try:
            reply = await self.settle(claim)
        except OSError as error:
            logger.error("a picture can not be kept: %s", error)
            reply = {"failed": str(error.strerror)}
        await asyncio.get_running_loop().run_in_executor(self.thread, tell, path, reply)

    # On the thread

    def lay(self, path: Path, claim: Claim) -> None:
        """Put a claim where the others look."""
        self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have moved it all away, to train on it
        with whole(path, lasting=False) as file:
            file.write(json.dumps(claim._asdict()).encode())

    def look(self) -> tuple[list[tuple[Path, Claim]], dict[str, Reply | None]]:
        """Claims of others that this worker has now taken, and the answers to its own."""
        taken: list[tuple[Path, Claim]] = []
        replies: dict[str, Reply | None] = {}
        for path in list(self.folder.iterdir()) if self.folder.is_dir() else []:
            own = path.stem in self.waiting
            try:
                if path.suffix == ANSWERED and own:
                    replies[path.stem] = json.loads(path.read_bytes())
                elif path.suffix == LAID and not own:
                    claim = Claim(**json.loads(path.read_bytes()))
                    if self.knows(claim):
                        taken.append((path.rename(path.with_suffix(TAKEN)), claim))
            except FileNotFoundError:  # the other worker has given it up, or a third one has taken it
                continue
            except (TypeError, ValueError):
                logger.error("%s is no claim, and removed", path)
                path.unlink(missing_ok=True)
        return taken, replies

    def prune(self) -> None:
        """Remove what killed workers have left."""
        for path in self.folder.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - STALE_S:
                    path.unlink()


def withdraw(path: Path) -> bool:
    """Give a claim up. Returns whether nobody had taken it."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def forget(path: Path) -> None:
    """Remove all that is left of a claim."""
    with suppress(OSError):
        for suffix in (LAID, TAKEN, ANSWERED):
            path.with_suffix(suffix).unlink(missing_ok=True)


def tell(path: Path, reply: Reply | None) -> None:
    """Lay the answer to a claim that was taken, for whoever asked."""
    told = path.with_suffix(ANSWERED)
    try:
        with whole(told, lasting=False) as file:
            file.write(json.dumps(reply).encode())
        path.unlink()
    except FileNotFoundError:  # whoever asked has given up
        told.unlink(missing_ok=True)
    except OSError as error:
        logger.error("a claim can not be answered: %s", error)
