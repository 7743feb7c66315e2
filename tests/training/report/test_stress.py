import numpy as np
import pytest

from training.datasets import Part
from training.report.stress import PICTURES, STRESSES, measure_stress


@pytest.fixture
def square() -> np.ndarray:
    """A light square of 4 × 4 pixels in the middle of four black pictures."""
    pictures = np.zeros((4, 12, 12, 1), np.uint8)
    pictures[:, 4:8, 4:8] = 255
    return pictures


@pytest.mark.parametrize("name", STRESSES)
def test_one_amount_changes_nothing_and_the_others_keep_shape_and_kind(name: str, square: np.ndarray) -> None:
    stress = STRESSES[name]
    assert stress.none in stress.amounts
    assert (stress.change(square, stress.none) == square).all()
    for amount in stress.amounts:
        changed = stress.change(square, amount)
        assert (changed.shape, changed.dtype) == (square.shape, np.uint8)
        assert amount == stress.none or (changed != square).any()


def test_pictures_are_shifted_to_all_four_sides(square: np.ndarray) -> None:
    rows, columns = zip(
        *(np.argwhere(each[..., 0]).mean(axis=0) for each in STRESSES["shift"].change(square, 2)), strict=True
    )
    assert rows == (7.5, 3.5, 5.5, 5.5)
    assert columns == (5.5, 5.5, 7.5, 3.5)


def test_rotation_is_clockwise() -> None:
    picture = np.zeros((1, 9, 9, 1), np.uint8)
    picture[0, 0, 4] = 255  # at the top
    assert np.argwhere(STRESSES["rotation"].change(picture, 90)[0, ..., 0]).tolist() == [[4, 8]]


@pytest.mark.parametrize(("factor", "side"), [(0.5, 2), (2, 8)])
def test_scale_is_about_the_centre(square: np.ndarray, factor: float, side: int) -> None:
    scaled = STRESSES["scale"].change(square, factor)[0, ..., 0]
    assert scaled.sum() / 255 == pytest.approx(side**2, rel=0.3)
    assert (scaled == scaled[::-1, ::-1]).all()


@pytest.mark.parametrize(("pixels", "side"), [(-2, 2), (-1, 3), (1, 5), (2, 6), (4, 8)])
def test_thickness_is_in_pixels(square: np.ndarray, pixels: int, side: int) -> None:
    widths = STRESSES["thickness"].change(square, pixels)[0, 6, :, 0].astype(float).sum() / 255
    assert widths == pytest.approx(side, abs=0.01)


def test_noise_is_the_same_each_time(square: np.ndarray) -> None:
    noisy = STRESSES["noise"].change(square, 0.2)
    assert (noisy == STRESSES["noise"].change(square, 0.2)).all()
    assert len(np.unique(noisy)) > 50


def test_colour_keeps_its_channels() -> None:
    red = np.zeros((4, 12, 12, 3), np.uint8)
    red[:, 4:8, 4:8, 0] = 200
    for stress in (STRESSES[name] for name in ("shift", "rotation", "scale", "thickness")):
        changed = stress.change(red, stress.amounts[1])
        assert changed[..., 0].any()
        assert not changed[..., 1:].any()


@pytest.mark.parametrize("name", STRESSES)
def test_white_paper_is_changed_as_its_negative(name: str) -> None:
    light = np.random.default_rng(4).integers(0, 256, (4, 12, 12, 1), np.uint8)
    light[:, [0, 1, -2, -1]] = light[:, :, [0, 1, -2, -1]] = 0

    def seen(pictures: np.ndarray, ink: int) -> list[bytes]:
        asked = []

        def predict(given: np.ndarray) -> np.ndarray:
            asked.append((given ^ np.uint8(255 - ink)).tobytes())
            return np.ones((len(given), 2))

        measure_stress(predict, Part(pictures, np.zeros(4, np.uint8)))
        return asked

    assert seen(255 - light, 0) == seen(light, 255)


def test_measures_each_amount_on_pictures_from_the_whole_part() -> None:
    asked = []

    def predict(pictures: np.ndarray) -> np.ndarray:
        asked.append(len(pictures))
        light = pictures[:, 4:8, 4:8].mean(axis=(1, 2, 3)) / 255
        return np.stack([light, 1 - light], axis=1)

    pictures = np.zeros((PICTURES + 50, 12, 12, 1), np.uint8)
    pictures[:, 4:8, 4:8] = 255
    found = measure_stress(predict, Part(pictures, np.zeros(len(pictures), np.uint8)))
    assert asked == [PICTURES * len(stress.amounts) for stress in STRESSES.values()]
    assert list(found) == list(STRESSES)
    assert found["shift"][0] == {"amount": 0, "accuracy": 1.0}
    assert found["shift"][-1] == {"amount": 8, "accuracy": 0.0}
