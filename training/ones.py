"""The digit 1 as half of the world writes it: with a flag at its top, and at times a foot.

MNIST's writers mostly made it a bare stem. Who has learnt from those alone takes a long flag for the bar of a 7, which
stands across the stem, where a flag hangs beside it.
"""

import numpy as np

from training.config import Recipe
from training.datasets import Pixels
from training.strokes import lay_ink

ONE = 1
"""Its class number, where the classes are the ten digits."""
INK = 100
"""Grey above which a pixel belongs to the stem."""
STEM = 8
"""Times that a bare stem is as long as it is broad, by its standard deviations, squared."""
LEAN = 35.0
"""Degrees that a stem leans over to the right, at most: flags of others would be level, as the bar of a 7 is."""
FLAG, LOWEST = (25.0, 60.0), 62.0
"""Degrees between flag and stem; and between flag and the vertical, at most."""
LENGTH = (0.22, 0.55)
"""Of a flag, as a share of the stem's."""
FOOT, FOOT_LENGTH = 0.25, (0.12, 0.28)
"""Share of ones with a foot; how far it reaches to either side."""
PENS = (1.5, 4.5)
"""Pixels that a pen is broad."""


def flag(pictures: Pixels, labels: Pixels, recipe: Recipe, random: np.random.Generator) -> Pixels:
    """Give a share of the ones a flag.

    Args:
        pictures: uint8 (n, height, width, 1), light on black, centred by mass.
        labels: Class numbers (n,) of the ten digits.
        recipe: Which share.
        random: Where the draws come from.

    Returns:
        uint8 of the same shape; what is no bare stem stays as it is.
    """
    chosen = np.flatnonzero((labels == ONE) & (random.random(len(labels)) < recipe.flag))
    results = pictures.copy()
    for index in chosen:
        results[index, ..., 0] = add_flag(pictures[index, ..., 0], random)
    return results


def add_flag(picture: Pixels, random: np.random.Generator) -> Pixels:
    """One picture (height, width) of a bare stem with a flag; any other as it is."""
    rows, columns = np.nonzero(picture > INK)
    if len(rows) < 2:
        return picture
    places, weights = np.stack([columns, rows], axis=-1), picture[rows, columns].astype(np.float64)
    centre = np.average(places, axis=0, weights=weights)
    (narrow, long), axes = np.linalg.eigh(np.cov(places - centre, rowvar=False, aweights=weights))
    down = axes[:, 1] * np.sign(axes[1, 1])
    lean = float(np.degrees(np.arctan2(-down[0], down[1])))
    if long < STEM * narrow or not -LEAN < lean < LEAN:
        return picture
    along = (places - centre) @ down
    length, pen = along.max() - along.min(), float(np.clip(2 * np.sqrt(3 * narrow), *PENS))
    top, bottom = centre + (along.min() + pen / 2) * down, centre + (along.max() - pen / 2) * down
    angle = np.radians(lean + random.uniform(FLAG[0], min(FLAG[1], LOWEST - lean)))
    end = top + length * random.uniform(*LENGTH) * np.array([-np.sin(angle), np.cos(angle)])
    strokes = [[top, (top + end) / 2 + random.normal(0, 0.4, 2), end]]
    if random.random() < FOOT:
        foot = length * random.uniform(*FOOT_LENGTH) * np.array([1.0, 0.0])
        strokes.append([bottom - foot, bottom + foot])
    drawn = lay_ink([np.array(stroke) + 0.5 for stroke in strokes], picture.shape[::-1], width=pen)
    return centre_again(np.maximum(picture, np.asarray(drawn)))


def centre_again(picture: Pixels) -> Pixels:
    """Its centre of mass back in the middle, by whole pixels, as far as nothing leaves the picture."""
    moves = []
    for axis in (0, 1):
        mass = picture.sum(axis=1 - axis, dtype=np.float64)
        inked, size = np.flatnonzero(mass), len(mass)
        wanted = round(size // 2 - float(np.average(np.arange(size), weights=mass)))
        moves.append(int(np.clip(wanted, -inked[0], size - 1 - inked[-1])))
    return np.roll(picture, moves, (0, 1))
