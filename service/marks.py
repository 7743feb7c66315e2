"""Which of the marks on a sheet are the digit: not the lines of ruled paper, not what lies around it, not specks."""

import numpy as np

REST = 0.2  # share of all writing that must be left without what lies around it
RIVAL = 0.5  # of the main mark's weight and side: what has as much may be a digit as well
LINED = 60  # pixels a side; in less no lines of ruled paper are looked for
FINE = 0.012  # of the width: no stroke from edge to edge is so fine
Extent = tuple[int, int, int, int]
"""First and last row, first and last column."""
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
    _, level, count = levelled(rows, columns, mask.shape)
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


def levelled(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> tuple[float, np.ndarray, np.ndarray]:
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


def main_mark(mask: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Keep the heaviest connected part of a mask that does not lie around it, and those near it that are no specks.

    What is near to a part that is kept is kept as well: the grain of a pencil, or of chalk, breaks a stroke into many.
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
    for label in np.flatnonzero(weights > 0.06 * weights.max()).tolist():
        mark = labels == label
        if weights[label] < (1 - REST) * weights.sum() and _framing(mark):
            weights[label] = 0
    main = int(weights.argmax())
    kept = extent(labels == main)
    side, reached = _side(kept), _reached(labels == main)
    heavy = np.flatnonzero(weights > 0.06 * weights[main]).tolist()
    found = {label: labels == label for label in heavy if label != main}
    rest = {label: extent(mark) for label, mark in found.items() if _reached(mark) <= reached}
    keep = [main]
    while near := [label for label, place in rest.items() if _gap(kept, place) < 0.3 * side]:
        for label in near:
            kept = _hull(kept, rest.pop(label))
        keep += near
    others = sum(weights[label] > RIVAL * weights[main] and _side(rest[label]) > RIVAL * side for label in rest)
    return np.isin(labels, keep), others


def extent(mark: np.ndarray) -> Extent:
    """Its first and last row, first and last column."""
    rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _side(place: Extent) -> int:
    """The longer one."""
    top, bottom, left, right = place
    return max(bottom - top, right - left)


def _gap(one: Extent, other: Extent) -> int:
    """Rows or columns from one to the other, whichever are more; below 0 where they overlap."""
    return max(other[0] - one[1], one[0] - other[1], other[2] - one[3], one[2] - other[3])


def _hull(one: Extent, other: Extent) -> Extent:
    """Around both."""
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


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
