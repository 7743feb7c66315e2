"""Pictures as callers have them → what is sent, one by one or in chunks."""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from convolve.errors import Unreadable

T = TypeVar("T")

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Far above what servers take; a device or a mistaken path must not fill the memory."""
MAX_CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes of one chunk, at most; a larger picture goes alone."""


@runtime_checkable
class Binary(Protocol):
    """A file that was opened with mode "rb", or anything like it."""

    def read(self, size: int, /) -> bytes: ...


@runtime_checkable
class Array(Protocol):
    """An array of NumPy, or of any library that can make lists."""

    def tolist(self) -> Any: ...


Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | Binary | Sequence[Any] | Array
"""A path; the bytes of a picture file, or a binary file that has them; or pixels: nested sequences or an array of whole
numbers from 0 to 255, which go to the network as they are."""


@dataclass(frozen=True)
class File:
    """The bytes of a picture file."""

    data: bytes

    def as_json(self) -> bytes:
        return b'"' + base64.b64encode(self.data) + b'"'


@dataclass(frozen=True)
class Pixels:
    """Numbers, already in JSON."""

    data: bytes

    def as_json(self) -> bytes:
        return self.data


Source = File | Pixels


def load(picture: Picture) -> Source:
    """Read a picture where it lies.

    Raises:
        Unreadable: No such file, or nothing that can be a picture.
    """
    if isinstance(picture, str | os.PathLike):
        return File(read_file(Path(picture)))
    if isinstance(picture, bytes | bytearray | memoryview):
        return File(bytes(picture))
    if isinstance(picture, Binary):
        with told("the file object"):
            return File(read_all(picture, "the file object"))
    return Pixels(encode(picture))


def read_file(path: Path) -> bytes:
    with told(str(path)), path.open("rb") as file:
        return read_all(file, str(path))


@contextmanager
def told(name: str) -> Iterator[None]:
    """Whatever goes wrong while that is opened or read is `Unreadable`."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:  # a file object is anybody's: one of gzip says EOFError, or zlib.error
        raise Unreadable(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def read_all(file: Binary, name: str) -> bytes:
    pieces: list[bytes] = []
    left = MAX_FILE_BYTES + 1
    while left > 0:
        try:
            piece: object = file.read(left)
        except UnicodeDecodeError:  # before it is a failure to read: text that is none
            piece = None
        if not isinstance(piece, bytes):
            raise Unreadable(f"{name} reads text; fix: open it with mode 'rb'")
        if not piece:  # a pipe without a buffer gives what it has, again and again
            return b"".join(pieces)
        pieces.append(piece)
        left -= len(piece)
    raise Unreadable(f"{name} has more than {MAX_FILE_BYTES:,} bytes")


def encode(pixels: Any) -> bytes:
    """Nested sequences and arrays, also mixed, as JSON lists."""
    try:
        pixels = pixels.tolist() if isinstance(pixels, Array) else pixels
        if not isinstance(pixels, Sequence):
            raise TypeError(f"{type(pixels).__name__} is not a sequence")
        return json.dumps(pixels, default=lambda inner: inner.tolist(), allow_nan=False).encode()
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Unreadable(
            f"not a picture: {error}; expected: a path, bytes, a binary file, or whole numbers from 0 to 255"
        ) from error


@dataclass
class Chunk:
    """Pictures that travel together, and those of their neighbours that can not travel."""

    pictures: list[Source | Unreadable] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        """What is sent."""
        return [picture for picture in self.pictures if not isinstance(picture, Unreadable)]

    def merge(self, answers: Iterable[T]) -> Iterator[T | Unreadable]:
        """One entry for each picture, in order: the answer, or why it was not sent."""
        rest = iter(answers)
        for picture in self.pictures:
            yield picture if isinstance(picture, Unreadable) else next(rest)


def chunks(pictures: Iterable[Picture], most: int) -> Iterator[Chunk]:
    """Pictures in order, `most` and `MAX_CHUNK_BYTES` at a time; each is read when its turn has come."""
    if isinstance(pictures, str | bytes | bytearray | os.PathLike):
        raise TypeError("predict_many takes many pictures; for one there is predict")
    if most < 1:
        raise ValueError(f"chunk must be at least 1, found {most}")
    chunk, size = Chunk(), 0
    for picture in pictures:
        try:
            source: Source | Unreadable = load(picture)
        except Unreadable as error:
            source = error
        weight = 0 if isinstance(source, Unreadable) else len(source.data)
        if chunk.pictures and (len(chunk.pictures) == most or size + weight > MAX_CHUNK_BYTES):
            yield chunk
            chunk, size = Chunk(), 0
        chunk.pictures.append(source)
        size += weight
    if chunk.pictures:
        yield chunk
