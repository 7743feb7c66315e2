"""Where the sheet of paper lies, in a photograph that shows the table around it as well."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from service.ink import spread
from service.light import otsu
from service.marks import components
from service.outline import four_corners, hull
from service.shapes import extent

PHOTOGRAPH = 400  # pixels on the longer side, at least, of what shows more than a digit that was cut out
VIEW = 256  # pixels on the longer side: enough for the edges of a sheet, and a narrow rim around it
DARK = 0.45  # of the paper's grey, at most, where a sheet reaches three edges of the picture: else it may be a shadow …
BROWN = 0.65  # … and where it reaches fewer
LEAST = 0.1  # of the picture that a sheet covers
AROUND = 0.004  # of the picture that the table covers, at least
WHOLE = 0.6  # of a sheet that is light: the rest is written on
SOLID = 0.93  # of its outline that a sheet fills, with what is written on it; the strokes of a broad 3 leave bays
CORNERED = 0.96  # of its outline that lies between the best four corners …
INSIDE = 0.02  # … two of which lie so far inside the picture: those of what a shadow leaves do not
TURNS = np.deg2rad(np.arange(-44, 46, 2))  # in which the smallest rectangle around it is looked for
CORNER = np.linspace(0.01, 0.15, 5)  # places near a corner of that rectangle, as shares of its sides …
SQUARE = 0.4  # … of which a sheet covers so many, and a broad 0 none
LOOSE = 0.8  # as SOLID, where the sheet may be round or torn, for something is written on it …
STROKE = 0.25  # … as large as this share of its side, at least …
OPEN = 0.6  # … that fills no more of its own outline: what shows through a broad 0, 6 or 8 fills it
NARROW = 0.4  # its shorter side as a share of its longer one; a broad 1 is narrower
EDGE = 3  # pixels of the view on either side of a sheet's edge that are neither sheet nor table
TONES = 12  # cells on the longer side for the light that the table is painted over with


class Sheet(NamedTuple):
    """A sheet by itself."""

    picture: Image.Image
    """Mode L; the table in its corners has become paper."""
    corner: tuple[int, int]
    """Where it was cut out: x and y, in pixels of the photograph."""


def find_sheet(picture: Image.Image, *, sure: bool = False) -> Sheet | None:
    """The part of a picture that is a light sheet on a darker table.

    Args:
        picture: Mode L.
        sure: Whether something as large stands out there, so that no shadow need be told from a table.

    Returns:
        None where no table is to be seen.
    """
    if max(picture.size) < PHOTOGRAPH and not sure:
        return None
    times = max(picture.size) / VIEW
    view = picture.resize([max(1, round(side / times)) for side in picture.size], Image.Resampling.BOX)
    grey = np.asarray(view)
    light = grey > otsu(view)
    if not AROUND < 1 - light.mean() < 1 - LEAST * WHOLE:
        return None
    labels = components(light)
    found = labels == int(np.bincount(labels[light]).argmax())
    outline = hull(found)
    shape = Image.new("L", view.size)
    ImageDraw.Draw(shape).polygon([(float(x), float(y)) for x, y in outline], fill=255, outline=255)
    sheet = np.asarray(shape) > 0
    if sheet.mean() < LEAST or (sheet & found).sum() < WHOLE * sheet.sum():
        return None
    filled = _filled(found)
    solid = (sheet & filled).sum() / sheet.sum()
    if solid < SOLID or not (_is_square(outline, sheet) or _is_cornered(outline, view.size)):
        if solid < LOOSE or not _is_written_on(found, filled, light):
            return None
        shape, sheet = Image.fromarray(np.where(filled, np.uint8(255), np.uint8(0))), filled
    inner, outer = shape.filter(ImageFilter.MinFilter(2 * EDGE - 1)), shape.filter(ImageFilter.MaxFilter(2 * EDGE + 1))
    inside, table = np.asarray(inner) > 0, np.asarray(outer) == 0
    if table.mean() < AROUND:
        return None
    edges = sheet[0].any(), sheet[-1].any(), sheet[:, 0].any(), sheet[:, -1].any()
    darkest = (DARK if sum(edges) > 2 else BROWN) * np.median(grey[sheet & light])
    if not sure and np.quantile(grey[table], 0.8) > darkest:
        return None
    whole = inner.resize(picture.size, Image.Resampling.BILINEAR).point(lambda value: value > 127 and 255)
    box = whole.getbbox()
    if box is None:
        return None
    bare = Image.composite(picture, _paper(grey, inside & light, picture.size), whole)
    return Sheet(bare.crop(box), box[:2])


def _paper(grey: np.ndarray, sure: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The sheet's own light, in cells, also where no paper is."""
    height, width = grey.shape
    cells = max(1, TONES * width // VIEW), max(1, TONES * height // VIEW)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values.astype(np.float32)).resize(cells, Image.Resampling.BOX))

    share, tone = mean(sure), mean(np.where(sure, grey, 0))
    known = share > 0.2
    light = np.where(known, tone / np.maximum(share, 0.2), 0).astype(np.float32)
    while known.any() and not known.all():  # outwards from where paper is, a cell at a time
        count = spread(known.astype(np.float32))
        light = np.where(known, light, spread(light) / np.maximum(count, 1))
        known = count > 0
    return Image.fromarray(light).resize(size, Image.Resampling.BILINEAR).convert("L")


def _is_cornered(outline: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a sheet has four corners as a camera sees them from the side, at least two of them in the picture."""
    corners, share = four_corners(outline)
    margin = INSIDE * max(size)
    inside = ((corners > margin) & (corners < np.array(size) - 1 - margin)).all(axis=1)
    return bool(share > CORNERED and inside.sum() > 1)


def _is_square(outline: np.ndarray, sheet: np.ndarray) -> bool:
    """Whether a sheet has four corners, some of them perhaps outside the picture, and is no bar."""
    found: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
    for turn in TURNS:
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        along = outline @ axes.T
        first, last = along.min(axis=0), along.max(axis=0)
        area = float(np.prod(last - first + 1))
        if found is None or area < found[0]:
            found = area, axes, first, last
    assert found is not None  # noqa: S101 - there are turns
    _, axes, first, last = found
    sides = last - first
    if sides.min() < NARROW * sides.max():
        return False
    near = np.stack(np.meshgrid(CORNER, CORNER), axis=-1).reshape(-1, 2)
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x, y = np.rint((first + np.abs(near - corner) * sides) @ axes).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < sheet.shape[1]) & (y < sheet.shape[0])
        if sheet[y[inside], x[inside]].sum() + (~inside).sum() < SQUARE * len(near):
            return False
    return True


def _is_written_on(found: np.ndarray, filled: np.ndarray, light: np.ndarray) -> bool:
    """Whether a light mark is a sheet of any shape, all of it in the picture, because something is written on it."""
    top, bottom, left, right = extent(found)
    height, width = found.shape
    written = filled & ~light
    if top == 0 or left == 0 or bottom == height - 1 or right == width - 1 or not written.any():
        return False
    labels = components(written)
    stroke = labels == int(np.bincount(labels[written]).argmax())
    if (spread(stroke.astype(np.float32))[~filled] > 0).any():  # the bay of a broad 6
        return False
    first, last, start, end = extent(stroke)
    if max(last - first, end - start) < STROKE * max(bottom - top, right - left):
        return False
    around = Image.new("1", (width, height))
    ImageDraw.Draw(around).polygon([(float(x), float(y)) for x, y in hull(stroke)], fill=1, outline=1)
    return bool(stroke.sum() < OPEN * np.asarray(around).sum())


def _filled(mark: np.ndarray) -> np.ndarray:
    """A mark with what lies inside it: between its ends in the row as well as in the column."""

    def between(mark: np.ndarray) -> np.ndarray:
        before = np.logical_or.accumulate(mark, axis=1)
        after = np.logical_or.accumulate(mark[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(before & after)

    return np.asarray(between(mark) & between(mark.T).T)
