"""Which of the marks on a sheet are the digit: not the lines of ruled paper, not boxes, not specks."""

import numpy as np
from PIL import Image, ImageDraw

from service.outline import four_corners, hull

REST = 0.2  # share of all writing that must be left without what lies around it
RIVAL = 0.5  # of the main mark's weight and side: what has as much may be a digit as well
LINED = 60  # pixels a side; in less no lines of ruled paper are looked for
FINE = 0.012  # of the width: no stroke from edge to edge is so fine
SIDE = 12  # pixels of a box, at least
CORNERED = 0.92  # of a box's outline that lies between its best four corners; of a 0, two thirds
INNER = 0.75  # of its width is surely inside
WRITTEN = 0.01  # of that is written on, at least: an empty box may be a 0
REACHING = 0.7  # of its width is what a box's rows reach over …
MOSTLY = 0.6  # … at least so many of them; and as much of its outline lies on its lines
ENDED = 0.35  # of the outline: where less lies so far inside, the lines have ended
BROAD = 0.15  # of its shorter side: no box has lines as broad …
CROSSED = 0.05  # … nor as broad as this one that writing goes beyond
PARTS = 20  # of each side: nine of ten are drawn
SLOPES = np.linspace(-0.16, 0.16, 65)  # nine degrees to either side: how askew a sheet is photographed


def without_lines(mask: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Take the lines of ruled or squared paper out of a mask; where strokes cross them, the strokes stay.

    Args:
        mask: bool (height, width), what stands out from the paper.
        contrast: float32, likewise, how far.
    """
    rest = mask & ~(_lines(mask, contrast) | _lines(mask.T, contrast.T).T)
    return rest if rest.sum() >= 6 else np.zeros_like(mask)


def _lines(mask: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Straight lines from the left edge to the right, level within nine degrees, without what crosses them."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    edge = 1 + int(0.03 * width)
    if min(width, height) < LINED or not (mask[:, :edge].any() and mask[:, -edge:].any()):
        return found
    rows, columns = np.nonzero(mask)
    _, level, count = _levelled(rows, columns, mask.shape)
    full = count > 0.6 * width
    if not full.any():
        return found
    full = np.convolve(full, np.ones(3), "same") > 0
    on = full[level]
    length = _run_lengths(mask.T).T[rows, columns]
    thick = np.median(length[on])
    if thick > max(3, 0.02 * width) or columns[on].min() >= edge or columns[on].max() < width - edge:
        return found
    thin = on & (length <= 1.7 * thick + 1)
    strokes = contrast[rows[~on], columns[~on]]
    bands = int((np.diff(full.astype(np.int8)) == 1).sum()) + int(full[0])
    alone = strokes.size < 6 or np.median(contrast[rows[thin], columns[thin]]) > 0.7 * np.quantile(strokes, 0.8)
    if bands < 2 and alone and thick > FINE * width:
        return found
    found[rows[thin], columns[thin]] = True
    return found


def _levelled(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> tuple[float, np.ndarray, np.ndarray]:
    """The slope at which most pixels lie on lines, the line of each pixel, and how many each line has.

    A line with number n goes through row n - width // 5 of column 0.
    """
    height, width = shape
    above = width // 5
    levels = [rows + np.round(columns * slope).astype(np.intp) + above for slope in SLOPES]
    counts = [np.bincount(level, minlength=height + 2 * above) for level in levels]
    best = int(np.argmax([(count.astype(float) ** 3).sum() for count in counts]))
    return float(SLOPES[best]), levels[best], counts[best]


def _run_lengths(mask: np.ndarray) -> np.ndarray:
    """For each pixel of the mask, how many of it lie in one piece in its row."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    result = np.zeros(mask.shape, np.int64)
    result[mask] = np.repeat(lengths, lengths)
    return result


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
        found = find_box(labels == label)
        if found is not None and (mask & ~found[0] & found[1]).sum() > WRITTEN * found[1].sum():
            mask = mask & ~found[0]
    return mask


def _reaching(mark: np.ndarray) -> bool:
    """Whether most rows and columns of a mark reach from near its one side to near the other: it may be a box."""
    if not mark.any():
        return False
    top, bottom, left, right = extent(mark)
    part = mark[top : bottom + 1, left : right + 1]
    reaches = [1 - (rows.argmax(axis=1) + rows[:, ::-1].argmax(axis=1)) / rows.shape[1] for rows in (part, part.T)]
    return min(part.shape) > SIDE and all((reach > REACHING).mean() > MOSTLY for reach in reaches)


def find_box(mark: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The four lines of a box that a mark is, or has, and what surely lies inside; None if there is none."""
    if not _reaching(mark):
        return None
    rows, columns = np.nonzero(mark)
    corners, share = four_corners(hull(mark))
    broad = BROAD
    if share < CORNERED:  # writing may go beyond the box
        crossed = _crossing(rows, columns, mark.shape)
        if crossed is None:
            return None
        corners, broad = crossed, CROSSED
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    x, y = columns[:, np.newaxis] - corners[:, 0], rows[:, np.newaxis] - corners[:, 1]
    off = np.abs(sides[:, 0] * y - sides[:, 1] * x) / lengths  # how far each pixel is from each side …
    along = (sides[:, 0] * x + sides[:, 1] * y) / lengths**2  # … and beside which part of it
    depths = off.min(axis=1).astype(np.intp)
    deepest = 2 + int(broad * lengths.min())
    drawn = np.bincount(depths, minlength=deepest)[:deepest] / lengths.sum()
    thick = int(drawn.argmax())
    if drawn[thick] < MOSTLY:
        return None
    while thick < deepest and drawn[thick] > ENDED:
        thick += 1
    if thick == deepest:  # no lines, but a blot
        return None
    on, touched = depths <= thick, 0
    for side in range(4):
        touched += bool(((depths == thick + 3) & (off[:, side] < thick + 4)).any())
        beside = along[on & (off[:, side] <= thick + 1), side]
        if len(np.unique((beside[(beside >= 0) & (beside < 1)] * PARTS).astype(np.intp))) < 0.9 * PARTS:
            return None
    if touched == 4:  # squared paper
        return None
    lines = np.zeros_like(mark)
    lines[rows[on], columns[on]] = True
    centre = corners.mean(axis=0)
    inside = Image.new("1", mark.shape[::-1])
    ImageDraw.Draw(inside).polygon([(x, y) for x, y in centre + INNER * (corners - centre)], fill=1)
    return lines, np.asarray(inside)


def _crossing(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Where the first and the last long line down and across cross: the corners of a box, x and y (4, 2)."""
    ends = []
    for down, across, size in ((rows, columns, shape), (columns, rows, shape[::-1])):
        slope, _, counts = _levelled(down, across, size)
        long = np.flatnonzero(counts > MOSTLY * (across.max() - across.min()))
        if not long.size or long[-1] - long[0] < SIDE:
            return None
        ends.append((slope, long[[0, -1]] - size[1] // 5))
    (slope, levels), (other, sides) = ends
    corners = [
        ((left - other * top) / (1 - slope * other), (top - slope * left) / (1 - slope * other))
        for top, left in ((levels[0], sides[0]), (levels[0], sides[1]), (levels[1], sides[1]), (levels[1], sides[0]))
    ]
    return np.array(corners)


def main_mark(mask: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Keep the heaviest connected part of a mask that does not lie around it, and those near it that are no specks.

    What reaches an edge that the heaviest does not reach comes from outside: a rim, a line, a shadow.

    Args:
        mask: bool (height, width), with at least one pixel.
        weight: float (height, width), what each pixel counts.

    Returns:
        What is kept, bool (height, width), and how many of the other parts could have been meant as well.
    """
    labels = components(mask)
    weights = np.bincount(labels.ravel(), weight.ravel() + 1e-9)
    weights[0] = 0
    for label in np.flatnonzero(weights > 0.06 * weights.max()):
        mark = labels == label
        if weights[label] < (1 - REST) * weights.sum() and _framing(mark):
            weights[label] = 0
    main = int(weights.argmax())
    top, bottom, left, right = extent(labels == main)
    side = max(bottom - top, right - left)
    reach = 0.3 * side
    keep, reached, others = {main}, _reached(labels == main), 0
    for label in np.flatnonzero(weights > 0.06 * weights[main]):
        mark = labels == label
        first, last, start, end = extent(mark)
        near = last > top - reach and first < bottom + reach and end > left - reach and start < right + reach
        inside = _reached(mark) <= reached
        if near and inside:
            keep.add(int(label))
        elif inside and weights[label] > RIVAL * weights[main]:
            others += max(last - first, end - start) > RIVAL * side
    return np.isin(labels, list(keep)), others


def extent(mark: np.ndarray) -> tuple[int, int, int, int]:
    """Its first and last row, first and last column."""
    rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _framing(mark: np.ndarray) -> bool:
    """Whether a mark is no writing but lies around it: the box of a form, the rim of a table."""
    rows, columns = np.nonzero(mark)
    top, bottom, left, right = extent(mark)
    side = max(right - left, bottom - top)
    band = 1 + 0.07 * side
    inside = (columns > left + band) & (columns < right - band) & (rows > top + band) & (rows < bottom - band)
    boxed = inside.mean() < 0.15 and min(right - left, bottom - top) > 0.3 * min(mark.shape)
    return bool(boxed or sum(edge.sum() for edge in _edges(mark)) > 0.7 * side)


def _reached(mark: np.ndarray) -> set[int]:
    """The edges that a mark touches: top, bottom, left, right, as numbers."""
    return {number for number, edge in enumerate(_edges(mark)) if edge.any()}


def _edges(mark: np.ndarray) -> tuple[np.ndarray, ...]:
    """Its first and last row, first and last column."""
    return mark[0], mark[-1], mark[:, 0], mark[:, -1]


def components(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts of a mask (eight neighbours) from 1 on; 0 is outside."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(rows) + 1))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    bounds = np.searchsorted(rows, np.arange(mask.shape[0] + 1)).tolist()
    first, last = starts.tolist(), ends.tolist()
    for row in range(1, mask.shape[0]):
        above, end_above = bounds[row - 1], bounds[row]
        here, end_here = bounds[row], bounds[row + 1]
        while above < end_above and here < end_here:
            if first[above] <= last[here] and first[here] <= last[above]:
                parent[root(here)] = root(above)
            if last[above] < last[here]:
                above += 1
            else:
                here += 1
    roots = np.array([root(run) for run in range(len(rows))], dtype=np.int64)
    numbers = np.unique(roots, return_inverse=True)[1] + 1
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.repeat(numbers, ends - starts)
    return labels
