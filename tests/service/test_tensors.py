"""JSON is strict, and not without end; pixels in it are pixels."""

import gc
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from service import tensors
from service.errors import BadBody, BodyTooLarge, WrongShape


def test_json_has_so_many_values_at_most() -> None:
    picture = np.full((28, 28, 1), 0.5).tolist()
    assert 4096 * (1 + tensors.count_values(json.dumps(picture).encode())) < tensors.MOST, "max_pictures of any form"
    few, many = (b"[" + b"[]," * (tensors.MOST // 2 + more) + b"[]]" for more in (-1, 0))
    assert len(tensors.parse(few)) == tensors.MOST // 2
    with pytest.raises(BodyTooLarge, match="values"):
        tensors.parse(many)


@pytest.mark.parametrize("text", [b"[1, 2", b"[NaN]", b"\xff"])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadBody):
        tensors.parse(text)


@pytest.mark.parametrize("end", [b"[]]", b""], ids=["whole", "cut off"])
def test_nothing_is_collected_while_millions_of_lists_are_read_but_afterwards_again(end: bytes) -> None:
    collections: list[str] = []
    gc.collect()  # so that the test's own few objects are no occasion
    gc.callbacks.append(watch := lambda phase, _: collections.append(phase))
    try:
        with suppress(BadBody):
            tensors.parse(b"[" + b"[]," * 100_000 + end)
        assert collections == []
    finally:
        gc.callbacks.remove(watch)
    assert gc.isenabled()


@pytest.mark.parametrize("numbers", [[1, True] * 6, [0.5] * 12, [256] * 12, [[1, 2], [3]]])
def test_what_are_no_pixels_is_refused(numbers: list[Any]) -> None:
    with pytest.raises(WrongShape):
        tensors.pixels_of(numbers, (4, 3, 1))
