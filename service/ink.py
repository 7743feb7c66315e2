"""From contrast to ink: which pixels the digit is written with, and how strongly."""

from typing import NamedTuple

import numpy as np

from service.boxes import without_boxes
from service.marks import main_mark, without_lines

FAINT = 0.35  # of what the strongest ink stands out by: what is below that is none


class Strokes(NamedTuple):
    """What is written."""

    ink: np.ndarray
    """float32 (height, width), 0 to 1: the digit's."""
    kept: np.ndarray
    """bool, likewise: where the digit surely is."""
    others: int
    """Marks that could have been meant as well."""
    drawn: np.ndarray
    """bool, like `kept`, and with the lines and rings that touched it."""


def strokes(contrast: np.ndarray, faint: float = FAINT) -> Strokes | None:
    """The digit on a sheet; None on an empty one."""
    calm = smooth(contrast)
    mask = without_lines(without_boxes(_mask(calm)), contrast)
    if not mask.any():
        return None
    mask = mask & (calm > faint * float(np.quantile(calm[mask], 0.95)))
    kept, others, bare = main_mark(mask, edges(calm))
    noise = _levels(contrast)[0]
    peak = max(0.01, float(np.quantile(contrast[kept], 0.9)))
    low = min(2.5 * noise, 0.3 * peak)
    ink = ((contrast - low) / (0.85 * peak - low)).clip(0, 1)
    near = spread(spread(kept.astype(np.float32))) > 0
    return Strokes(ink * near, kept, others, kept | (mask & ~bare))


def _mask(calm: np.ndarray) -> np.ndarray:
    """What stands out: bool, of the same size."""
    noise, ink = _levels(calm)
    return calm > max(3.5 * noise, 0.35 * ink) if ink else np.zeros(calm.shape, bool)


def _levels(contrast: np.ndarray) -> tuple[float, float]:
    """How strong the paper's grain is, and the ink; the ink is 0 on an empty sheet.

    The grain is taken from the quarter that differs least, so that ink may cover half of the sheet: 3.14 times that is
    the standard deviation of a normal distribution.
    """
    noise = max(0.004, 3.14 * float(np.quantile(np.abs(contrast[::2, ::2]), 0.25)))
    clear = contrast[contrast > max(5 * noise, 0.05)]
    return noise, float(np.quantile(clear, 0.95)) if clear.size >= 6 else 0.0


def edges(calm: np.ndarray) -> np.ndarray:
    """How sharp an edge each pixel of something smoothed lies on: ink has sharp ones, what is left of a shadow not."""
    wide = np.pad(calm, 1, mode="edge")
    down, across = wide[2:, 1:-1] - wide[:-2, 1:-1], wide[1:-1, 2:] - wide[1:-1, :-2]
    return np.asarray(down * down + across * across)


def smooth(contrast: np.ndarray) -> np.ndarray:
    """Mean of each pixel and its eight neighbours, beyond the edge 0."""
    return spread(contrast) / 9


def spread(cells: np.ndarray) -> np.ndarray:
    """Sum over each cell and its eight neighbours."""
    wide = np.pad(cells, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])
