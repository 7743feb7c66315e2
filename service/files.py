"""Files that appear whole or not at all; folders in which one writes after the other."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """A file to write into, which takes its place at `path` when that is done: whoever reads there finds the old one or
    the new one. Others may read it: the server, or who trains, may be another user.

    Args:
        path: Where it appears; the folder is there.
        lasting: It is still there after a power cut; to make sure of that takes a while.

    Raises:
        OSError: It can not be written; what is at `path` is as it was, and nothing else is left.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:64]}-", delete=False) as file:
        try:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    if not lasting:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone in `folder`, among all who ask."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
