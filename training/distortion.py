"""The same digits by other hands and with other pens: turned, slanted, stretched, shifted and bent a little."""

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.config import Recipe
from training.datasets import Pixels

Strokes: TypeAlias = NDArray[np.float32]
"""Pictures (n, height, width), 0 to 255."""

CONTROLS = 7
"""Points along each side that a bend is drawn for: one in about five pixels, as far apart as the parts of a digit."""


def distort(pictures: Pixels, recipe: Recipe, random: np.random.Generator) -> Pixels:
    """Give each picture a distortion of its own, in NumPy: a few milliseconds for 128 pictures.

    Args:
        pictures: uint8 (n, height, width, 1); 0 is background.
        recipe: Bounds of rotation, shear, scale, shift and bending; share of pictures with another pen.
        random: Where the draws come from; the same state gives the same distortions.

    Returns:
        uint8 of the same shape, bilinear between pixels; what moves in from outside is background.
    """
    count, height, width, _ = pictures.shape
    matrices, shifts = draw_maps(count, recipe, random)
    rows, columns = np.mgrid[:height, :width].reshape(2, -1).astype(np.float32)
    centre = np.array([(height - 1) / 2, (width - 1) / 2], np.float32)
    grid = np.stack([rows, columns]) - centre[:, np.newaxis]
    sources: NDArray[np.float32] = matrices @ grid + (shifts + centre)[:, :, np.newaxis]
    if recipe.bend:
        sources = sources + draw_bends(count, height, width, recipe, random)
    results = sample(pictures[..., 0], sources).reshape(count, height, width)
    if recipe.pen:
        results = change_pens(results, recipe, random)
    return results.reshape(pictures.shape)


def draw_maps(
    count: int, recipe: Recipe, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each picture a matrix (n, 2, 2) and a shift (n, 2) that take a place in the result to one in the picture."""
    reach = np.where(random.random(count) < recipe.wild, 2, 1)
    angle, slant = np.radians(random.uniform(-1, 1, (2, count)) * [[recipe.rotation], [recipe.shear]] * reach)
    tall, wide = 1 + random.uniform(-recipe.scale, recipe.scale, (2, count)) * reach
    shifts = random.uniform(-recipe.shift, recipe.shift, (count, 2))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.stack([cosine, -sine, sine, cosine], axis=-1).reshape(count, 2, 2)
    lean = np.stack([tall, np.zeros(count), wide * np.tan(slant), wide], axis=-1).reshape(count, 2, 2)
    return (turn @ lean).astype(np.float32), shifts.astype(np.float32)


def sample(pictures: Pixels, places: NDArray[np.float32]) -> Pixels:
    """Read pictures (n, height, width) at `places` (n, 2, points), bilinear; outside is 0. Returns (n, points)."""
    count, height, width = pictures.shape
    # One pixel of background around each picture stands for everything outside.
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1))).astype(np.float32).ravel()
    rows = np.clip(places[:, 0] + 1, 0, height + 0.999)
    columns = np.clip(places[:, 1] + 1, 0, width + 0.999)
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    down, right = rows - top, columns - left
    stride = width + 2
    first = (np.arange(count, dtype=np.int32) * (height + 2) * stride)[:, np.newaxis] + top * stride + left
    upper = padded[first] * (1 - right) + padded[first + 1] * right
    lower = padded[first + stride] * (1 - right) + padded[first + stride + 1] * right
    result: Pixels = np.rint(upper * (1 - down) + lower * down).astype(np.uint8)
    return result


def draw_bends(count: int, height: int, width: int, recipe: Recipe, random: np.random.Generator) -> NDArray[np.float32]:
    """For each picture a smooth field (n, 2, height × width): how far each place moves, in pixels.

    Source: elastic distortions, Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to
    visual document analysis", 2003; here by cubic splines, a product of matrices instead of a filter.
    """
    strength = np.float32(recipe.bend) * random.random((count, 1, 1), dtype=np.float32)
    moves = random.standard_normal((count, 2, CONTROLS**2), dtype=np.float32)
    field: NDArray[np.float32] = np.matmul(moves * strength, splines(height, width))
    return field


@cache
def splines(height: int, width: int) -> NDArray[np.float32]:
    """What each control point adds to each place: (controls, height × width)."""
    down, across = (spline(np.linspace(1, CONTROLS - 2, size)) for size in (height, width))
    products: NDArray[np.float64] = np.einsum("yi,xj->ijyx", down, across)
    return products.reshape(CONTROLS**2, height * width).astype(np.float32)


def spline(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic B-spline of each control point (columns) at each place (rows)."""
    apart = np.abs(places[:, np.newaxis] - np.arange(CONTROLS))
    near, far = 2 / 3 - apart**2 + apart**3 / 2, (2 - apart) ** 3 / 6
    return np.where(apart < 1, near, np.where(apart < 2, far, 0))


def change_pens(pictures: Pixels, recipe: Recipe, random: np.random.Generator) -> Pixels:
    """Give a share of the pictures (n, height, width) another stroke, more or less of it."""
    results = pictures.copy()
    pens = random.uniform(0, len(PENS) / recipe.pen, len(pictures)).astype(int)
    amounts = random.uniform(0.3, 1, len(pictures)).astype(np.float32)
    for index, pen in enumerate(PENS):
        chosen = np.flatnonzero(pens == index)
        before = pictures[chosen].astype(np.float32)
        amount = amounts[chosen, np.newaxis, np.newaxis]
        after = before + (pen(before) - before) * amount
        # A thin or soft stroke would be faint as well; preparation makes a picture's brightest spot white.
        peak = after.max(axis=(1, 2), keepdims=True)
        results[chosen] = np.rint(after * np.clip(255 / np.maximum(peak, 1), 1, 2))
    return results


def neighbours(pictures: Strokes) -> Strokes:
    """Each pixel (n, height, width) with the four beside it: (5, n, height, width); beyond the edge is background."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    inner, before, after = slice(1, -1), slice(None, -2), slice(2, None)
    places = [(inner, inner), (before, inner), (after, inner), (inner, before), (inner, after)]
    return np.stack([padded[:, rows, columns] for rows, columns in places])


def thicken(pictures: Strokes) -> Strokes:
    thicker: Strokes = neighbours(pictures).max(axis=0)
    return thicker


def thin(pictures: Strokes) -> Strokes:
    thinner: Strokes = neighbours(pictures).min(axis=0)
    return thinner


def soften(pictures: Strokes) -> Strokes:
    softer: Strokes = neighbours(neighbours(pictures).mean(axis=0)).mean(axis=0)
    return softer


def harden(pictures: Strokes) -> Strokes:
    return np.where(pictures > 127, np.float32(255), np.float32(0))


PENS = (thicken, thin, soften, harden)
