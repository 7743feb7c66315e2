import numpy as np
import pytest

from training.datasets import Dataset
from training.doodles import COMPUTED, DRAWN, draw_doodles
from training.outliers import make_outliers


@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 32, 1)])
@pytest.mark.parametrize("kind", [*DRAWN, *COMPUTED])
def test_doodles_have_the_shape_that_is_asked_for(kind: str, shape: tuple[int, int, int]) -> None:
    made = draw_doodles(kind, shape, 5, np.random.default_rng(1))
    assert (made.shape, made.dtype) == ((5, *shape), np.uint8)


def test_doodles_differ() -> None:
    made = draw_doodles("signs", (28, 28, 1), 20, np.random.default_rng(1))
    assert len(np.unique(made.reshape(20, -1), axis=0)) == 20
    assert (made.max(axis=(1, 2, 3)) > 200).all()


def test_the_same_chance_makes_the_same_outliers(tiny: Dataset) -> None:
    first, again, other = (make_outliers(tiny.train.pictures, 60, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape[1:] == (28, 28, 1)
    assert 55 <= len(first) <= 75


def test_outliers_of_pictures_that_are_not_square() -> None:
    random = np.random.default_rng(1)
    made = make_outliers(random.integers(0, 256, (12, 40, 24, 1), np.uint8), 60, random)
    assert made.shape[1:] == (40, 24, 1)
