"""Pixels and files that travel in JSON → what the road takes. The quick way, for the plainest, is in `lists`."""

import base64
import binascii
import gc
import re
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.errors import KINDS, BadBody, BodyTooLarge, WrongShape, shown

Shape = tuple[int, int, int]
DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
STANDARD = str.maketrans("-_", "+/", " \t\r\n")
"""From the URL alphabet of base64 to the standard one, line breaks dropped."""
SLACK = 1e-3
"""How far 255 times a number may be from a pixel: some roundings of 32 bits, and far from the next pixel."""
HALF_SLACK = 0.25
"""The same for 16 bits."""
MOST = 8_000_000
"""Numbers, lists and more in JSON, at most: an object is made of each, of up to 64 bytes, while everybody waits. 4,096
pictures of 28 rows of 28 lists of one number have 6.6 million."""


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
