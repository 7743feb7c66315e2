"""Pixels and files that travel in JSON → what the road takes."""

import base64
import binascii
import gc
import math
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from service.errors import KINDS, BadBody, BodyTooLarge, WrongShape, shown

Shape = tuple[int, int, int]
Numbers = NDArray[np.uint64] | NDArray[np.float64]
DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
STANDARD = str.maketrans("-_", "+/", " \t\r\n")
"""From the URL alphabet of base64 to the standard one, line breaks dropped."""
SLACK = 1e-3
"""How far 255 times a number may be from a pixel: some roundings of 32 bits, and far from the next pixel."""
HALF_SLACK = 0.25
"""The same for 16 bits."""
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
MOST = 8_000_000
"""Numbers, lists and more in JSON, at most: an object is made of each, of up to 64 bytes, while everybody waits. 4,096
pictures of 28 rows of 28 lists of one number have 6.6 million."""


def read_plain(
    body: bytes, fields: Mapping[str, bool], shape: Shape, *, unit: bool = False
) -> NDArray[np.uint8] | None:
    """The quick way for the plainest JSON: one field, with lists of pixels and nothing else. No object is made of each
    number, which takes longer than anything else that is done for a picture.

    Args:
        body: What was sent.
        fields: Which are known: whether each holds a list of pictures, or one picture.
        shape: Height, width and channels of the network's input.
        unit: The numbers are pixels / 255.

    Returns:
        uint8 (n, *shape), as from `pixels_of`; None for whatever `parse` and that should look at, or complain of.
    """
    head = PLAIN.match(body)
    if head is None or (name := head[1].decode()) not in fields or (found := read_lists(body, name, unit)) is None:
        return None
    lists, numbers = found
    several, size = fields[name], math.prod(shape)
    count, rest = divmod(len(numbers), size)
    whole = numbers.dtype == np.uint64
    if rest or (whole and np.maximum.reduce(numbers) > 255):
        return None
    if not (each_flat(body, lists, size) if several else body.rfind(b"[") == head.end() and count == 1):
        form = body[head.end() : body.rfind(b"]") + 1].translate(None, WITHIN)
        if form not in ((many(one, count) if several else one) for one in forms(shape)):
            return None
    if whole:
        return numbers.astype(np.uint8).reshape(-1, *shape)
    try:
        return from_array(numbers, unit=unit).reshape(-1, *shape)
    except WrongShape:  # in one picture; the others are answered
        return None


def lift_numbers(body: bytes) -> tuple[bytes, Numbers] | None:
    """The same for the Open Inference Protocol: the only `data` in a request, if that is one list of numbers.

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


def parse(body: bytes) -> Any:
    """Strict JSON.

    Raises:
        BadBody: Not JSON; NaN and Infinity are not JSON either.
        BodyTooLarge: More than `MOST` values.
    """
    if len(body) > MOST and (values := count_values(body)) > MOST:
        raise BodyTooLarge(
            "the JSON has too many values",
            expected=f"at most {MOST:,} numbers, texts, lists and objects",
            found=f"{values:,}",
            fix="send fewer pictures at once, or send files instead of numbers",
        )
    gc.disable()  # of millions of small lists it would look through those that are there, again and again, for seconds
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadBody("the body is not JSON", expected="JSON in UTF-8", found=str(error)[:120]) from None
    finally:
        gc.enable()


def count_values(body: bytes) -> int:
    """How many values JSON has, up to one, and to commas and brackets in texts."""
    signs = np.frombuffer(body, np.uint8)
    return sum(int(np.count_nonzero(signs == sign)) for sign in b",[{")


def file_of(text: str) -> bytes:
    """The bytes behind base64: with a data-URL prefix or without, in either alphabet, wrapped, padded or not.

    Raises:
        BadBody: Not base64.
    """
    if not text.isascii():  # nor is it taken apart: that would hold all others up
        raise BadBody("the text is not base64", expected="a picture file in base64", found=shown(text[:99], 40))
    prefix = DATA_URL.match(text)
    plain = text[prefix.end() if prefix else 0 :].translate(STANDARD).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadBody("the text is not base64", expected="a picture file in base64", found=shown(text, 40)) from None


def pixels_of(value: list[Any], shape: Shape, *, unit: bool = False) -> NDArray[np.uint8]:
    """One picture from nested lists.

    Args:
        value: Rows of numbers, rows of columns of channels, or all numbers in one list.
        shape: Height, width and channels of the network's input.
        unit: The numbers are pixels / 255.

    Returns:
        uint8 array of exactly `shape`, as sent: nothing is scaled or inverted but what `unit` says.

    Raises:
        WrongShape: Another shape, or other numbers.
    """
    return from_list(flatten(value, shape), unit=unit).reshape(shape)


def flatten(value: list[Any], shape: Shape) -> list[Any]:
    """All numbers of one picture in one list."""
    height, width, channels = shape
    found = [len(value)]
    while len(value) and isinstance(value[0], list):
        lengths = {len(inner) if isinstance(inner, list) else -1 for inner in value}
        if len(lengths) != 1:
            raise wrong_shape(shape, "lists of unequal length or depth")
        found += lengths
        if len(found) > 3:
            raise wrong_shape(shape, f"lists {len(found)} deep or more")
        value = list(chain.from_iterable(value))
    if tuple(found) not in (
        (height * width * channels,),
        (height, width, *([channels] if channels > 1 else [])),
        shape,
    ):
        raise wrong_shape(shape, " × ".join(map(str, found)))
    return value


def from_list(numbers: list[Any], *, unit: bool) -> NDArray[np.uint8]:
    """Pixels from one list of numbers.

    Raises:
        WrongShape: Anything but whole numbers from 0 to 255 (7.0 is one as well); with `unit`, anything but such / 255.
    """
    if not unit:
        with suppress(TypeError, ValueError):
            # The quickest way from a list to pixels. It takes nothing but whole numbers from 0 to 255 … and booleans.
            data = bytes(numbers)
            # Written out again, only true and false have an "e": a quarter of the time that a look at each type takes.
            if b"e" not in orjson.dumps(numbers):
                return np.frombuffer(data, np.uint8)
    if odd := set(map(type, numbers)) - {int, float}:
        raise wrong_number(KINDS.get(odd.pop(), "something else"), unit=unit)
    try:
        return from_array(np.array(numbers, np.float64), unit=unit)
    except OverflowError:
        raise wrong_number("a number of hundreds of digits", unit=unit) from None


def from_array(numbers: NDArray[Any], *, unit: bool) -> NDArray[np.uint8]:
    """Pixels from an array of any numeric type; one of bytes is taken as it is, without a copy.

    Args:
        numbers: Whole numbers from 0 to 255, of any type.
        unit: Numbers of a type that has fractions are pixels / 255, up to what the type rounds.

    Raises:
        WrongShape: Other numbers.
    """
    if numbers.dtype == np.uint8:
        return numbers
    if unit and numbers.dtype.kind == "f":
        return from_unit(numbers)
    with np.errstate(invalid="ignore"):  # what does not fit becomes some byte, and differs
        pixels: NDArray[np.uint8] = numbers.astype(np.uint8)
    right = pixels == numbers
    if not right.all():
        raise wrong_number(str(numbers[~right][0])[:40], unit=False)
    return pixels


def from_unit(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels from such / 255. Errors as in `from_array`."""
    scaled = numbers * np.float32(255)
    whole = np.rint(scaled)
    with np.errstate(invalid="ignore"):
        pixels: NDArray[np.uint8] = whole.astype(np.uint8)
        close = np.abs(scaled - whole) <= (HALF_SLACK if numbers.dtype == np.float16 else SLACK)
    right = close & (pixels == whole)
    if not right.all():
        raise wrong_number(str(numbers[~right][0])[:40], unit=True)
    return pixels


def wrong_shape(shape: Shape, found: str) -> WrongShape:
    height, width, channels = shape
    forms = [f"{height} × {width} × {channels}", f"{height * width * channels} in one list"]
    if channels == 1:
        forms.insert(0, f"{height} rows of {width}")
    return WrongShape("the pixels have the wrong shape", expected=", or ".join(forms), found=found)


def wrong_number(found: str, *, unit: bool) -> WrongShape:
    if unit:
        return WrongShape(
            "a pixel is not a pixel",
            expected="whole numbers from 0 to 255, divided by 255 (the model's policy says float_pixels: unit)",
            found=found,
            fix="send pixels / 255, nothing else done to them",
        )
    return WrongShape(
        "a pixel is not a pixel",
        expected="whole numbers from 0 to 255",
        found=found,
        fix="send raw pixels: round(255 * x) where yours go from 0 to 1;"
        " or send floats (v2: FP32), and let the model's policy say float_pixels: unit",
    )
