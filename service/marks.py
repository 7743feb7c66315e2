"""Which of the marks on a sheet are the digit: not the lines of ruled paper, not what lies around it, not specks."""

from collections.abc import Iterable

import numpy as np

from service.shapes import Mark, cut, gap, hull
from service.touching import without_touching

SPECK = 0.06  # of the heaviest mark's weight: what has less is one
REST = 0.2  # share of all writing that must be left without what lies around it
MOST = 64  # marks, the heaviest, that are looked at as what lies around or under the digit
RIVAL = 0.5  # of the main mark's weight and side: what has as much may be a digit as well
ALONE = 0.3  # of the weight of what comes from outside: a mark that has as much, and touches no edge, is the digit
NEAR = 0.3  # of the digit's side: what is nearer than that belongs to it …
DOTTED = 1.5  # … and of a dot's, where the digit is made of dots
LARGE = 0.3  # of the heaviest mark's weight: what has less is not looked at for lines that touch it
LINED = 60  # pixels a side; in less no lines of ruled paper are looked for
FINE = 0.012  # of the width: no stroke from edge to edge is so fine
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


def main_mark(mask: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Keep the heaviest connected part of a mask that does not lie around it, and those near it that are no specks.

    What is near to a part that is kept is kept as well: the grain of a pencil, or of chalk, breaks a stroke into many.
    What reaches an edge that the heaviest does not reach comes from outside: a rim, a line, a shadow. So does the
    heaviest itself, if it reaches an edge and another that could have been meant as well does not. Blots, such as the
    holes of a page, are written only where nothing else is.

    Args:
        mask: bool (height, width), with at least one pixel.
        weight: float (height, width), what each pixel counts.

    Returns:
        What is kept, bool (height, width); how many of the other parts could have been meant as well; and the mask
        without the lines and rings that touch what is written.
    """
    labels = components(mask)
    marks = cut(labels, weight)
    bare = _bare(mask, marks)
    if bare is not mask:
        labels = components(bare)
        marks = cut(labels, weight)
    marks = _written(sorted(_heavy(marks), key=lambda mark: -mark.weight)[:MOST], marks)
    main = _chosen(marks)
    rest = [mark for mark in marks if mark is not main and mark.reached <= main.reached]
    kept, others = _gathered(main, rest)
    own = np.zeros(labels.max() + 1, bool)
    own[[mark.label for mark in kept]] = True
    rivals = sum(mark.weight > RIVAL * main.weight and mark.side > RIVAL * main.side for mark in others)
    return own[labels], rivals, bare


def _bare(mask: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """The mask without lines and rings that touch what is written; the mask itself if there are none."""
    bare = mask
    most = max(mark.weight for mark in marks)
    for mark in marks:
        if mark.weight < LARGE * most or (own := without_touching(mark.own)) is mark.own:
            continue
        bare = mask.copy() if bare is mask else bare
        top, bottom, left, right = mark.place
        bare[top : bottom + 1, left : right + 1] &= own | ~mark.own
    return bare


def _heavy(marks: Iterable[Mark]) -> list[Mark]:
    """Those that are no specks beside the heaviest."""
    marks = list(marks)
    least = SPECK * max(mark.weight for mark in marks)
    return [mark for mark in marks if mark.weight > least]


def _written(tried: list[Mark], marks: list[Mark]) -> list[Mark]:
    """The marks that are no specks, without those that lie around another, or under it."""
    total = sum(mark.weight for mark in marks)
    much = [mark for mark in tried if mark.weight > REST * total]  # on squared paper, no piece of a line
    aside = {
        mark.label
        for mark in tried
        if any(mark.underlines(other) for other in much) or any(mark.goes_around(other) for other in tried)
    }
    for mark in tried:
        left = total - sum(other.weight for other in tried if other.label in aside)
        if mark.label not in aside and mark.weight < (1 - REST) * left and mark.frames():
            aside.add(mark.label)
    return _heavy(mark for mark in marks if mark.label not in aside)


def _chosen(marks: list[Mark]) -> Mark:
    """The mark that is the digit, or its greatest part."""

    def heaviest(some: Iterable[Mark], otherwise: Mark) -> Mark:
        return max(some, key=lambda mark: mark.weight, default=otherwise)

    main = heaviest(marks, marks[0])
    drawn = [mark for mark in marks if not mark.is_blot]
    if main.is_blot:
        main = heaviest((mark for mark in drawn if 2 * mark.side > main.side), main)
    if main.reached:
        least = 0 if main.frames() else ALONE * main.weight
        inner = (mark for mark in drawn if mark.weight > least and not mark.reached)
        main = heaviest((mark for mark in inner if gap(main.place, mark.place) > NEAR * mark.side), main)
    return main


def _gathered(main: Mark, rest: list[Mark]) -> tuple[list[Mark], list[Mark]]:
    """What belongs to a mark, itself included, because it is near to something that does; and what does not."""
    kept, place = [main], main.place
    reach = (max(NEAR, DOTTED) if main.is_blot else NEAR) * main.side
    places = np.array([mark.place for mark in rest], np.intp).reshape(-1, 4)
    left = np.ones(len(rest), bool)
    while (near := left & (gap(place, places.T) < reach)).any():
        kept += [rest[index] for index in np.flatnonzero(near)]
        place = hull([place, *places[near]])
        left &= ~near
    return kept, [rest[index] for index in np.flatnonzero(left)]


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
