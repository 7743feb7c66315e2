"""The boxes of forms: four lines around a digit, which may touch or cross them."""

import numpy as np
from PIL import Image, ImageDraw

from service.marks import components, levelled
from service.outline import four_corners, hull
from service.shapes import extent

SIDE = 12  # pixels of a box, at least
REACHING = 0.7  # of its width is what a box's rows reach over …
MOSTLY = 0.6  # … at least so many of them; and as much of its outline lies on its lines
CORNERED = 0.92  # of a box's outline that lies between its best four corners; of a 0, two thirds
ENDED = 0.35  # of the outline: where less lies so far inside, the lines have ended
BROAD = 0.15  # of its shorter side: no box has lines as broad …
CROSSED = 0.05  # … nor as broad as this one that writing goes beyond
PARTS = 20  # of each side: nine of ten are drawn
DEEP = 3  # pixels inside the lines: what is there beside all four goes on, as the squares of paper do
INNER = 0.75  # of its width is surely inside
WRITTEN = 0.01  # of that is written on, at least: an empty box may be a 0


def without_boxes(mask: np.ndarray) -> np.ndarray:
    """Take the boxes of forms out of a mask, and leave what is written into them, even where it touches their lines.

    Args:
        mask: bool (height, width), what stands out from the paper.
    """
    if not _reaching(mask):
        return mask
    labels = components(mask)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    for label in np.flatnonzero(counts > 0.06 * counts.max()):
        box = find_box(labels == label)
        if box is not None and (mask & ~box[0] & box[1]).sum() > WRITTEN * box[1].sum():
            mask = mask & ~box[0]
    return mask


def find_box(mark: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The four lines of a box that a mark is, or has, and what surely lies inside: both bool (height, width).

    Returns:
        None where there is no box, however askew.
    """
    if not _reaching(mark):
        return None
    rows, columns = np.nonzero(mark)
    corners, share = four_corners(hull(mark))
    if share >= CORNERED:
        on = _drawn(rows, columns, corners, BROAD)
    else:  # writing may go beyond the box
        corners = _crossings(rows, columns, mark.shape)
        on = _drawn(rows, columns, corners, CROSSED)
    if on is None:
        return None
    lines = np.zeros_like(mark)
    lines[rows[on], columns[on]] = True
    centre = corners.mean(axis=0)
    inside = Image.new("1", mark.shape[::-1])
    ImageDraw.Draw(inside).polygon([(x, y) for x, y in centre + INNER * (corners - centre)], fill=1)
    return lines, np.asarray(inside)


def _reaching(mark: np.ndarray) -> bool:
    """Whether most rows and columns of a mark reach from near its one side to near the other: it may be a box."""
    if not mark.any():
        return False
    top, bottom, left, right = extent(mark)
    part = mark[top : bottom + 1, left : right + 1]
    reaches = [1 - (rows.argmax(axis=1) + rows[:, ::-1].argmax(axis=1)) / rows.shape[1] for rows in (part, part.T)]
    return min(part.shape) > SIDE and all((reach > REACHING).mean() > MOSTLY for reach in reaches)


def _crossings(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where the first and last long line down and across cross: x and y (4, 2); (0, 2) where there are none."""
    ends = []
    for down, across, size in ((rows, columns, shape), (columns, rows, shape[::-1])):
        slope, _, counts = levelled(down, across, size)
        long = np.flatnonzero(counts > MOSTLY * (across.max() - across.min()))
        if not long.size or long[-1] - long[0] < SIDE:
            return np.empty((0, 2))
        ends.append((slope, long[[0, -1]] - size[1] // 5))
    (slope, (top, bottom)), (other, (left, right)) = ends
    return np.array(
        [
            ((x - other * y) / (1 - slope * other), (y - slope * x) / (1 - slope * other))
            for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
        ]
    )


def _drawn(rows: np.ndarray, columns: np.ndarray, corners: np.ndarray, broad: float) -> np.ndarray | None:
    """Which pixels of a mark lie on the lines between these corners.

    Args:
        rows: Of the pixels (n,).
        columns: Likewise.
        corners: x and y (4, 2), or none.
        broad: The lines are finer than this share of the shorter side.

    Returns:
        bool (n,); None where the lines are not drawn all around, or go on inside.
    """
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if not corners.size or lengths.min() < SIDE:
        return None
    x, y = columns[:, np.newaxis] - corners[:, 0], rows[:, np.newaxis] - corners[:, 1]
    off = np.abs(sides[:, 0] * y - sides[:, 1] * x) / lengths  # how far each pixel is from each side …
    along = (sides[:, 0] * x + sides[:, 1] * y) / lengths**2  # … and beside which part of it
    depths = off.min(axis=1).astype(np.intp)
    deepest = 2 + int(broad * lengths.min())
    drawn = np.bincount(depths, minlength=deepest)[:deepest] / lengths.sum()
    most = int(drawn.argmax())
    ended = np.flatnonzero(drawn[most:] <= ENDED)
    if drawn[most] < MOSTLY or not ended.size:  # no lines, or a blot
        return None
    thick = most + int(ended[0])
    on = depths <= thick
    squares = True
    for side in range(4):
        beside = along[on & (off[:, side] <= thick + 1), side]
        if len(np.unique((beside[(beside >= 0) & (beside < 1)] * PARTS).astype(np.intp))) < 0.9 * PARTS:
            return None
        squares &= bool(((depths == thick + DEEP) & (off[:, side] < thick + DEEP + 1)).any())
    return None if squares else on
