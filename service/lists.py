"""Lists of numbers in JSON → pixels, without an object for each number, which would take longer than anything else.

It reads the plainest bodies only; what it leaves, and what there is to complain of, is for `tensors`.
"""

import math
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from service.errors import WrongShape
from service.tensors import Shape, from_array

Numbers = NDArray[np.uint64] | NDArray[np.float64]
BLANKS = b" \t\r\n"
"""What JSON allows between its signs."""
PLAIN = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"([a-z]{1,20})"[ \t\r\n]*:[ \t\r\n]*(?=\[[ \t\r\n\[]*[0-9])')
"""How an object begins whose first field holds lists of numbers."""
WITHIN = b"0123456789.eE+-" + BLANKS
"""What lists of numbers consist of, besides the signs that give them their form."""
KEPT = 1 << 20
"""Bytes of a body up to which the parser's memory is kept for the next."""
PARSER = simdjson.Parser()
DATA = b'"data"'
LIFTED = f"lifted-{secrets.token_hex(8)}"
"""Stands where numbers were taken out. Nobody else can know it."""
LONG = 256
"""Bytes from which on that is worth it."""


def read_plain(
    body: bytes, fields: Mapping[str, bool], shape: Shape, *, unit: bool = False
) -> NDArray[np.uint8] | None:
    """The pictures of JSON that has one field, with lists of pixels and nothing else.

    Args:
        body: What was sent.
        fields: Which are known: whether each holds a list of pictures, or one picture.
        shape: Height, width and channels of the network's input.
        unit: The numbers are pixels / 255.

    Returns:
        uint8 (n, *shape), as from `tensors.pixels_of`; None for whatever `tensors.parse` and that should look at,
        or complain of.
    """
    head = PLAIN.match(body)
    if head is None or (name := head[1].decode()) not in fields or (found := read_lists(body, name, unit)) is None:
        return None
    form, numbers = found
    several, size = fields[name], math.prod(shape)
    count, rest = divmod(len(numbers), size)
    whole = numbers.dtype == np.uint64
    if rest or (whole and np.maximum.reduce(numbers) > 255):
        return None
    if not (each_flat(body, form, size) if several else body.rfind(b"[") == head.end() and count == 1):
        signs = body[head.end() : body.rfind(b"]") + 1].translate(None, WITHIN)
        if signs not in ((many(one, count) if several else one) for one in forms(shape)):
            return None
    if whole:
        return numbers.astype(np.uint8).reshape(-1, *shape)
    try:
        return from_array(numbers, unit=unit).reshape(-1, *shape)
    except WrongShape:  # in one picture; the others are answered
        return None


def lift_numbers(body: bytes) -> tuple[bytes, Numbers] | None:
    """For the Open Inference Protocol: the only `data` in a request, if that is one list of numbers.

    Args:
        body: JSON.

    Returns:
        The JSON with `LIFTED` in place of the list, and the numbers in it; whether that is where a tensor has its data
        is for the caller to see. None where there is no such list or a short one, or where it is not certain which.
    """
    key = body.find(DATA)
    start = body.find(b"[", key)
    end = body.find(b"]", start) + 1
    if (
        key < 1
        or end - start < LONG
        or body[key + len(DATA) : start].strip(BLANKS) != b":"
        or body[key - 1 : key] == b"\\"
    ):
        return None
    if body.find(DATA, end) >= 0 or (found := read_lists(body[start:end])) is None:
        return None
    return b'%b"%b"%b' % (body[:start], LIFTED.encode(), body[end:]), found[1]


def read_lists(text: bytes, field: str | None = None, unit: bool = False) -> tuple[simdjson.Array, Numbers] | None:
    """JSON that is a list of numbers, or of lists of such in any form, and all its numbers; None if it is something
    else. The list must be gone before the next is read.

    Args:
        text: The JSON.
        field: It is an object instead, whose only field holds the list.
        unit: Whole numbers are wanted as float64, too.
    """
    parser = PARSER if len(text) <= KEPT else simdjson.Parser()
    try:
        found: Any = parser.parse(text)
        if field is not None:
            if len(found) != 1:
                return None
            found = found[field]
        assert isinstance(found, simdjson.Array)  # noqa: S101 - it begins with a bracket
        if not unit:
            try:
                return found, np.frombuffer(found.as_buffer(of_type="u"), np.uint64)
            except (TypeError, ValueError):
                pass  # one of them has a fraction, or a sign
        return found, np.frombuffer(found.as_buffer(of_type="d"), np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None


def each_flat(text: bytes, lists: simdjson.Array, size: int) -> bool:
    """Whether the lists in a text are lists of `size` numbers: told without a look at each sign, unlike other forms."""
    brackets = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("["))  # bytes.count takes ten times as long
    return brackets == 1 + len(lists) and all(
        isinstance(inner, simdjson.Array) and len(inner) == size for inner in lists
    )


@lru_cache(maxsize=16)
def forms(shape: Shape) -> list[bytes]:
    """The brackets and commas of one picture: all numbers in one list, rows of columns, rows of columns of channels."""
    height, width, channels = shape
    depths = [(height * width * channels,), shape, *([(height, width)] if channels == 1 else [])]
    return [nest(sizes) for sizes in depths]


def nest(sizes: tuple[int, ...]) -> bytes:
    """Brackets and commas of nested lists."""
    form = b""
    for size in reversed(sizes):
        form = many(form, size)
    return form


def many(form: bytes, count: int) -> bytes:
    """Those of a list of equal things."""
    return b"[" + b",".join([form] * count) + b"]"
