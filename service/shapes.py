"""What a connected mark looks like, and how it lies to another: a blot, a bar, a line around or under it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

AROUND = 24  # directions in which it is looked from the middle of a mark …
ROUND = 0.85  # … in so many of which lies the line that was drawn around it …
ONCE = 0.25  # … and once only, all of it within this share of its side: the outline of a hollow digit comes again …
INNER = 0.4  # … whose longer side it has so much of: the dot inside a 0 has less
CIRCLE = 0.85  # of a circle's longer side is its shorter one; a 0, which may be slashed, is mostly narrower
STRAIGHT = 0.2  # of how far a bar's pixels spread along it, they do across it, at most
FULL = 0.66  # of a blot's extent that it fills, and its shorter side as a share of its longer one: a hole, a dot
FLAT = 0.25  # of the width of a line that underlines: so tall it is, at most, askew as it may be …
BELOW = 0.04  # … and so far below the digit, at least, as a share of its side: nearer is the foot of a 2
BEYOND = 0.15  # … unless it goes so far beyond the digit on both sides, as a share of its side: a foot does so on one
SLACK = 0.15  # of the digit's side that need not stand over the line, on either side
Extent = tuple[int, int, int, int]
"""First and last row, first and last column."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One connected part of a mask."""

    label: int
    """Its number, from 1 on."""
    weight: float
    """What its pixels count together."""
    place: Extent
    sheet: tuple[int, ...]
    """Height and width of the mask."""
    own: NDArray[np.bool_]
    """Its pixels, within its place."""

    @cached_property
    def side(self) -> int:
        """The longer one."""
        top, bottom, left, right = self.place
        return max(bottom - top, right - left)

    @cached_property
    def reached(self) -> frozenset[int]:
        """The edges of the sheet that it touches: top, bottom, left, right, as numbers."""
        top, bottom, left, right = self.place
        ends = top == 0, bottom == self.sheet[0] - 1, left == 0, right == self.sheet[1] - 1
        return frozenset(number for number, touched in enumerate(ends) if touched)

    @cached_property
    def is_blot(self) -> bool:
        """Whether it is about as wide as tall, and nearly full: no stroke is."""
        height, width = self.own.shape
        return bool(min(height, width) > FULL * max(height, width) and self.own.mean() > FULL)

    @cached_property
    def is_straight(self) -> bool:
        """Whether it is a bar, however turned."""
        across, along = np.linalg.eigvalsh(np.cov(np.nonzero(self.own)))
        return bool(across < STRAIGHT**2 * along)

    def frames(self) -> bool:
        """Whether it is no writing but lies around it: the box of a form, the rim of a table."""
        rows, columns = np.nonzero(self.own)
        height, width = (size - 1 for size in self.own.shape)
        band = 1 + 0.07 * self.side
        inside = (columns > band) & (columns < width - band) & (rows > band) & (rows < height - band)
        boxed = inside.mean() < 0.15 and min(height, width) > 0.3 * min(self.sheet)
        ends = self.own[0], self.own[-1], self.own[:, 0], self.own[:, -1]
        return bool(boxed or sum(ends[number].sum() for number in self.reached) > 0.7 * self.side)

    def goes_around(self, other: "Mark") -> bool:
        """Whether it is a line around another, closed or nearly so, and that one is large enough to be the digit."""
        top, bottom, left, right = self.place
        first, last, start, end = other.place
        if min(first - top, bottom - last, start - left, right - end) <= 0 or other.side < INNER * self.side:
            return False
        if min(bottom - top, right - left) < CIRCLE * self.side and other.is_straight:
            return False
        rows, columns = np.nonzero(self.own)
        down, across = rows + top - (first + last) / 2, columns + left - (start + end) / 2
        seen = ((np.arctan2(down, across) / (2 * np.pi) + 0.5) * AROUND).astype(np.intp) % AROUND
        away, nearest, farthest = np.hypot(down, across), np.full(AROUND, np.inf), np.zeros(AROUND)
        np.minimum.at(nearest, seen, away)
        np.maximum.at(farthest, seen, away)
        return bool((np.abs(farthest - nearest) < ONCE * self.side).sum() >= ROUND * AROUND)

    def underlines(self, other: "Mark") -> bool:
        """Whether it is a line under another: flat, not much wider, under nearly all of it, and no foot."""
        top, bottom, left, right = self.place
        below = top - other.place[1]
        beyond = min(other.place[2] - left, right - other.place[3])
        return (
            bottom - top <= FLAT * (right - left) < other.side
            and below > (top - bottom if beyond > BEYOND * other.side else 1 + BELOW * other.side)
            and beyond >= -SLACK * other.side
        )


def cut(labels: NDArray[np.int64], weight: np.ndarray) -> list[Mark]:
    """The marks of a mask.

    Args:
        labels: (height, width), the number of the mark that each pixel belongs to, from 1 on; 0 is none.
        weight: float, likewise, what each pixel counts.
    """
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    count = int(numbers.max()) + 1
    weights = np.bincount(numbers, weight[rows, columns] + 1e-9)
    first, last = np.full((2, count), max(labels.shape)), np.zeros((2, count), np.intp)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(first[axis], numbers, places)
        np.maximum.at(last[axis], numbers, places)
    return [
        Mark(
            label,
            float(weights[label]),
            (top, bottom, left, right),
            labels.shape,
            labels[top : bottom + 1, left : right + 1] == label,
        )
        for label, (top, bottom, left, right) in enumerate(
            np.stack([first[0], last[0], first[1], last[1]], axis=1).tolist()
        )
        if label
    ]


def extent(mark: np.ndarray) -> Extent:
    """Its first and last row, first and last column."""
    rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def gap(one: Sequence[int], other: Sequence[int] | np.ndarray) -> np.ndarray:
    """Rows or columns from one extent to another, or to several (4, n), whichever are more; below 0 if they overlap."""
    apart: np.ndarray = np.max([other[0] - one[1], one[0] - other[1], other[2] - one[3], one[2] - other[3]], axis=0)
    return apart


def hull(places: Sequence[Sequence[int]]) -> Extent:
    """Around all of these extents."""
    tops, bottoms, lefts, rights = zip(*places, strict=True)
    return int(min(tops)), int(max(bottoms)), int(min(lefts)), int(max(rights))
