"""Pictures out of chance alone, drawn by our own code.

Signs, outlines, scribbles, shapes, spots, dashes, blots; noise, blank, waves.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from training import strokes
from training.datasets import Pixels

Random: TypeAlias = np.random.Generator
Floats: TypeAlias = NDArray[np.floating]

CANVAS = 84
"""Pixels a side while drawing; scaled down later, which gives smooth edges."""


def draw_doodles(kind: str, shape: tuple[int, int, int], count: int, random: Random) -> Pixels:
    """Pictures of one kind, in the middle and as bright as preparation makes them.

    Args:
        kind: One of `DRAWN` or `COMPUTED`.
        shape: Height, width, and 1.
        count: How many.
        random: Where the draws come from.

    Returns:
        uint8 (count, *shape).
    """
    if kind in DRAWN:
        return np.stack([place(DRAWN[kind](random), shape) for _ in range(count)])
    made = np.stack([COMPUTED[kind](shape[:2], random) for _ in range(count)])
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)[..., np.newaxis]


def place(sheet: Image.Image, shape: tuple[int, int, int]) -> Pixels:
    """As preparation does it."""
    sheet = ImageOps.autocontrast(sheet)
    return strokes.centred(sheet, shape) if sheet.getbbox() else np.zeros(shape, np.uint8)


def draw_signs(random: Random) -> Image.Image:
    """A few strokes that meet or cross, perhaps symmetric: something like writing."""
    paths: list[np.ndarray] = []
    for _ in range(random.choice([1, 2, 3, 4, 5], p=[0.12, 0.33, 0.3, 0.17, 0.08])):
        path = draw_stroke(random)
        if paths and random.random() < 0.75:
            other = paths[random.integers(len(paths))]
            path = path + pick_point(other, random) - pick_point(path, random)
        paths.append(path)
    if random.random() < 0.4:
        paths = mirror(paths, random)
    hand = strokes.draw_hand(random)
    wide = np.array([random.uniform(0.5, 1.1), 1])
    return draw_paths([strokes.bend(path * wide, hand) for path in paths], random)


def draw_outlines(random: Random) -> Image.Image:
    """One to three closed lines, in, beside or above each other, perhaps with strokes that begin on them."""
    paths = [draw_outline(random)]
    for _ in range(random.choice([0, 1, 2], p=[0.5, 0.3, 0.2])):
        other = draw_outline(random) * random.choice([0.3, 0.5, 0.8])
        way = random.integers(3)
        if way == 0:
            other = other + random.normal(0, 0.1, 2)
        elif way == 1:
            other = other + pick_point(paths[-1], random) - pick_point(other, random)
        else:
            other = other + np.array([0, paths[-1][:, 1].max() - other[:, 1].min()])
        paths.append(other)
    for _ in range(random.choice([0, 1, 2, 3], p=[0.5, 0.25, 0.15, 0.1])):
        stroke = draw_stroke(random) * random.choice([0.5, 1])
        paths.append(stroke + pick_point(paths[random.integers(len(paths))], random) - pick_point(stroke, random))
    if random.random() < 0.3:
        paths = mirror(paths, random)
    hand = strokes.draw_hand(random)
    return draw_paths([strokes.bend(path, hand) for path in paths], random)


def draw_outline(random: Random) -> np.ndarray:
    """A closed path (n, 2) around the origin, about 1 large: a polygon, a rectangle, a star, or round with dents."""
    stretch = random.uniform(0.6, 1.3, 2)
    way = random.choice(4, p=[0.4, 0.25, 0.15, 0.2])
    if way == 3:
        angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(4, 9)))
        points = around(angles, random.uniform(0.2, 0.6, len(angles)))
        return strokes.smooth(np.concatenate([points, points[:1]]), steps=6) * stretch
    if way == 2:
        count = 2 * random.integers(4, 8)
        far = np.where(np.arange(count) % 2, random.uniform(0.15, 0.35), 0.5)
        points = around(np.arange(count) * 2 * np.pi / count + random.choice([0, np.pi / 2]), far)
    elif way == 1:
        points = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) + random.normal(0, 0.05, (4, 2))
    else:
        count = random.choice([3, 4, 5, 6], p=[0.4, 0.3, 0.15, 0.15])
        start = random.choice([0, np.pi / 2, np.pi / count])
        points = around(start + np.arange(count) * 2 * np.pi / count, 0.5) + random.normal(0, 0.05, (count, 2))
    return densify(np.concatenate([points, points[:1]])) * stretch


def around(angles: Floats, far: Floats | float) -> np.ndarray:
    """Points (n, 2) in these directions, so far from the origin."""
    return np.asarray(np.stack([np.cos(angles) * far, np.sin(angles) * far], axis=1))


def draw_stroke(random: Random) -> np.ndarray:
    """A path (n, 2), about half or wholly as large as the sign: straight, with corners, closed, smooth, or round."""
    way = random.choice(5, p=[0.35, 0.1, 0.1, 0.2, 0.25])
    if way == 0:
        angle, length = random.integers(8) * np.pi / 8 + random.normal(0, 0.06), random.choice([0.5, 1])
        return densify(np.array([[0, 0], [np.cos(angle), np.sin(angle)]]) * length)
    if way == 4:
        start, span = random.integers(8) * np.pi / 4, random.choice([1, 1.5, 2]) * np.pi * random.choice([-1, 1])
        angles = start + np.linspace(0, span, 16)
        radius = random.choice([0.25, 0.5]) * random.uniform(0.8, 1.2, 2)
        return np.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius)
    grid = np.stack(np.divmod(random.permutation(9), 3), axis=1) / 2 + random.normal(0, 0.05, (9, 2))
    points = grid[: random.choice([3, 4, 5], p=[0.5, 0.35, 0.15])]
    if way == 3:
        return strokes.smooth(points, steps=6)
    return densify(points if way == 1 else np.concatenate([points, points[:1]]))


def pick_point(path: np.ndarray, random: Random) -> np.ndarray:
    """One of the ends, the middle, or any."""
    return np.asarray(path[(0, len(path) // 2, -1, random.integers(len(path)))[random.integers(4)]])


def densify(points: np.ndarray) -> np.ndarray:
    """The straight lines between points, six steps each."""
    t = np.linspace(0, 1, 6)[:, np.newaxis]
    return np.concatenate([start + t * (end - start) for start, end in pairwise(points)])


def mirror(paths: list[np.ndarray], random: Random) -> list[np.ndarray]:
    """The paths and what a mirror shows of them; it stands upright or lies, at or within their edge."""
    axis = int(random.random() < 0.3)
    ends = np.concatenate(paths)[:, axis]
    line = random.choice([ends.min(), ends.max(), np.median(ends)])
    flip, shift = np.ones(2), np.zeros(2)
    flip[axis], shift[axis] = -1, 2 * line
    return paths + [path * flip + shift for path in paths]


def draw_scribble(random: Random) -> Image.Image:
    """One long line without aim."""
    count = random.integers(6, 25)
    points = np.cumsum(random.normal(0, 1, (count, 2)), axis=0) if random.random() < 0.5 else random.random((count, 2))
    return draw_paths([strokes.smooth(points, steps=6)], random)


def draw_paths(paths: list[np.ndarray], random: Random) -> Image.Image:
    """Paths with one pen, scaled to fill the canvas."""
    points = np.concatenate(paths)
    low, size = points.min(axis=0), np.ptp(points, axis=0).max()
    pen = random.uniform(0.06, 0.24) * 0.7 * CANVAS
    sheet = Image.new("L", (CANVAS + 40, CANVAS + 40))
    draw = ImageDraw.Draw(sheet)
    for path in paths:
        line = [(20 + x, 20 + y) for x, y in (path - low) / max(size, 1e-6) * CANVAS * 0.7]
        draw.line(line, 255, round(pen), joint="curve")
        for x, y in (line[0], line[-1]):
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), 255)
    return sheet


def draw_shape(random: Random) -> Image.Image:
    """Filled or open polygons and ellipses, one or a few."""
    sheet = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(sheet)
    for _ in range(random.integers(1, 5)):
        fill, edge = int(random.integers(60, 256)), int(random.integers(0, 256))
        if random.random() < 0.3:
            fill, edge = 0, 255
        width = int(random.integers(3, 16))
        low, high = np.sort(random.uniform(0, CANVAS, (2, 2)), axis=0)
        high = low + np.maximum(high - low, 12)
        if random.random() < 0.4:
            draw.ellipse((*low, *high), fill, edge, width)
        else:
            count = random.integers(3, 9)
            angles = np.sort(random.uniform(0, 2 * np.pi, count))
            far = random.uniform(0.3, 1, (count, 1))
            points = (low + high) / 2 + np.stack([np.cos(angles), np.sin(angles)], axis=1) * far * (high - low) / 2
            draw.polygon([tuple(point) for point in points], fill, edge, width)
    if random.random() < 0.4:
        sheet = ImageChops.lighter(sheet, ImageOps.mirror(sheet))
    if random.random() < 0.4:
        sheet = ImageChops.multiply(sheet, Image.fromarray(stretch(draw_cloud(random))))
    return sheet


def stretch(values: Floats) -> NDArray[np.uint8]:
    """The least value becomes 0, the greatest 255."""
    return np.asarray((values - values.min()) / np.ptp(values) * 255, np.uint8)


def draw_dots(random: Random) -> Image.Image:
    """A few spots and dashes."""
    sheet = Image.new("L", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(sheet)
    for x, y in random.uniform(10, CANVAS - 10, (random.choice([1, 2, 3, 5, 8, 20]), 2)):
        wide, tall = random.uniform(1, 10, 2)
        draw.ellipse((x - wide, y - tall, x + wide, y + tall), int(random.integers(80, 256)))
    return sheet.filter(ImageFilter.GaussianBlur(random.uniform(0, 3)))


def draw_dash(random: Random) -> Image.Image:
    """One stroke that lies, straight or bent."""
    paths = [np.array([[0, 0], [0.5, random.uniform(-0.25, 0.25)], [1, random.uniform(-0.5, 0.5)]])]
    return draw_paths([strokes.smooth(path) for path in paths], random)


def draw_blot(random: Random) -> Image.Image:
    """What is left of a photograph: a part of a cloud, cut hard or soft, in a patch of some shape."""
    cloud = draw_cloud(random)
    level, soft = np.quantile(cloud, random.uniform(0.1, 0.85)), random.uniform(0.02, 0.6) * np.ptp(cloud)
    ink = np.clip((cloud - level) / soft, 0, 1) * 255
    sheet = Image.fromarray(ink.astype(np.uint8))
    if random.random() < 0.6:
        mask = draw_shape(random).point(lambda value: value and 255)
        sheet = Image.composite(sheet, Image.new("L", sheet.size), mask)
    return sheet


def draw_cloud(random: Random) -> Floats:
    """Noise of all sizes, more or less of the fine ones, perhaps drawn out in one direction."""
    total = np.zeros((CANVAS, CANVAS), np.float32)
    fade = random.uniform(0.3, 1.1)
    tall, wide = random.choice([1, 1, 3], 2)
    for octave in range(1, 6):
        cells = random.standard_normal((max(2, 2**octave // tall), max(2, 2**octave // wide)), np.float32)
        total += fade**octave * np.asarray(Image.fromarray(cells).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))
    return total


def compute_noise(size: tuple[int, int], random: Random) -> Floats:
    way = random.integers(4)
    if way == 0:
        return random.uniform(0, random.uniform(30, 256), size)
    if way == 1:
        return random.normal(random.uniform(0, 255), random.uniform(5, 90), size)
    if way == 2:
        return 255.0 * (random.random(size) < random.uniform(0.01, 0.7))
    coarse = random.uniform(0, 255, tuple(int(side) // int(random.integers(2, 8)) for side in size))
    return np.asarray(Image.fromarray(coarse.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC), float)


def compute_blank(size: tuple[int, int], random: Random) -> Floats:
    """One grey, mostly black, with a little grain or a slope."""
    down, across = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    level = random.choice([0, 0, 255, random.uniform(0, 255)])
    slope = random.choice([0, 0, 1]) * random.uniform(-80, 80, 2)
    return np.asarray(level + slope[0] * down + slope[1] * across + random.choice([0, 1]) * random.normal(0, 6, size))


def compute_waves(size: tuple[int, int], random: Random) -> Floats:
    """Stripes, checks and rings."""
    down, across = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    angle, pace, phase = random.uniform(0, np.pi), random.uniform(2, 30), random.uniform(0, 6.3)
    first = np.sin(pace * (down * np.sin(angle) + across * np.cos(angle)) + phase)
    second = np.sin(random.uniform(2, 30) * (across * np.sin(angle) - down * np.cos(angle)))
    rings = np.sin(pace * np.hypot(down - random.uniform(-1, 1), across - random.uniform(-1, 1)) + phase)
    wave = (first, first * second, rings)[random.integers(3)]
    return np.asarray(127 + random.uniform(60, 600) * wave)


DRAWN: dict[str, Callable[[Random], Image.Image]] = {
    "signs": draw_signs,
    "outlines": draw_outlines,
    "scribbles": draw_scribble,
    "shapes": draw_shape,
    "dots": draw_dots,
    "dashes": draw_dash,
    "blots": draw_blot,
}
COMPUTED: dict[str, Callable[[tuple[int, int], Random], Floats]] = {
    "noise": compute_noise,
    "blank": compute_blank,
    "waves": compute_waves,
}
