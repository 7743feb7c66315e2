import numpy as np

from training import division
from training.datasets import Part


def uneven_part() -> Part:
    """Ten classes of 11 to 101 pictures, in no order."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), np.arange(11, 111, 10))
    np.random.default_rng(3).shuffle(labels)
    return Part(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)


def test_split_gives_each_class_its_share() -> None:
    part = uneven_part()
    training, validation = division.split(part, 56, seed=1)
    assert (len(training), len(validation)) == (len(part) - 56, 56)
    exact = np.bincount(part.labels) * 56 / len(part)
    assert np.abs(np.bincount(validation.labels) - exact).max() < 1


def test_split_loses_and_doubles_nothing() -> None:
    numbered = Part(np.arange(250, dtype=np.uint8).reshape(-1, 1, 1, 1), uneven_part().labels[:250])
    numbers = np.concatenate([half.pictures.ravel() for half in division.split(numbered, 50, seed=1)])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(250))


def test_split_depends_on_its_seed_only() -> None:
    first, again, other = (division.split(uneven_part(), 56, seed)[1].labels.tobytes() for seed in (1, 1, 2))
    assert first == again != other
