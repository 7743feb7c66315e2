"""What the sheet would be with nothing written on it, under any light and shadow."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from service import ink
from service.boxes import find_box
from service.shapes import extent

NEAR = 6  # grey values within which paper counts as of one grey
AROUND = 0.75  # of the sheet's edge is paper, at least, where it surely is of one grey: shadows reach in from there
CELLS = 96  # on the longer side, of which the light is made
REACHES = (0.035, 0.07, 0.14, 0.28)  # broadest pens that the light is estimated for, as shares of the longer side
DOUBT = 4  # how much more one colour may stand out than the other while both are tried as ink
GUESS = 1.3  # what the likelier colour is preferred by
COVERED = 0.75  # of a picture, at most, lies a digit on that touches no edge
EMPTY = 0.2  # what finding nothing but a box is worth
ACROSS = 0.5  # what reaches from edge to edge is worth: it may be light and shadow from a window
SEARCH = 256  # pixels on the longer side while the estimates are compared
FRAME = 0.08  # width of what lies around the ink, as a share of the longer side …
STANDS_OUT = 0.5  # … and by how much the ink differs from it, at least, as a share of how it differs from its paper

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Paper:
    """What the sheet would be with nothing written on it."""

    light: Image.Image
    """Mode F, one cell for many pixels, 0 to 255."""
    dark: bool
    """Whether the ink is darker than the paper."""


def reduced(sheet: Image.Image, part: Box, side: int) -> Image.Image:
    """A part of the sheet with at most `side` pixels on the longer side."""
    width, height = part[2] - part[0], part[3] - part[1]
    times = max(1.0, max(width, height) / side)
    size = max(1, round(width / times)), max(1, round(height / times))
    return sheet.resize(size, Image.Resampling.BOX, box=part, reducing_gap=2.0)


def otsu(view: Image.Image) -> int:
    """The grey up to which a pixel belongs to the darker of two classes, which lie as far apart as they can.

    Source: N. Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    counts, greys = np.array(view.histogram(), np.float64), np.arange(256)
    share, moment = np.cumsum(counts) / counts.sum(), np.cumsum(counts * greys) / counts.sum()
    between = (moment[-1] * share - moment) ** 2 / np.maximum(share * (1 - share), 1e-9)
    return int(between.argmax())


def find_paper(view: Image.Image, *, plain: bool) -> Paper:
    """Tell the paper from what is written on it.

    Paper of one grey is simply that. Otherwise the light is estimated in several ways, each of which suits another pen
    and another shadow, and the one counts by which the ink has the sharpest outline: where a shadow, or only a part
    of a broad pen, is taken for ink, some of the outline is blurred.

    Args:
        view: The sheet, mode L, with at most SHEET pixels on the longer side.
        plain: Whether the paper is surely of one grey.
    """
    even, certain = _plain(view)
    if plain or certain:
        return even
    papers, ratio = _shadowed(view)
    ratio *= GUESS if even.dark else 1 / GUESS
    whole = (0, 0, *view.size)
    small = reduced(view, whole, SEARCH)
    grey = np.asarray(small, np.float32)
    edges = ink.edges(ink.smooth(np.log(np.maximum(grey, 16))))

    def merit(paper: Paper) -> float:
        likely = paper.dark == (ratio > 1)
        contrast = contrast_with(small, paper, whole, view.size)
        found = ink.strokes(contrast)
        if found is None or not _stands_out(grey, contrast, found.kept, paper.dark):
            return 0.0
        empty = find_box(found.kept) is not None  # then what was written in the box passed for a shadow
        across = any(rows[0].any() and rows[-1].any() for rows in (found.kept, found.kept.T))
        sharp = _sharpness(contrast, edges, found.drawn) * (GUESS if likely else 1)
        return sharp * (EMPTY if empty else 1) * (ACROSS if across else 1)

    doubtful = [paper for paper in (even, *papers) if paper.dark != (ratio > 1) and not 1 / DOUBT < ratio < DOUBT]
    hopeful = [paper for paper in (even, *papers) if not any(paper is each for each in doubtful)]
    for tried in (hopeful, doubtful):
        merits = [merit(paper) for paper in tried]
        if any(merits):
            return tried[int(np.argmax(merits))]
    return even


def _plain(view: Image.Image) -> tuple[Paper, bool]:
    """Paper of one grey, lit evenly: a drawing, a scan, a tight crop; and whether it surely is that.

    Two classes of grey by Otsu's threshold. The paper is the one that has more of the edge and of the area together: a
    digit may touch the edges and cover half of a tight crop.
    """
    counts, greys = np.array(view.histogram(), np.float64), np.arange(256)
    threshold = otsu(view)
    grey = np.asarray(view)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    light, rim = float((grey > threshold).mean()), float((edge > threshold).mean())
    dark = rim + light >= 1
    if min(rim, 1 - rim) < 0.02 and abs(rim - light) > COVERED:  # no ink covers so much: that is a frame
        dark = light > 0.5
    paper = counts * ((greys > threshold) == dark)
    level = int(np.searchsorted(np.cumsum(paper), paper.sum() / 2))
    written = counts - paper
    apart = abs(written @ greys / max(1.0, written.sum()) - level)
    reach = int(min(NEAR, 0.08 * apart))
    near = paper[max(0, level - reach) : level + reach + 1].sum() > 0.9 * paper.sum()
    around = ((edge > threshold) == dark).mean() > AROUND
    # A drawing has one and the same grey all over, whatever lies between that and the ink.
    certain = around and (near or counts[level] > 0.35 * counts.sum())
    return Paper(Image.new("F", (1, 1), level), dark), bool(certain)


def _shadowed(view: Image.Image) -> tuple[list[Paper], float]:
    """The light if what is narrower than a pen is ink, for each of REACHES: shadows are broader and keep their edges.

    Returns:
        For dark ink, then for light ink; and how much more the dark stands out than the light: the ink is rarer than
        the paper, and so stands out further.
    """
    cells = np.asarray(view.resize(_cells(view, CELLS), Image.Resampling.BOX))
    reaches = [max(2, round(reach * CELLS)) for reach in REACHES]
    closed = [255 - _opened(255 - cells, reach).astype(np.float32) for reach in reaches]
    opened = [_opened(cells, reach).astype(np.float32) for reach in reaches]
    # The finest pen has no say in this, it sees the grain; nor has the broadest, it sees shadows. The high power lets a
    # few strokes outweigh the many squares that lines leave between them.
    below = sum(float(((light - cells) ** 5).sum()) for light in closed[1:3])
    above = sum(float(((cells - light) ** 5).sum()) for light in opened[1:3])
    papers = [
        Paper(Image.fromarray(light), dark) for dark, lights in ((True, closed), (False, opened)) for light in lights
    ]
    return papers, below / max(above, 1.0)


def contrast_with(view: Image.Image, paper: Paper, part: Box, size: tuple[int, int]) -> np.ndarray:
    """How far each pixel of a view stands out from the paper towards the ink: float32, 1 is the most there can be.

    Args:
        view: A part of the sheet, enlarged or reduced.
        paper: Of the whole sheet.
        part: Which part, in pixels of the sheet.
        size: Width and height of the sheet.
    """
    x, y = paper.light.width / size[0], paper.light.height / size[1]
    box = (part[0] * x, part[1] * y, part[2] * x, part[3] * y)
    light = np.asarray(paper.light.resize(view.size, Image.Resampling.BILINEAR, box=box))
    grey = np.asarray(view, np.float32)
    # Under a shadow, ink and paper lose the same share of their light.
    return np.asarray((light - grey) / np.maximum(light, 16) if paper.dark else (grey - light) / 255)


def _stands_out(grey: np.ndarray, contrast: np.ndarray, kept: np.ndarray, dark: bool) -> bool:
    """Whether ink is darker, or lighter, than what lies around all of it. The inside of a thin 0 is not: where that was
    taken for ink, the paper was the 0 itself.
    """
    top, bottom, left, right = extent(kept)
    reach = round(FRAME * max(kept.shape))
    frame = np.zeros_like(kept)
    frame[max(0, top - reach) : bottom + 1 + reach, max(0, left - reach) : right + 1 + reach] = True
    frame[top : bottom + 1, left : right + 1] = False
    if not frame.any():
        return True
    paper, written = float(np.median(grey[frame])), float(np.median(grey[kept]))
    apart = (paper - written) / max(paper, 16) if dark else (written - paper) / 255
    return apart > STANDS_OUT * float(np.median(contrast[kept]))


def _sharpness(contrast: np.ndarray, edges: np.ndarray, kept: np.ndarray) -> float:
    """How sharp the outline of the digit is; of two that are alike, the longer one counts more."""
    wide = np.pad(kept, 1)
    outline = kept & ~(wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:])
    steps = np.sqrt(np.minimum(ink.edges(ink.smooth(contrast)), edges)[outline])
    return float(steps.mean() * (len(steps) / max(contrast.shape)) ** 0.25)


def _opened(cells: np.ndarray, reach: int) -> np.ndarray:
    """Without what is lighter than its surroundings and narrower than `reach`: morphological opening by a square."""
    lowest = _least(_least(np.pad(cells, reach - 1, mode="edge"), reach).T, reach).T
    return 255 - _least(_least(255 - lowest, reach).T, reach).T


def _least(cells: np.ndarray, reach: int) -> np.ndarray:
    """The least of each `reach` neighbours down a column; `reach` - 1 rows fewer than given."""
    done = 1
    while done < reach:
        step = min(done, reach - done)
        cells = np.minimum(cells[:-step], cells[step:])
        done += step
    return cells


def _cells(view: Image.Image, count: int) -> tuple[int, int]:
    """Width and height of a grid with `count` cells along the longer side."""
    longer = max(view.size)
    return max(1, round(view.width * count / longer)), max(1, round(view.height * count / longer))
