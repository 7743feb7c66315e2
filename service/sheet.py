"""Where the sheet of paper lies, in a photograph that shows the dark table around it as well."""

import numpy as np
from PIL import Image

from service.marks import components

PHOTOGRAPH = 400  # pixels on the longer side, at least, of what shows more than a digit that was cut out
VIEW = 128  # pixels on the longer side: enough for the edges of a sheet
DARK = 0.45  # of the paper's grey, at most: what is lighter may be a shadow on the paper
LEAST = 0.25  # of the picture that a sheet covers
AROUND = 0.04  # of the picture that the table covers, at least
FULL = 0.8  # of its box: a sheet lies square, more or less
CORNER = 0.15  # of the box's sides, in each of its corners …
SQUARE = 0.4  # … of which a sheet covers so much, and a broad 0 nothing
NARROW = 0.4  # a sheet's shorter side as a share of its longer one; a broad 1 is narrower
INSIDE = 0.8  # of a row or column that is sheet, so that it is kept

Box = tuple[int, int, int, int]  # left, top, right, bottom


def find_sheet(picture: Image.Image) -> Box | None:
    """The part of a picture that is a light sheet, with something written on it, on a dark table.

    Args:
        picture: Mode L.

    Returns:
        In pixels of the picture; None where no table is to be seen.
    """
    if max(picture.size) < PHOTOGRAPH:
        return None
    times = max(picture.size) / VIEW
    view = picture.resize([max(1, round(side / times)) for side in picture.size], Image.Resampling.BOX)
    grey = np.asarray(view)
    paper = float(np.quantile(grey, 0.75))
    light = grey > (1 + DARK) / 2 * paper
    if not AROUND < 1 - light.mean() < 1 - LEAST:
        return None
    labels = components(light)
    sheet = _filled(labels == int(np.bincount(labels[light]).argmax()))
    around = grey[~sheet]
    rows, columns = np.flatnonzero(sheet.any(axis=1)), np.flatnonzero(sheet.any(axis=0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    if (
        sheet.mean() < LEAST
        or sheet.sum() < FULL * tall * wide
        or min(tall, wide) < NARROW * max(tall, wide)
        or around.size < AROUND * grey.size
        or np.quantile(around, 0.8) > DARK * paper
        or not (sheet & ~light).any()
        or _least_corner(sheet[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]) < SQUARE
    ):
        return None
    rows = np.flatnonzero(sheet.sum(axis=1) > INSIDE * wide)
    columns = np.flatnonzero(sheet.sum(axis=0) > INSIDE * tall)
    if not (rows.size and columns.size):
        return None
    left, top, right, bottom = (int(end * times) for end in (columns[0] + 1, rows[0] + 1, columns[-1], rows[-1]))
    return (left, top, right, bottom) if min(right - left, bottom - top) > VIEW // 4 else None


def _least_corner(mark: np.ndarray) -> float:
    """How much of the emptiest corner a mark covers that fills its box."""
    tall, wide = (1 + int(CORNER * side) for side in mark.shape)
    return float(
        min(
            mark[rows, columns].mean()
            for rows in (slice(tall), slice(-tall, None))
            for columns in (slice(wide), slice(-wide, None))
        )
    )


def _filled(mark: np.ndarray) -> np.ndarray:
    """A mark with what lies inside it: between its ends in the row as well as in the column."""

    def between(mark: np.ndarray) -> np.ndarray:
        before = np.logical_or.accumulate(mark, axis=1)
        after = np.logical_or.accumulate(mark[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(before & after)

    return np.asarray(between(mark) & between(mark.T).T)
