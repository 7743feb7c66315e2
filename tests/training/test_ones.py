"""Ones get a flag where they are bare stems, and nothing else does."""

from dataclasses import replace

import numpy as np
import pytest

from service.pictures import looks_prepared
from training import strokes
from training.config import RECIPES
from training.datasets import Pixels
from training.ones import flag

ALWAYS = replace(RECIPES["standard"], flag=1.0)


def stems(count: int, lean: int = 0) -> Pixels:
    """Bare ones of MNIST's size, which lean over to the right by so many columns."""
    pictures = np.zeros((count, 28, 28, 1), np.uint8)
    for row in range(4, 24):
        left = 13 + round(lean * (13.5 - row) / 20)
        pictures[:, row, left : left + 3] = 255
    return pictures


def draw(labels: list[int], pictures: Pixels, *, share: float = 1.0, seed: int = 1) -> Pixels:
    recipe = replace(ALWAYS, flag=share)
    return flag(pictures, np.array(labels, np.uint8), recipe, np.random.default_rng(seed))


@pytest.mark.parametrize("lean", [-6, 0, 6])
def test_a_stem_gets_a_flag_that_hangs_down_from_its_top_to_the_left(lean: int) -> None:
    before = stems(30, lean)
    after = draw([1] * 30, before).astype(int)[..., 0]
    assert len({picture.tobytes() for picture in after}) == 30
    for picture in after:
        rows, columns = np.nonzero(picture > 100)
        assert rows.max() - rows.min() <= 20
        top = columns[rows == rows.min()].max()
        tip = columns[rows < rows.min() + 14].min()
        assert top - tip >= 3, "the flag stands out to the left"
        assert rows[columns == tip].min() > rows.min(), "and begins at the top, from which it hangs"


def test_what_has_a_flag_is_still_prepared_as_mnist_is() -> None:
    assert all(looks_prepared(picture) for picture in draw([1] * 50, stems(50)))


def test_only_ones_and_only_bare_stems_get_one() -> None:
    others = np.stack(
        [np.asarray(strokes.draw(digit, size=(28, 28), height=0.7, ink=255, paper=0)) for digit in range(10)]
    )
    others = others[..., np.newaxis]
    np.testing.assert_array_equal(draw([0, 2, 3, 4, 5, 6, 7, 8, 9, 0], stems(10)), stems(10))
    for digit in (0, 2, 3, 5, 6, 8, 9):
        np.testing.assert_array_equal(draw([1] * 10, others)[digit], others[digit])
    np.testing.assert_array_equal(draw([1], np.zeros((1, 28, 28, 1), np.uint8)), 0)


def test_a_share_of_them_gets_one_and_the_same_draws_give_the_same() -> None:
    before = stems(400)
    first, again, other = (draw([1] * 400, before, share=0.25, seed=seed) for seed in (1, 1, 2))
    assert 70 < (first != before).any(axis=(1, 2, 3)).sum() < 130
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_stem_that_leans_far_over_stays_bare() -> None:
    np.testing.assert_array_equal(draw([1], stems(1, lean=18)), stems(1, lean=18))
