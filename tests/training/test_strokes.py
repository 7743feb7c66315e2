from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import strokes


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_is_drawn_inside_the_sheet(digit: int) -> None:
    for seed in range(8):
        pixels = np.asarray(strokes.draw(digit, seed=seed))
        assert pixels.shape == (280, 280)
        rows, columns = np.nonzero(pixels < 128)
        assert 150 < np.ptp(rows) < 200
        assert rows.min() > 40
        assert columns.min() > 20
        assert columns.max() < 260


def test_same_seed_same_hand() -> None:
    first, again, other = (strokes.draw(4, seed=seed).tobytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_ink_and_paper_have_their_colours() -> None:
    grey = strokes.draw(1, ink=200, paper=10)
    assert grey.mode == "L"
    assert grey.getextrema() == (10, 200)
    blue = strokes.draw(1, ink=(0, 0, 200), paper=255)
    assert blue.mode == "RGB"
    assert blue.getpixel((0, 0)) == (255, 255, 255)
    assert (0, 0, 200) in {colour for _, colour in blue.getcolors() or ()}


def test_transparent_paper() -> None:
    sheet = strokes.draw(1, ink=(9, 9, 9), paper=None)
    assert sheet.mode == "RGBA"
    assert sheet.getchannel("A").getextrema() == (0, 255)
    assert sheet.convert("RGB").getcolors() == [(280 * 280, (9, 9, 9))]


def test_golden_digits_lie_as_in_mnist() -> None:
    golden = strokes.golden((28, 28, 1))
    assert golden.shape == (10, 28, 28, 1)
    assert golden.dtype == np.uint8
    for digit in golden[..., 0]:
        rows, columns = np.nonzero(digit)
        assert max(np.ptp(rows), np.ptp(columns)) == 19
        weights = digit.astype(float)
        assert abs(np.average(np.arange(28), weights=weights.sum(axis=1)) - 14) <= 0.5
        assert abs(np.average(np.arange(28), weights=weights.sum(axis=0)) - 14) <= 0.5


def test_golden_digits_in_another_shape() -> None:
    golden = strokes.golden((96, 64, 3))
    assert golden.shape == (10, 96, 64, 3)
    assert (golden[..., 0] == golden[..., 2]).all()
    assert golden.max() > 200


def test_examples_are_small_and_open(tmp_path: Path) -> None:
    strokes.write_examples(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert {"seven.png", "photo.jpg", "transparent.png", "pad.png", "0.png", "9.png"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < 200_000
    for file in files:
        with Image.open(file) as picture:
            picture.verify()
