"""From a sheet of paper to ink: where the digit is, and how it looks in the network's own way of writing.

    find_sheet ──► find_paper ──► _look ──► _penned ──► _centre
    without        light and      the digit,  a pen as    20 × 20 box,
    the table      shadow         cut out     in MNIST    centre of mass

All of it works on a few hundred pixels, with Pillow's filters and NumPy. The sheet is found in `sheet.py`, the light in
`light.py`, the ink in `ink.py`, what belongs to the digit in `marks.py` and `boxes.py`.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from service.ink import FAINT, strokes
from service.light import Box, Paper, contrast_with, find_paper, reduced
from service.shapes import extent
from service.sheet import find_sheet

SHEET = 384  # pixels on the longer side while searching
CLOSE = 160  # pixels on the longer side of a digit that is looked at closely
LINES = 0.55  # like FAINT, for a digit that is small on its sheet: the squares around it are as large as its strokes
SPECK = 0.015  # of the sheet's longer side: nothing so small is written
FULL = 0.7  # of the rectangle around it that a board fills, at least, with what is written on it …
BOARD = 64  # … and pixels of its sides
LOOKS = 3  # at most, as long as it goes on beyond what was looked at
FINEST, BROADEST = 2.2, 4.4  # width of the pen in the network's pixels; MNIST's is 2.7, nine of ten 1.8 to 4.3


@dataclass(frozen=True, slots=True)
class Placed:
    """A digit where the network wants it; the fields mean what they mean in `pictures.Seen`."""

    pixels: np.ndarray
    inverted: bool = False
    box: Box | None = None
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    others: int = 0


def box_side(height: int, width: int) -> int:
    """Side of the box that a digit fills: 20 of 28 pixels, as MNIST was made."""
    return round(min(height, width) * 20 / 28)


def place(picture: Image.Image, shape: tuple[int, int, int], *, plain: bool = False) -> Placed:
    """Find the digit in a picture and put it where the network wants it.

    Args:
        picture: Mode L, any size; a page, a photograph, a drawing, dark on light or light on dark.
        shape: Height, width and channels of the network's input.
        plain: Whether the paper is surely of one grey.

    Returns:
        The digit in light ink on black; all black if nothing is written there.
    """
    sheet = None if plain else find_sheet(picture)
    found = _find(sheet.picture if sheet else picture, plain=plain)
    if found is None:
        return Placed(np.zeros(shape, np.uint8))
    if sheet:
        found = _moved(found, sheet.corner)
    elif not plain:
        found = _on_board(picture, found) or found
    return _centre(_penned(found, box_side(*shape[:2])), shape)


@dataclass(frozen=True, slots=True)
class Found:
    """The ink of one digit, cut out."""

    ink: Image.Image
    """Mode L, 0 is paper, 255 is ink."""
    box: Box
    """Where it was cut out, in pixels of the sheet."""
    inverted: bool
    others: int
    """Marks that could have been meant as well."""


def _find(sheet: Image.Image, *, plain: bool) -> Found | None:
    """The digit on a sheet; None if nothing is written on it."""
    paper = find_paper(reduced(sheet, (0, 0, *sheet.size), SHEET), plain=plain)
    found = _look(sheet, paper, (0, 0, *sheet.size), SHEET)
    if found is None and plain:  # a small picture may be a photograph as well, as a house's number is
        return _find(sheet, plain=False)
    if found is None or max(sheet.size) <= SHEET or max(found.ink.size) >= CLOSE:
        return found
    found = replace(_look_closely(sheet, paper, found), others=found.others)
    side = max(found.box[2] - found.box[0], found.box[3] - found.box[1])
    return found if side > SPECK * max(sheet.size) else None


def _on_board(picture: Image.Image, found: Found) -> Found | None:
    """What is written on that which was found, if it is no digit but a board: a dark canvas, a plate, a note."""
    full = np.asarray(found.ink) > 127
    if full.mean() < FULL or found.box[2] - found.box[0] < BOARD or found.box[3] - found.box[1] < BOARD:
        return None
    left, top, right, bottom = _around(found.box, picture.size, 0.1)
    part = picture.crop((left, top, right, bottom))
    board = find_sheet(ImageOps.invert(part) if found.inverted else part, sure=True)
    if board is None:
        return None
    written = _find(ImageOps.invert(board.picture) if found.inverted else board.picture, plain=False)
    if written is None:
        return None
    return _moved(written, (left + board.corner[0], top + board.corner[1]))


def _moved(found: Found, corner: tuple[float, float]) -> Found:
    """What was found on a part of a picture that begins there."""
    (x, y), (left, top, right, bottom) = corner, found.box
    return replace(found, box=(left + x, top + y, right + x, bottom + y))


def _look_closely(sheet: Image.Image, paper: Paper, found: Found) -> Found:
    """The digit again, in more pixels; what was only a part of it from afar is followed."""
    for _ in range(LOOKS):
        part = _around(found.box, sheet.size)
        closer = _look(sheet, paper, part, 2 * CLOSE, LINES)
        if closer is None:
            break
        found = closer
        ends = zip(found.box, part, (0, 0, *sheet.size), strict=True)
        if not any(abs(end - edge) < 1 and edge != last for end, edge, last in ends):
            break
    return found


def _around(box: Box, size: tuple[int, int], share: float = 0.5) -> tuple[int, int, int, int]:
    """The box with a share of its longer side more on every side, inside the sheet."""
    more = max(box[2] - box[0], box[3] - box[1]) * share
    return (
        max(0, int(box[0] - more)),
        max(0, int(box[1] - more)),
        min(size[0], int(box[2] + more) + 1),
        min(size[1], int(box[3] + more) + 1),
    )


def _look(sheet: Image.Image, paper: Paper, part: Box, side: int, faint: float = FAINT) -> Found | None:
    """Find the digit in a part of the sheet, worked at with at most `side` pixels on the longer side."""
    view = reduced(sheet, part, side)
    found = strokes(contrast_with(view, paper, part, sheet.size), faint)
    if found is None:
        return None
    top, bottom, left, right = extent(found.kept)
    cut = Image.fromarray((found.ink[top : bottom + 1, left : right + 1] * 255).astype(np.uint8))
    x, y = (part[2] - part[0]) / view.width, (part[3] - part[1]) / view.height
    box = part[0] + left * x, part[1] + top * y, part[0] + (right + 1) * x, part[1] + (bottom + 1) * y
    return Found(cut, box, paper.dark, found.others)


def _penned(found: Found, side: int) -> Found:
    """The digit as a pen writes that is neither finer nor broader than nearly all of MNIST's, for a box of `side`."""
    scale = side / max(found.ink.size)
    full = np.pad(np.asarray(found.ink) > 127, 1)
    inside = full[1:-1, 1:-1] & full[:-2, 1:-1] & full[2:, 1:-1] & full[1:-1, :-2] & full[1:-1, 2:]
    outline = int(full.sum() - inside.sum())
    if not outline:
        return found
    pen = 2 * float(full.sum()) / outline * scale
    steps = round((min(max(pen, FINEST), BROADEST) - pen) / 2 / scale)
    margin = max(0, steps)
    ink = ImageOps.expand(found.ink, margin)
    for _ in range(abs(steps)):
        ink = ink.filter(ImageFilter.MaxFilter(3) if steps > 0 else ImageFilter.MinFilter(3))
    inner = ink.point(lambda value: value > 64 and 255).getbbox()
    if not steps or inner is None:
        return found
    x, y = (found.box[2] - found.box[0]) / found.ink.width, (found.box[3] - found.box[1]) / found.ink.height
    left, top, right, bottom = (end - margin for end in inner)
    box = (
        found.box[0] + left * x,
        found.box[1] + top * y,
        found.box[0] + right * x,
        found.box[1] + bottom * y,
    )
    return replace(found, ink=ink.crop(inner), box=box)


def _centre(found: Found, shape: tuple[int, int, int]) -> Placed:
    """Scale into the box, move the centre of mass to the middle by whole pixels, as MNIST was made."""
    height, width, _ = shape
    scale = box_side(height, width) / max(found.ink.size)
    size = max(1, round(found.ink.width * scale)), max(1, round(found.ink.height * scale))
    small = np.asarray(found.ink.resize(size, Image.Resampling.BICUBIC), np.float32)
    level = (small * (255 / max(1.0, float(small.max())))).round().astype(np.uint8)
    mass = level.astype(np.float64)
    x, y = (float(np.average(np.arange(mass.shape[axis]), weights=mass.sum(axis=1 - axis))) for axis in (1, 0))
    # MNIST's middle is the middle of pixel 14, counted from 0. The whole digit stays on the page.
    left = min(max(0, round(width // 2 - x)), width - size[0])
    top = min(max(0, round(height // 2 - y)), height - size[1])
    pixels = np.zeros(shape, np.uint8)
    pixels[top : top + size[1], left : left + size[0], 0] = level
    per_pixel = scale * found.ink.width / (found.box[2] - found.box[0])
    return Placed(pixels, found.inverted, found.box, per_pixel, (float(left), float(top)), found.others)
