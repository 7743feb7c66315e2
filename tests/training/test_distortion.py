from dataclasses import replace

import numpy as np

from training.config import RECIPES
from training.datasets import Pixels
from training.distortion import distort

STILL = replace(RECIPES["standard"], rotation=0, shear=0, scale=0, shift=0, bend=0, pen=0)


def bars(count: int = 8) -> Pixels:
    """An upright bar in the middle of each picture."""
    pictures = np.zeros((count, 28, 28, 1), np.uint8)
    pictures[:, 6:22, 12:16] = 255
    return pictures


def test_no_bounds_no_change() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(distort(pictures, STILL, np.random.default_rng(2)), pictures)


def test_every_picture_is_distorted_in_its_own_way() -> None:
    results = distort(bars(), RECIPES["standard"], np.random.default_rng(1))
    assert results.shape == bars().shape
    assert results.dtype == np.uint8
    assert len({result.tobytes() for result in results}) == 8


def test_same_draws_same_distortions() -> None:
    first, again, other = (
        distort(bars(), RECIPES["standard"], np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_ink_stays_and_moves_within_bounds() -> None:
    results = distort(bars(64), replace(STILL, shift=2), np.random.default_rng(1)).astype(float)[..., 0]
    np.testing.assert_allclose(results.sum(axis=(1, 2)), bars().astype(float)[0].sum(), rtol=0.01)
    ink = results.sum(axis=(1, 2))
    rows = (results.sum(axis=2) @ np.arange(28)) / ink
    columns = (results.sum(axis=1) @ np.arange(28)) / ink
    for places in (rows, columns):
        assert np.abs(places - 13.5).max() <= 2.01
        assert np.ptp(places) > 2


def test_what_moves_in_from_outside_is_background() -> None:
    full = np.full((16, 28, 28, 1), 255, np.uint8)
    results = distort(full, replace(STILL, shift=4), np.random.default_rng(1))
    assert (results[:, 14, 14] == 255).all()
    assert (results[:, [0, 0, -1, -1], [0, -1, 0, -1]].min(axis=1) == 0).mean() > 0.5


def test_bent_bar_is_as_thick_and_no_longer_straight() -> None:
    results = distort(bars(32), replace(STILL, bend=3), np.random.default_rng(1)).astype(float)[..., 0]
    ink = results[:, 11:17].sum(axis=2)
    middles = (results[:, 11:17] @ np.arange(28)) / ink
    bent = np.abs(np.diff(middles, n=2, axis=1)).max(axis=1)
    assert (bent > 0.03).sum() >= 8  # a shear or a turn would leave it straight
    np.testing.assert_allclose(np.median(ink), 4 * 255, rtol=0.1)


def test_pens_change_strokes_of_their_share_and_keep_black_black_and_white_white() -> None:
    results = distort(bars(400), replace(STILL, pen=0.5), np.random.default_rng(1))
    changed = (results != bars(400)).any(axis=(1, 2, 3))
    assert 0.3 < changed.mean() < 0.45  # three pens of four: a bar has no soft edges to harden
    assert (results.max(axis=(1, 2, 3)) == 255).all()
    assert (results[:, 0] == 0).all()
    ink = results.astype(float).sum(axis=(1, 2, 3)) / bars(1).astype(float).sum()
    assert ink.min() < 0.8
    assert ink.max() > 1.3
