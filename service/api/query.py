"""The query string of our own routes."""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from service.errors import BadQuery, shown

WORDS = {
    "prepare": ("auto", "none"),
    "include": ("seen",),
    "feedback": ("none",),
    "format": ("json", "safetensors"),
}
"""What each parameter takes that takes no number and no name."""


def read(text: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters that were given.

    Raises:
        BadQuery: Not among the `known`, given twice, with a value that it does not take, or a version in two ways.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            raise BadQuery("an unknown parameter", expected=", ".join(known), found=shown(name))
        if name in given:
            raise BadQuery("a parameter is given twice", expected=f"one {name}", found=shown(value))
        if value not in WORDS.get(name, (value,)):
            raise BadQuery(f"{name} is not understood", expected=" or ".join(WORDS[name]), found=shown(value))
        given[name] = value
    if {"version", "label"} <= given.keys():
        raise BadQuery("a version and a label are both given", expected="one of them", found="both")
    return given


def number(name: str, value: str) -> int:
    """A parameter's whole number, at least 1.

    Raises:
        BadQuery: Something else.
    """
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < 1:
        raise BadQuery(f"{name} is not understood", expected="a whole number from 1 to 999999999", found=shown(value))
    return int(value)
