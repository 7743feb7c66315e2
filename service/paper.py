"""From a sheet of paper to ink: where the digit is, and how it looks in the network's own way of writing.

    _paper ──► _look ──► _penned ──► _centre
    light and   the digit,   a pen as    20 × 20 box,
    shadow      cut out      in MNIST    centre of mass

All of it works on a few hundred pixels, with Pillow's filters and NumPy.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from service.marks import main_mark, without_lines

SHEET = 384  # pixels on the longer side while searching
FLAT = 6  # grey values within which paper counts as of one grey
CLOSE = 160  # pixels on the longer side of a digit that is looked at closely
FINEST, BROADEST = 2.2, 4.4  # width of the pen in the network's pixels; MNIST's is 2.7, nine of ten 1.8 to 4.3

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Placed:
    """A digit where the network wants it; the fields mean what they mean in `pictures.Seen`."""

    pixels: np.ndarray
    inverted: bool = False
    box: Box | None = None
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


def box_side(height: int, width: int) -> int:
    """Side of the box that a digit fills: 20 of 28 pixels, as MNIST was made."""
    return round(min(height, width) * 20 / 28)


def place(sheet: Image.Image, shape: tuple[int, int, int]) -> Placed:
    """Find the digit on a sheet and put it where the network wants it.

    Args:
        sheet: Mode L, any size; a page, a photograph, a drawing, dark on light or light on dark.
        shape: Height, width and channels of the network's input.

    Returns:
        The digit in light ink on black; all black if nothing is written on the sheet.
    """
    paper = _paper(_reduced(sheet, (0, 0, *sheet.size), SHEET))
    found = _look(sheet, paper, (0, 0, *sheet.size), SHEET)
    if found is None:
        return Placed(np.zeros(shape, np.uint8))
    if max(found.ink.size) < CLOSE and max(sheet.size) > SHEET:
        found = _look(sheet, paper, _around(found.box, sheet.size), 2 * CLOSE) or found
    return _centre(_penned(found, box_side(*shape[:2])), shape)


@dataclass(frozen=True, slots=True)
class Paper:
    """What the sheet would be with nothing written on it."""

    light: Image.Image
    """Mode F, one cell for many pixels, 0 to 255."""
    dark: bool
    """Whether the ink is darker than the paper."""


@dataclass(frozen=True, slots=True)
class Found:
    """The ink of one digit, cut out."""

    ink: Image.Image
    """Mode L, 0 is paper, 255 is ink."""
    box: Box
    """Where it was cut out, in pixels of the sheet."""
    inverted: bool


def _around(box: Box, size: tuple[int, int]) -> Box:
    """The box with half of its longer side more on every side, inside the sheet."""
    more = max(box[2] - box[0], box[3] - box[1]) / 2
    return (
        max(0, int(box[0] - more)),
        max(0, int(box[1] - more)),
        min(size[0], int(box[2] + more) + 1),
        min(size[1], int(box[3] + more) + 1),
    )


def _reduced(sheet: Image.Image, part: Box, side: int) -> Image.Image:
    """A part of the sheet with at most `side` pixels on the longer side."""
    width, height = part[2] - part[0], part[3] - part[1]
    times = max(1.0, max(width, height) / side)
    size = max(1, round(width / times)), max(1, round(height / times))
    return sheet.resize(size, Image.Resampling.BOX, box=part, reducing_gap=2.0)


def _look(sheet: Image.Image, paper: Paper, part: Box, side: int) -> Found | None:
    """Find the digit in a part of the sheet, worked at with at most `side` pixels on the longer side."""
    view = _reduced(sheet, part, side)
    strokes = _strokes(_contrast(view, paper, part, sheet.size))
    if strokes is None:
        return None
    ink, kept = strokes
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    cut = Image.fromarray((ink[top:bottom, left:right] * 255).astype(np.uint8))
    x, y = (part[2] - part[0]) / view.width, (part[3] - part[1]) / view.height
    return Found(cut, (part[0] + left * x, part[1] + top * y, part[0] + right * x, part[1] + bottom * y), paper.dark)


def _contrast(view: Image.Image, paper: Paper, part: Box, size: tuple[int, int]) -> np.ndarray:
    """How far each pixel of a view stands out from the paper towards the ink: float32, 1 is the most there can be."""
    x, y = paper.light.width / size[0], paper.light.height / size[1]
    box = (part[0] * x, part[1] * y, part[2] * x, part[3] * y)
    light = np.asarray(paper.light.resize(view.size, Image.Resampling.BILINEAR, box=box))
    grey = np.asarray(view, np.float32)
    # Under a shadow, ink and paper lose the same share of their light.
    return np.asarray((light - grey) / np.maximum(light, 16) if paper.dark else (grey - light) / 255)


def _paper(view: Image.Image) -> Paper:
    """Tell the paper from what is written on it.

    Paper of one single grey is simply that. Otherwise the light is estimated twice: first by a median, which ink
    hardly moves; then, where no ink was seen, by the picture itself, and under the ink by what lies around.
    So shadows with edges go as well, and broad pens stay.
    """
    grey = np.asarray(view)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    level = float(np.median(edge))
    if (np.abs(edge - level) <= FLAT).mean() > 0.7 and (np.abs(grey - level) <= FLAT).mean() > 0.35:
        light = Image.new("F", (1, 1), level)
        return Paper(light, _darker(grey - np.float32(level)))
    size, few = _cells(view, 48), _cells(view, 32)
    median = _median(np.asarray(view.resize(few, Image.Resampling.BOX), np.float32))
    difference = (grey - np.asarray(median.resize(view.size, Image.Resampling.BICUBIC))) / 255
    dark = _darker(difference)
    mask = _mask(-difference if dark else difference)
    written = Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BOX).point(lambda part: 255 * (part > 8))
    clean = np.asarray(written.filter(ImageFilter.MaxFilter(3))) == 0
    return Paper(_fill(np.asarray(view.resize(size, Image.Resampling.BOX), np.float32), clean), dark)


def _median(cells: np.ndarray) -> Image.Image:
    """The light by a wide median, after its slopes were taken away, which would mislead it at the edges: mode F."""
    y, x = (axis / max(1, n - 1) - 0.5 for axis, n in zip(np.indices(cells.shape), cells.shape, strict=True))
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).reshape(-1, 6)
    weights = np.ones((cells.size, 1))
    for _ in range(4):  # least squares that trust what lies far off less and less: ink and hard shadows
        factors = np.linalg.lstsq(terms * weights, cells.reshape(-1, 1) * weights)[0]
        slopes = (terms @ factors).reshape(cells.shape)
        off = np.abs(cells - slopes).reshape(-1, 1)
        weights = 1 / (1 + off / (1 + np.median(off)))
    rest = Image.fromarray((cells - slopes + 128).clip(0, 255).astype(np.uint8)).filter(ImageFilter.MedianFilter(15))
    return Image.fromarray((np.asarray(rest, np.float32) - 128 + slopes).astype(np.float32))


def _cells(view: Image.Image, count: int) -> tuple[int, int]:
    """Width and height of a grid with `count` cells along the longer side."""
    longer = max(view.size)
    return max(1, round(view.width * count / longer)), max(1, round(view.height * count / longer))


def _darker(difference: np.ndarray) -> bool:
    """Whether the ink is darker than the paper: it is rarer, and so stands out further."""
    return bool((difference * difference * difference).sum() < 0)


def _fill(coarse: np.ndarray, clean: np.ndarray) -> Image.Image:
    """The clean cells as they are, the others by the clean ones around them."""
    total, weight = coarse * clean, clean.astype(np.float32)
    filled, known = total.copy(), clean.copy()
    for _ in range(max(coarse.shape)):
        if known.all() or not known.any():
            break
        total, weight = _spread(total), _spread(weight)
        new = ~known & (weight > 0)
        filled[new] = total[new] / weight[new]
        known |= new
        total, weight = filled * known, known.astype(np.float32)
    return Image.fromarray(filled if known.any() else coarse)


def _spread(cells: np.ndarray) -> np.ndarray:
    """Sum over each cell and its eight neighbours."""
    wide = np.pad(cells, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _levels(contrast: np.ndarray) -> tuple[float, float]:
    """How strong the paper's grain is, and the ink; the ink is 0 on an empty sheet.

    The grain is taken from the quarter that differs least, so that ink may cover half of the sheet: 3.14 times that is
    the standard deviation of a normal distribution.
    """
    noise = max(0.004, 3.14 * float(np.quantile(np.abs(contrast[::2, ::2]), 0.25)))
    clear = contrast[contrast > max(5 * noise, 0.03)]
    return noise, float(np.quantile(clear, 0.95)) if clear.size >= 6 else 0.0


def _mask(contrast: np.ndarray) -> np.ndarray:
    """What stands out: bool, of the same size."""
    calm = _spread(contrast) / 9
    noise, ink = _levels(calm)
    return calm > max(3.5 * noise, 0.35 * ink) if ink else np.zeros(calm.shape, bool)


def _edges(contrast: np.ndarray) -> np.ndarray:
    """How sharp an edge each pixel lies on: ink has sharp ones, what is left of a shadow has not."""
    calm = np.pad(_spread(contrast) / 9, 1, mode="edge")
    down, across = calm[2:, 1:-1] - calm[:-2, 1:-1], calm[1:-1, 2:] - calm[1:-1, :-2]
    return np.asarray(down * down + across * across)


def _strokes(contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The ink of the digit, float32 0 to 1, and where it surely is, bool; None on an empty sheet."""
    mask = without_lines(_mask(contrast), contrast)
    if not mask.any():
        return None
    mask &= contrast > 0.35 * float(np.quantile(contrast[mask], 0.95))
    kept = main_mark(mask, _edges(contrast))
    noise = _levels(contrast)[0]
    peak = float(np.quantile(contrast[kept], 0.9))
    low = min(2.5 * noise, 0.3 * peak)
    ink = ((contrast - low) / (0.85 * peak - low)).clip(0, 1)
    near = _spread(_spread(kept.astype(np.float32))) > 0
    return ink * near, kept


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
    return Found(ink.crop(inner), box, found.inverted)


def _centre(found: Found, shape: tuple[int, int, int]) -> Placed:
    """Scale into the box, put the centre of mass into the middle, as MNIST was made."""
    height, width, _ = shape
    scale = box_side(height, width) / max(found.ink.size)
    mass = np.asarray(found.ink, np.float32)
    x, y = (
        float(np.average(np.arange(mass.shape[axis]) + 0.5, weights=mass.sum(axis=1 - axis))) * scale for axis in (1, 0)
    )
    # MNIST's middle is the middle of pixel 14, counted from 0. The whole digit stays on the page.
    left = min(max(0.0, width // 2 + 0.5 - x), width - found.ink.width * scale)
    top = min(max(0.0, height // 2 + 0.5 - y), height - found.ink.height * scale)
    margin = int(max(left, top, width, height) / scale) + 1
    page = ImageOps.expand(found.ink, margin)
    corner = margin - left / scale, margin - top / scale
    box = (*corner, corner[0] + width / scale, corner[1] + height / scale)
    small = page.resize((width, height), Image.Resampling.BICUBIC, box=box)
    level = np.asarray(small, np.float32)
    pixels = (level * (255 / max(1.0, float(level.max())))).round().astype(np.uint8).reshape(shape)
    per_pixel = scale * found.ink.width / (found.box[2] - found.box[0])
    return Placed(pixels, found.inverted, found.box, per_pixel, (left, top))
