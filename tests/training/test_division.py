import numpy as np
import pytest

from training import division
from training.datasets import LeftOut, Part
from training.errors import TrainingError


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


def make_part(count: int, classes: int = 2, seed: int = 1) -> Part:
    """Different pictures, `count` of each class."""
    pictures = np.random.default_rng(seed).integers(0, 256, (count * classes, 3, 3, 1), np.uint8)
    return Part(pictures, np.tile(np.arange(classes, dtype=np.uint8), count))


def divide(**given: Part) -> tuple[dict[str, Part], list[LeftOut]]:
    """Divided, each picture called by its part and place."""
    names = {part: [f"{part}/{place}" for place in range(len(given[part]))] for part in given}
    return division.divide(given, names, ("go", "stop"))


def contents(part: Part) -> set[bytes]:
    return {picture.tobytes() for picture in part.pictures}


@pytest.mark.parametrize(("count", "sizes"), [(5, (3, 1, 1)), (10, (6, 2, 2)), (100, (70, 15, 15))])
def test_every_class_has_its_share_in_every_part(count: int, sizes: tuple[int, int, int]) -> None:
    parts, left_out = divide(train=make_part(count))
    for part, size in zip(("train", "validation", "test"), sizes, strict=True):
        assert np.bincount(parts[part].labels).tolist() == [size, size]
    assert left_out == []
    assert len(set.union(*map(contents, parts.values()))) == 2 * count


def test_large_classes_hold_back_no_more_than_is_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "MOST", 10)
    parts, _ = divide(train=make_part(100))
    assert {part: len(parts[part]) for part in parts} == {"train": 160, "validation": 20, "test": 20}


def test_order_does_not_matter_and_additions_move_little() -> None:
    part = make_part(100)
    before, _ = divide(train=part)
    turned, _ = divide(train=Part(part.pictures[::-1], part.labels[::-1]))
    for name in before:
        assert contents(turned[name]) == contents(before[name])
    more = make_part(10, seed=2)
    both = Part(np.concatenate([part.pictures, more.pictures]), np.concatenate([part.labels, more.labels]))
    after, _ = divide(train=both)
    stayed = contents(after["validation"]) & contents(before["validation"])
    assert len(stayed) >= 0.8 * len(before["validation"])


def test_equal_pictures_count_once_and_are_never_on_both_sides() -> None:
    part = make_part(20)
    doubled = Part(np.concatenate([part.pictures, part.pictures]), np.concatenate([part.labels, part.labels]))
    parts, left_out = divide(train=doubled)
    assert sum(map(len, parts.values())) == 40
    assert not contents(parts["train"]) & contents(parts["test"])
    assert not contents(parts["train"]) & contents(parts["validation"])
    assert left_out[0] == ("train/40", "the same as train/0")


def test_picture_of_the_test_part_is_not_learnt_from() -> None:
    test = make_part(5, seed=2)
    part = make_part(20)
    leaking = Part(np.concatenate([part.pictures, test.pictures[:3]]), np.concatenate([part.labels, test.labels[:3]]))
    parts, left_out = divide(train=leaking, test=test)
    assert contents(parts["test"]) == contents(test)
    assert [each.picture for each in left_out] == ["train/40", "train/41", "train/42"]
    assert (len(parts["train"]), len(parts["validation"])) == (34, 6)


def test_picture_in_two_classes_is_in_neither() -> None:
    part = make_part(10)
    part.pictures[1] = part.pictures[0]
    parts, left_out = divide(train=part)
    assert sum(map(len, parts.values())) == 18
    assert left_out == [("train/0", "lies in go, stop"), ("train/1", "lies in go, stop")]


def test_class_with_too_few_pictures_is_named() -> None:
    part = make_part(10)
    few = Part(part.pictures[:14], part.labels[:14].copy())
    few.labels[2::2] = 1
    with pytest.raises(TrainingError, match=r"too few different pictures in train: .*least 5 .*found go \(1\); add"):
        divide(train=few)
    few.pictures[:] = 0
    with pytest.raises(TrainingError, match=r"found go \(0\), stop \(0\); left out, such as train/0: lies in go, stop"):
        divide(train=few)
