"""The quick way through plain JSON takes what the long one takes, and leaves the rest to it."""

import json
from typing import Any

import numpy as np
import pytest

from service import lists, tensors
from service.errors import WrongShape

SHAPE = (4, 3, 2)
GREY = (4, 3, 1)
FIELDS = {"image": False, "images": True}
RANDOM = np.random.default_rng(1)


def pixels(count: int, shape: tensors.Shape) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, *shape)).astype(np.uint8)


def read(value: Any, shape: tensors.Shape = GREY, *, unit: bool = False, **form: Any) -> np.ndarray | None:
    body = value if isinstance(value, bytes) else json.dumps(value, **form).encode()
    return lists.read_plain(body, FIELDS, shape, unit=unit)


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": "\t"}, {"indent": 1}])
@pytest.mark.parametrize("shape", [SHAPE, GREY, (28, 28, 1)])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_lists_of_pixels_come_out_as_they_were_sent(count: int, shape: tensors.Shape, form: dict[str, Any]) -> None:
    sent = pixels(count, shape)
    forms = [sent, sent.reshape(count, -1)] + ([sent[..., 0]] if shape[2] == 1 else [])
    for each in forms:
        np.testing.assert_array_equal(read({"images": each.tolist()}, shape, **form), sent)
        np.testing.assert_array_equal(read({"image": each[0].tolist()}, shape, **form), sent[:1])


def test_a_long_body_is_read_like_a_short_one() -> None:
    sent = pixels(800, (28, 28, 1))
    body = json.dumps({"images": sent.tolist()}).encode()
    assert len(body) > lists.KEPT
    np.testing.assert_array_equal(lists.read_plain(body, FIELDS, (28, 28, 1)), sent)


PLAIN = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


@pytest.mark.parametrize(
    "value",
    [
        {"images": []},
        {"images": [7]},
        {"images": PLAIN},  # one picture where a list of them belongs
        {"image": [PLAIN]},
        {"image": [PLAIN, PLAIN]},
        {"image": PLAIN, "more": 1},
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}',
        {"other": PLAIN},
        {"image": [[1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12]]},  # as many numbers, in rows of other lengths
        {"image": [1, [2], 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]},
        {"images": [[1, [2], 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]]},
        {"images": [[*range(12)], [[], [1, 2], *range(10)]]},  # as long as it should be, with as many numbers
        {"images": [[*range(13)], [*range(11)]]},
        {"images": [*range(12)]},
        {"image": [*range(12), [*range(12)]]},
        {"images": [1, [*range(11)]]},
        {"image": PLAIN[:3]},
        {"image": [*PLAIN[:3], [10, 11, 256]]},
        {"image": [*PLAIN[:3], [10, 11, -1]]},
        {"image": [*PLAIN[:3], [10, 11, 1.5]]},
        {"image": [*PLAIN[:3], [10, 11, True]]},
        {"image": [*PLAIN[:3], [10, 11, None]]},
        {"image": [*PLAIN[:3], [10, 11, "9"]]},
        {"image": [*PLAIN[:3], [10, 11, 10**30]]},
        b"[1, 2, 3]",
        b'\f{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}',
        b'{"image":\v[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\f}',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]} 1',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1 2]}',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 012]}',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ,12]}',
        b'{"image": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, NaN]}',
        b'{"image": ' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}",
        b"",
    ],
)
def test_anything_else_is_left_to_the_long_way(value: Any) -> None:
    assert read(value) is None


@pytest.mark.parametrize("last", ["12.0", "1.2e1", "120E-1", "1.2e+1"])
def test_whole_numbers_may_be_spelt_in_another_way(last: str) -> None:
    body = f"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, {last}]".encode()
    found = read(b'{"image": ' + body + b"}")
    assert found is not None
    np.testing.assert_array_equal(found.reshape(-1), range(1, 13))
    np.testing.assert_array_equal(tensors.pixels_of(tensors.parse(body), GREY), found[0])


ALL = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("divided", [ALL / 255, ALL / np.float32(255), (ALL / 255).round(6)], ids=["64", "32", "round"])
@pytest.mark.parametrize("form", [(1, 16, 16, 1), (1, 16, 16), (1, 256)], ids=str)
def test_pixels_divided_by_255_come_out_as_they_were(divided: np.ndarray, form: tuple[int, ...]) -> None:
    sent = divided.reshape(form).tolist()
    for value in ({"images": sent * 2}, {"image": sent[0]}):
        found = read(value, (16, 16, 1), unit=True)
        assert found is not None
        for one in found:
            np.testing.assert_array_equal(one, ALL[0])
    np.testing.assert_array_equal(tensors.pixels_of(sent[0], (16, 16, 1), unit=True), ALL[0])


def test_where_pixels_are_divided_by_255_whole_numbers_are_too() -> None:
    np.testing.assert_array_equal(read({"image": [0, 1] * 6}, unit=True), np.reshape([0, 255] * 6, (1, *GREY)))
    for wrong in ([0, 2] * 6, [0.5] * 12, [-1] * 12, [1, True] * 6, [1.0, None] * 6):
        assert read({"image": wrong}, unit=True) is None
        with pytest.raises(WrongShape):
            tensors.pixels_of(wrong, GREY, unit=True)


NUMBERS = list(range(200))


@pytest.mark.parametrize("numbers", [NUMBERS, [*NUMBERS, 0.5], [-1, *NUMBERS], [number / 255 for number in NUMBERS]])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_numbers_of_a_tensor_are_lifted_out(separators: tuple[str, str], numbers: list[float]) -> None:
    asked = {"id": "a", "inputs": [{"name": "image", "data": numbers, "shape": [200]}], "outputs": [{"name": "b"}]}
    lifted = lists.lift_numbers(json.dumps(asked, separators=separators).encode())
    assert lifted is not None
    rest, found = lifted
    assert found.tolist() == numbers
    assert json.loads(rest) == {**asked, "inputs": [{"name": "image", "data": lists.LIFTED, "shape": [200]}]}


@pytest.mark.parametrize(
    "value",
    [
        {"data": NUMBERS[:9]},
        {"data": [NUMBERS, NUMBERS]},
        {"data": [*NUMBERS, True]},
        {"data": [*NUMBERS, "7"]},
        {"data": {"data": NUMBERS}},
        {"data": "x" * 300 + "[1, 2]"},
        {'"data': NUMBERS, "more": "data"},
        [{"data": NUMBERS}, {"data": NUMBERS}],
        {"more": NUMBERS},
        {},
    ],
)
def test_where_it_is_not_certain_nothing_is_lifted(value: Any) -> None:
    assert lists.lift_numbers(json.dumps(value).encode()) is None
