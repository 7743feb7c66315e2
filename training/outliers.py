"""Pictures that are unlike a training set, made from it and from nothing else but chance.

Some take real pictures apart (halves of two joined, pieces shuffled, turned, mirrored, bent out of shape, several in a
row), others are drawn (strokes and outlines at random, scribbles, shapes, blots) or computed (noise, textures, blank).
Some come out like real ones, as a mirrored 8 is an 8 and two strokes may make a 7: `novelty.py` sorts them out.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.config import Recipe
from training.datasets import Pixels
from training.distortion import distort
from training.doodles import draw_doodles

Random: TypeAlias = np.random.Generator

WILD = Recipe(rotation=30.0, shear=25.0, scale=0.3, shift=2.0, bend=9.0, pen=0.3)
"""Bends a picture until it is no longer what it was."""


def make_outliers(pictures: Pixels, count: int, random: Random) -> Pixels:
    """Pictures that are mostly unlike `pictures`.

    Args:
        pictures: uint8 (n, height, width, 1): what is to be unlike.
        count: How many to make.
        random: Where the draws come from; the same state gives the same pictures.

    Returns:
        uint8, about `count` pictures of the same shape, kind after kind.
    """
    share = count / (sum(FROM_REAL.values()) + sum(DRAWN.values()))
    shape = pictures.shape[1:]
    return np.concatenate(
        [make(pictures, max(1, round(share * weight)), random) for make, weight in FROM_REAL.items()]
        + [draw_doodles(kind, shape, max(1, round(share * weight)), random) for kind, weight in DRAWN.items()]
    )


def pick(pictures: Pixels, count: int, random: Random) -> Pixels:
    return pictures[random.integers(len(pictures), size=count)]


def join(pictures: Pixels, count: int, random: Random) -> Pixels:
    """On one side of a line through the middle one picture, on the other another."""
    one, other = pick(pictures, count, random), pick(pictures, count, random)
    height, width = pictures.shape[1:3]
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, shift = random.uniform(0, 2 * np.pi, (count, 1, 1)), random.uniform(-0.2, 0.2, (count, 1, 1))
    side = down * np.sin(angle) + across * np.cos(angle) > shift
    return np.where(side[..., np.newaxis], one, other)


def overlay(pictures: Pixels, count: int, random: Random) -> Pixels:
    """Two pictures over each other, one of them shifted and perhaps turned."""
    one, other = pick(pictures, count, random), pick(pictures, count, random)
    other = turn(other, random)
    return np.maximum(one, shift_by(other, random.integers(-5, 6, (count, 2))))


def shift_by(pictures: Pixels, shifts: NDArray[np.int64]) -> Pixels:
    """Each picture moved by whole pixels down and right, around the edges."""
    return np.stack([np.roll(picture, shift, (0, 1)) for picture, shift in zip(pictures, shifts, strict=True)])


def turn(pictures: Pixels, random: Random) -> Pixels:
    """Each picture mirrored, upside down, or turned by quarters."""
    results = pictures.copy()
    square = pictures.shape[1] == pictures.shape[2]
    for index, way in enumerate(random.integers(1, 8 if square else 4, len(pictures))):
        picture = pictures[index]
        picture = picture[::-1] if way & 1 else picture
        picture = picture[:, ::-1] if way & 2 else picture
        results[index] = picture.transpose(1, 0, 2) if way & 4 else picture
    return results


def turned(pictures: Pixels, count: int, random: Random) -> Pixels:
    return turn(pick(pictures, count, random), random)


def shuffle(pictures: Pixels, count: int, random: Random) -> Pixels:
    """The pieces of a grid of 2, 3 or 4 a side in another order."""
    height, width = pictures.shape[1:3]
    results = pick(pictures, count, random)
    for picture in results:
        side = int(random.integers(2, 5))
        tall, wide = height // side, width // side
        before = picture.copy()
        for place, piece in enumerate(random.permutation(side * side)):
            (row, column), (y, x) = divmod(place, side), divmod(int(piece), side)
            picture[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] = before[
                y * tall : (y + 1) * tall, x * wide : (x + 1) * wide
            ]
    return results


def bend(pictures: Pixels, count: int, random: Random) -> Pixels:
    """Bent until it is hard to recognize."""
    return distort(pick(pictures, count, random), WILD, random)


def line_up(pictures: Pixels, count: int, random: Random) -> Pixels:
    """Two to five pictures in a row, or a few above each other, scaled to fit, as words are."""
    width = pictures.shape[2]
    results = np.zeros((count, *pictures.shape[1:]), np.uint8)
    for result in results:
        number = int(random.integers(2, 6))
        cut = int(random.integers(0, width // 4))
        row = np.concatenate([picture[:, cut : width - cut] for picture in pick(pictures, number, random)], axis=1)
        fit(row, result)
    return results


def cut(pictures: Pixels, count: int, random: Random) -> Pixels:
    """A part of a picture, made large."""
    height, width, _ = pictures.shape[1:]
    results = np.zeros((count, *pictures.shape[1:]), np.uint8)
    for picture, result in zip(pick(pictures, count, random), results, strict=True):
        tall, wide = (int(random.integers(size // 4, size // 2)) for size in (height, width))
        top, left = (
            random.integers(height // 5, height * 4 // 5 - tall + 1),
            random.integers(width // 5, width * 4 // 5 - wide + 1),
        )
        fit(picture[top : top + tall, left : left + wide], result)
    return results


def invert(pictures: Pixels, count: int, random: Random) -> Pixels:
    """Light and dark exchanged."""
    return 255 - pick(pictures, count, random)


def fit(picture: Pixels, result: Pixels) -> None:
    """Scale into the middle of `result`, in a box as preparation uses it."""
    height, width, _ = result.shape
    scale = 20 / 28 * min(height / picture.shape[0], width / picture.shape[1])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    small = Image.fromarray(picture[..., 0]).resize(size, Image.Resampling.BICUBIC)
    result[top : top + size[1], left : left + size[0], 0] = np.asarray(small)


FROM_REAL: dict[Callable[[Pixels, int, Random], Pixels], float] = {
    join: 3,
    overlay: 2,
    turned: 3,
    shuffle: 2,
    bend: 2,
    line_up: 2,
    cut: 2,
    invert: 0.5,
}
DRAWN = {
    "signs": 18,
    "outlines": 6,
    "scribbles": 2,
    "shapes": 4,
    "dots": 1,
    "dashes": 0.5,
    "blots": 3,
    "noise": 1,
    "blank": 0.7,
    "waves": 0.7,
}
"""The kinds, and how often each is made, in relation to the others. Signs are what letters have to be told by, outlines
what drawings."""
