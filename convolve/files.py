"""What a command line names → pictures: files, folders, patterns and stdin."""

import os
import sys
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from convolve.pictures import Picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
"""What is taken for a picture in a folder; a file that is named may be called anything."""
STDIN = "-"


def find(arguments: Iterable[str]) -> Iterator[str]:
    """Files by their names; those of a folder, hidden ones left out; and those that a quoted pattern finds."""
    for argument in arguments:
        if os.path.exists(argument) or argument == STDIN:
            yield from walk(argument)
            continue
        found = sorted(glob(argument, recursive=True))
        for each in found or [argument]:
            if not (os.path.isdir(each) and "**" in argument):  # which finds what is in it by itself
                yield from walk(each)


def walk(name: str) -> Iterator[str]:
    """The pictures of a folder; or the file itself, whatever it is."""
    path = Path(name)
    if os.path.isdir(name):
        inside = (each.relative_to(path) for each in path.rglob("*") if is_picture(each))
        seen = (each for each in inside if not any(part.startswith(".") for part in each.parts))
        yield from (str(path / each) for each in sorted(seen))
    else:
        yield name


def is_picture(path: Path) -> bool:
    # What can not be looked at counts: its row will say why.
    return path.suffix.lower() in SUFFIXES and (os.path.isfile(path) or not os.path.exists(path))


def picture_of(name: str) -> Picture:
    """What a client takes for a name: stdin, or the path, which is opened no earlier than it is sent."""
    if name != STDIN:
        return Path(name)
    return sys.stdin.buffer if sys.stdin else b""  # nothing comes from one that is closed
