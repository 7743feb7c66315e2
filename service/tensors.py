"""Pixels and files that travel in JSON → what the road takes."""

import base64
import binascii
import re
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.errors import BadBody, WrongShape

Shape = tuple[int, int, int]
DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
STANDARD = str.maketrans("-_", "+/", " \t\r\n")
"""From the URL alphabet of base64 to the standard one, line breaks dropped."""


def parse(body: bytes) -> Any:
    """Strict JSON.

    Raises:
        BadBody: Not JSON; NaN and Infinity are not JSON either.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadBody("the body is not JSON", expected="JSON in UTF-8", found=str(error)[:120]) from None


def file_of(text: str) -> bytes:
    """The bytes behind base64: with a data-URL prefix or without, in either alphabet, wrapped, padded or not.

    Raises:
        BadBody: Not base64.
    """
    prefix = DATA_URL.match(text)
    plain = text[prefix.end() if prefix else 0 :].translate(STANDARD).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadBody("the text is not base64", expected="a picture file in base64", found=ascii(text[:40])) from None


def pixels_of(value: list[Any], shape: Shape) -> NDArray[np.uint8]:
    """One picture from nested lists.

    Args:
        value: Rows of numbers, rows of columns of channels, or all numbers in one list.
        shape: Height, width and channels of the network's input.

    Returns:
        uint8 array of exactly `shape`, as sent: nothing is scaled or inverted.

    Raises:
        WrongShape: Another shape, or anything but whole numbers from 0 to 255.
    """
    numbers = flatten(value, shape)
    try:
        # The quickest way from a list to pixels, and it takes nothing but whole numbers from 0 to 255 … and booleans.
        data = bytes(numbers)
    except (TypeError, ValueError):
        data = whole(numbers)
    if bool in set(map(type, numbers)):
        raise wrong_number("a boolean")
    return np.frombuffer(data, np.uint8).reshape(shape)


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


def whole(numbers: list[Any]) -> bytes:
    """Pixels from numbers that are not all integers: 7.0 is one as well."""
    for number in numbers:
        if type(number) not in (int, float):
            raise wrong_number(
                {str: "text", type(None): "null", list: "a list", dict: "an object"}.get(type(number), ascii(number))
            )
        if not 0 <= number <= 255:
            raise wrong_number(ascii(number)[:40])
        if number != int(number):
            raise wrong_number(ascii(number), "send raw pixels: round(255 * x) where yours go from 0 to 1")
    return bytes(map(int, numbers))


def wrong_shape(shape: Shape, found: str) -> WrongShape:
    height, width, channels = shape
    forms = [f"{height} × {width} × {channels}", f"{height * width * channels} in one list"]
    if channels == 1:
        forms.insert(0, f"{height} rows of {width}")
    return WrongShape("the pixels have the wrong shape", expected=", or ".join(forms), found=found)


def wrong_number(found: str, fix: str = "") -> WrongShape:
    return WrongShape("a pixel is not a pixel", expected="whole numbers from 0 to 255", found=found, fix=fix)
