"""Lines under or over a digit, and rings around it, that touch it or cross it.

Both are told from strokes by this: they are of even width all along, and go on where the digit has ended. A ring is
unrolled around its middle: then it is a line as well. Where strokes cross them, the strokes stay. What may be a part of
the digit stays whole: the foot of a 2, the slash of a 0.
"""

import numpy as np

from service.outline import hull
from service.shapes import BEYOND, ROUND, STRAIGHT, extent

SIDE = 24  # pixels of a line or a ring, at least
ENDS = 0.05  # of a line's width, on either side, surely nothing but the line is …
FINE = 0.12  # … and it is no taller than this share of the width
ASKEW = 0.2  # of its width that it rises or falls
BENT = 0.02  # of its width that it is off a straight line
WRITTEN = 0.2  # of the line's width: so tall is what stands on it, at least …
PASSED = 0.25  # … and so much of that may lie on its other side: the bar of a 7 or a 4 has more there
EVEN = 1.7  # times as broad as elsewhere, it is crossed
GAPS = 0.05  # of it that are missing, at most
ARC = 3  # times its breadth, what stands on it there is more than one stem
SAME = 1.5  # times as broad as another, a stroke may be by the same pen
FORKED = 0.4  # of the rows of a 4 or a 9 have more than one piece, and mostly fewer of a 7 or a 2 …
TOP = 0.08  # … and either so near to its top, or there is a hole

STEPS = 96  # directions in which a ring is unrolled
REACH = np.linspace(1.2, 0.5, 71)  # of the ring's radius: where it is looked for
NEAR = 0.07  # of the radius that a ring may be off an ellipse
CIRCLE = 0.75  # of the longer axis is the shorter one
FITS = 4  # times
BROAD = 0.4  # of that reach: no ring is so broad
MOSTLY = 0.5  # of it is not crossed, at least …
OUT = 0.25  # … and as far around, at most, a digit goes on beyond it
INSIDE = 0.6  # of the radius lies what is surely no part of the ring …
MIDDLE = 0.4  # … and so near to its middle something is written …
INNER = 0.85  # … that is so tall or wide, in radii: the curl with which a 0 begins is not


def without_touching(mark: np.ndarray) -> np.ndarray:
    """A mark, bool (height, width), without the lines and rings that touch what is written in it."""
    for find in (line, _over, ring):
        found = find(mark)
        if found is not None:
            return np.asarray(mark & ~found)
    return mark


def line(mark: np.ndarray, *, over: bool = False) -> np.ndarray | None:
    """The line that a digit stands on: bool (height, width); None if there is none.

    Args:
        mark: bool (height, width), a digit and what touches it.
        over: Whether the mark is upside down, and the line lies over the digit.
    """
    height, width = mark.shape
    end = max(2, round(ENDS * width))
    if width < SIDE or height < WRITTEN * width:
        return None
    left, right = np.flatnonzero(mark[:, :end].any(axis=1)), np.flatnonzero(mark[:, -end:].any(axis=1))
    if max(np.ptp(left), np.ptp(right)) >= max(3, FINE * width) or abs(left.mean() - right.mean()) > ASKEW * width:
        return None
    level = np.interp(np.arange(width), [end / 2, width - 1 - end / 2], [left.mean(), right.mean()])
    off = np.arange(height)[:, np.newaxis] - level
    reach = (2 + np.ptp(left) + np.ptp(right)) / 4 + 1 + BENT * width
    on = mark & (np.abs(off) <= reach)
    above, below = mark & (off < -reach), mark & (off > reach)
    if not above.any():
        return None
    _, _, start, stop = extent(above | below)
    tall, passed = -float(off[above].min()), float(off[below].max(initial=0))
    beyond = BEYOND * max(tall + passed, stop - start)
    if tall < WRITTEN * width or passed > PASSED * tall or min(start, width - 1 - stop) < beyond:
        return None
    counts = on.sum(axis=0)
    free = np.r_[counts[:start], counts[stop + 1 :]]
    thick = float(np.median(free))
    if (counts == 0).mean() > GAPS or np.quantile(free, 0.95) > EVEN * thick + 1:
        return None
    standing = (above & (off >= -reach - 2)).any(axis=0)
    if standing.sum() < ARC * thick and _is_hook(above, thick, over=over):
        return None
    # Between strokes that stand on it, with nothing below, it stays: there it may be the arc of a 0 as well.
    closed = np.logical_or.accumulate(standing) & np.logical_or.accumulate(standing[::-1])[::-1] & ~below.any(axis=0)
    crossed = counts > EVEN * thick + 1
    depth = np.cumsum(on[::-1], axis=0)[::-1]
    return np.asarray(on & ~closed & np.where(crossed, (depth <= thick + 1) & ~standing, True))


def _is_hook(stroke: np.ndarray, thick: float, *, over: bool) -> bool:
    """Whether a stroke and a line by the same pen may be one digit: a 7 over a line a 2, a 1 under one a 7.

    Args:
        stroke: bool (height, width), without the line.
        thick: How thick the line is, in pixels.
        over: Whether the line lies over the stroke.
    """
    wide = np.pad(stroke, 1)
    inside = stroke & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    pen = 2 * stroke.sum() / max(1, stroke.sum() - inside.sum())
    if not 1 / SAME < pen / thick < SAME:
        return False
    rows = wide[1:-1][stroke.any(axis=1)]
    pieces = (rows[:, 1:] & ~rows[:, :-1]).sum(axis=1)
    if (pieces > 1).mean() > FORKED and (pieces[: 1 + int(TOP * len(pieces))].max() > 1 or _has_hole(wide)):
        return False
    across, along = np.linalg.eigvalsh(np.cov(np.nonzero(stroke)))
    return over or bool(across > STRAIGHT**2 * along)


def _has_hole(wide: np.ndarray) -> bool:
    """Whether a connected stroke has one: by Euler's number, which its squares of two by two pixels tell."""
    squares = wide[:-1, :-1] + 2 * wide[:-1, 1:] + 4 * wide[1:, :-1] + 8 * wide[1:, 1:].astype(np.uint8)
    counts = np.bincount(squares.ravel(), minlength=16)
    return bool(counts[[1, 2, 4, 8]].sum() - counts[[7, 11, 13, 14]].sum() - 2 * counts[[6, 9]].sum() < 4)


def _over(mark: np.ndarray) -> np.ndarray | None:
    """Likewise, the line over a digit."""
    found = line(mark[::-1], over=True)
    return None if found is None else found[::-1]


def ring(mark: np.ndarray) -> np.ndarray | None:
    """The ring around a digit that touches it: bool (height, width); None if there is none."""
    if min(mark.shape) < max(SIDE, CIRCLE * max(mark.shape)):
        return None
    fitted = _ellipse(hull(mark))
    if fitted is None:
        return None
    centre, axes = fitted
    turns = np.arange(STEPS) * 2 * np.pi / STEPS
    rim = np.stack([np.cos(turns), np.sin(turns)], axis=-1) @ np.linalg.inv(axes)
    x, y = np.rint(centre[:, np.newaxis, np.newaxis] + rim.T[:, np.newaxis] * REACH[:, np.newaxis]).astype(np.intp)
    inside = (x >= 0) & (y >= 0) & (x < mark.shape[1]) & (y < mark.shape[0])
    strip = inside & mark[y.clip(0, mark.shape[0] - 1), x.clip(0, mark.shape[1] - 1)]  # from outside to inside
    near = np.abs(REACH - 1) < NEAR
    drawn = strip[near].any(axis=0)
    outer = (strip & near[:, np.newaxis]).argmax(axis=0)
    ended = ~strip & (np.arange(len(REACH))[:, np.newaxis] > outer)
    counts = np.where(ended.any(axis=0), ended.argmax(axis=0), len(REACH)) - outer
    if drawn.mean() < ROUND:
        return None
    thick = float(np.median(counts[drawn]))
    crossed = counts > EVEN * thick + 1
    beyond = strip[REACH > 1 + NEAR].any(axis=0)
    if thick > BROAD * len(REACH) or (drawn & ~crossed).mean() < MOSTLY or beyond.mean() > OUT:
        return None
    # In the mark's own pixels: of where it is crossed, the ring's breadth, if the stroke does not go on outside.
    rows, columns = np.nonzero(mark)
    apart = (np.stack([columns, rows], axis=-1) - centre) @ axes
    away = np.hypot(apart[:, 0], apart[:, 1])
    turn = np.rint(np.arctan2(apart[:, 1], apart[:, 0]) * STEPS / (2 * np.pi)).astype(np.intp) % STEPS
    deep = (REACH[outer[turn]] - away) / (REACH[0] - REACH[1])
    breadth = np.where(crossed, thick, counts)
    on = (deep >= -2) & (deep <= breadth[turn] + 1) & (drawn & ~(crossed & beyond))[turn]
    inner = ~on & (away < INSIDE)
    radius = abs(float(np.linalg.det(axes))) ** -0.5
    if inner.sum() < 6 or away[inner].min() > MIDDLE:
        return None
    if max(np.ptp(rows[inner]), np.ptp(columns[inner])) < INNER * radius:
        return None
    across, along = np.linalg.eigvalsh(np.cov(rows[inner], columns[inner]))
    if across < STRAIGHT**2 * along:  # the slash of a 0
        return None
    found = np.zeros_like(mark)
    found[rows[on], columns[on]] = True
    return found


def _ellipse(outline: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The ellipse on which most of a hull lies, fitted again and again to the nearest of its points.

    Returns:
        Its middle (2,) and its axes (2, 2): a point p lies on it where (p - middle) @ axes has the length 1. None where
        there is none that is about as wide as tall.
    """
    closed = np.vstack([outline, outline[:1]])
    ends = np.r_[0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T))]
    at = np.linspace(0, ends[-1], 2 * STEPS, endpoint=False)
    points = np.stack([np.interp(at, ends, closed[:, axis]) for axis in (0, 1)], axis=-1)
    middle, scale = points.mean(axis=0), points.std()
    points = (points - middle) / scale
    kept = np.ones(len(points), bool)
    for _ in range(FITS):
        x, y = points[kept].T
        terms = np.stack([x * x, x * y, y * y, x, y], axis=-1)
        a, b, c, d, e = np.linalg.lstsq(terms, np.ones(len(x)), rcond=None)[0]
        shape = np.array([[a, b / 2], [b / 2, c]])
        if np.linalg.eigvalsh(shape)[0] <= 0:
            return None
        centre = -np.linalg.solve(shape, [d, e]) / 2
        values, vectors = np.linalg.eigh(shape / (1 + centre @ shape @ centre))
        if values[0] < CIRCLE**2 * values[1]:
            return None
        axes = vectors * np.sqrt(values)
        off = np.abs(np.hypot(*((points - centre) @ axes).T) - 1)
        kept = off <= max(NEAR / 3, float(np.quantile(off, 0.6)))
    return middle + scale * centre, axes / scale
