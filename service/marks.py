"""Which of the marks on a sheet are the digit: not the lines of ruled paper, not what lies around it, not specks."""

import numpy as np

REST = 0.2  # share of all writing that must be left without what lies around it
RIVAL = 0.5  # of the main mark's weight and side: what has as much may be a digit as well
AROUND = 24  # directions in which it is looked from the middle of a mark …
ROUND = 0.85  # … in so many of which lies the line that was drawn around it …
ONCE = 0.25  # … and once only, all of it within this share of its side: the outline of a hollow digit comes again …
INNER = 0.4  # … whose longer side it has so much of: the dot inside a 0 has less
CIRCLE = 0.85  # of a circle's longer side is its shorter one; a 0, which may be slashed, is mostly narrower
STRAIGHT = 0.2  # of how far a bar's pixels spread along it, they do across it, at most
FULL = 0.66  # of a blot's extent that it fills, and its shorter side as a share of its longer one: a hole, a dot
ALONE = 0.3  # of the weight of what comes from outside: a mark that has as much, and touches no edge, is the digit
NEAR = 0.3  # of the digit's side: what is nearer than that belongs to it …
DOTTED = 1.5  # … and of a dot's, where the digit is made of dots
FLAT = 0.25  # of the width of a line that underlines: so tall it is, at most, askew as it may be …
BELOW = 0.04  # … and so far below the digit, at least, as a share of its side: nearer is the foot of a 2
SLACK = 0.15  # of the digit's side that need not stand over the line, on either side
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
    What reaches an edge that the heaviest does not reach comes from outside: a rim, a line, a shadow. So does the
    heaviest itself, if it reaches an edge and another that could have been meant as well does not. Blots, such as the
    holes of a page, are written only where nothing else is.

    Args:
        mask: bool (height, width), with at least one pixel.
        weight: float (height, width), what each pixel counts.

    Returns:
        What is kept, bool (height, width), and how many of the other parts could have been meant as well.
    """
    labels = components(mask)
    weights = np.bincount(labels.ravel(), weight.ravel() + 1e-9)
    weights[0] = 0
    marks = {label: labels == label for label in _heavy(weights)}
    places = {label: extent(mark) for label, mark in marks.items()}
    much = [label for label in marks if weights[label] > REST * weights.sum()]  # on squared paper, no piece of a line
    for label, mark in marks.items():
        place = places[label]
        underlining = any(_underlines(place, places[other]) for other in much)
        if underlining or any(_goes_around(mark, place, marks[other], places[other]) for other in marks):
            weights[label] = 0
    for label, mark in marks.items():
        if weights[label] < (1 - REST) * weights.sum() and _framing(mark):
            weights[label] = 0
    left = _heavy(weights)  # without those, others may be no specks
    marks |= {label: labels == label for label in left if label not in marks}
    places |= {label: extent(marks[label]) for label in left if label not in places}
    marks = {label: marks[label] for label in left}
    main = _chosen(weights, marks, places)
    kept, dotted = places[main], _is_blot(marks[main], places[main])
    side, reached = _side(kept), _reached(marks[main])
    rest = {label: places[label] for label, mark in marks.items() if label != main and _reached(mark) <= reached}
    keep, reach = [main], max(NEAR, DOTTED * dotted) * side
    while near := [label for label, place in rest.items() if _gap(kept, place) < reach]:
        for label in near:
            kept = _hull(kept, rest.pop(label))
        keep += near
    others = sum(weights[label] > RIVAL * weights[main] and _side(rest[label]) > RIVAL * side for label in rest)
    return np.isin(labels, keep), others


def _heavy(weights: np.ndarray) -> list[int]:
    """The labels of the marks that are no specks beside the heaviest."""
    return np.flatnonzero(weights > 0.06 * weights.max()).tolist()


def _chosen(weights: np.ndarray, marks: dict[int, np.ndarray], places: dict[int, Extent]) -> int:
    """The label of the mark that is the digit, or its greatest part."""
    main = int(weights.argmax())
    if _is_blot(marks[main], places[main]):
        drawn = [
            label
            for label, mark in marks.items()
            if 2 * _side(places[label]) > _side(places[main]) and not _is_blot(mark, places[label])
        ]
        main = max(drawn, key=lambda label: float(weights[label]), default=main)
    if _reached(marks[main]):
        least = 0 if _framing(marks[main]) else ALONE
        inner = [
            label
            for label, mark in marks.items()
            if weights[label] > least * weights[main]
            and not _reached(mark)
            and _gap(places[main], places[label]) > NEAR * _side(places[label])
            and not _is_blot(mark, places[label])
        ]
        main = max(inner, key=lambda label: float(weights[label]), default=main)
    return main


def _is_blot(mark: np.ndarray, place: Extent) -> bool:
    """Whether a mark is about as wide as tall, and nearly full: no stroke is."""
    height, width = place[1] - place[0] + 1, place[3] - place[2] + 1
    return bool(min(height, width) > FULL * max(height, width) and mark.sum() > FULL * height * width)


def _goes_around(mark: np.ndarray, place: Extent, other: np.ndarray, inner: Extent) -> bool:
    """Whether a mark is a line around another, closed or nearly so, and that one is large enough to be the digit."""
    margin = min(inner[0] - place[0], place[1] - inner[1], inner[2] - place[2], place[3] - inner[3])
    if margin <= 0 or _side(inner) < INNER * _side(place):
        return False
    if min(place[1] - place[0], place[3] - place[2]) < CIRCLE * _side(place) and _is_straight(other):
        return False
    rows, columns = np.nonzero(mark)
    down, across = rows - (inner[0] + inner[1]) / 2, columns - (inner[2] + inner[3]) / 2
    seen = ((np.arctan2(down, across) / (2 * np.pi) + 0.5) * AROUND).astype(np.intp) % AROUND
    away, nearest, farthest = np.hypot(down, across), np.full(AROUND, np.inf), np.zeros(AROUND)
    np.minimum.at(nearest, seen, away)
    np.maximum.at(farthest, seen, away)
    return bool((np.abs(farthest - nearest) < ONCE * _side(place)).sum() >= ROUND * AROUND)


def _is_straight(mark: np.ndarray) -> bool:
    """Whether a mark is a bar, however turned."""
    across, along = np.linalg.eigvalsh(np.cov(np.nonzero(mark)))
    return bool(across < STRAIGHT**2 * along)


def _underlines(place: Extent, other: Extent) -> bool:
    """Whether a mark is a line under another: flat, not too near, not much wider, and under nearly all of it."""
    top, bottom, left, right = place
    slack = SLACK * _side(other)
    return (
        bottom - top <= FLAT * (right - left) < _side(other)
        and top - other[1] > 1 + BELOW * _side(other)
        and left <= other[2] + slack
        and right >= other[3] - slack
    )


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
