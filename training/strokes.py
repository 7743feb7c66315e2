"""Digits drawn from pen strokes by our own code, so that nothing of MNIST has to lie in the repository.

`golden` gives the pictures that every version carries with its answers; `draw` gives pictures as people have them,
for examples and tests; `python -m training.strokes FOLDER` writes the example pictures.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = int | tuple[int, ...]

# Each digit: the ways to write it. A way: its strokes, between bars. A stroke: the points "x,y" that a smooth curve
# runs through, in hundredths of the digit's height, x to the right, y down. Where a pen turns sharply, a stroke ends
# and the next one starts.
DIGITS = (
    (  # 0
        "36,0 10,20 4,55 16,90 38,100 60,84 70,48 60,12 36,0",
        "50,5 30,0 8,25 5,70 25,98 52,90 66,55 58,15 30,4",
    ),
    (  # 1
        "35,0 34,50 33,100",
        "16,24 30,14 42,0 | 42,0 41,50 40,100",
        "50,0 37,50 26,100",
    ),
    (  # 2
        "8,24 20,4 46,2 60,22 50,50 28,76 4,98 | 4,98 35,95 68,97",
        "10,20 30,0 56,14 50,50 28,84 10,96 6,84 20,80 42,94 70,90",
    ),
    (  # 3
        "8,12 30,0 56,12 52,36 26,46 | 26,46 56,54 62,78 40,98 6,92",
        "8,3 32,2 60,2 | 60,2 44,20 28,40 | 28,40 54,46 64,70 46,96 8,94",
    ),
    (  # 4
        "14,2 8,30 6,54 | 6,54 35,53 70,50 | 54,4 50,50 48,100",
        "46,0 26,32 2,64 | 2,64 38,64 74,64 | 46,0 47,50 47,100",
    ),
    (  # 5
        "16,2 14,22 10,44 | 10,44 36,38 60,54 58,84 34,100 6,90 | 16,2 38,3 64,0",
        "62,2 36,3 20,8 16,28 26,44 50,58 54,84 32,100 6,88",
    ),
    (  # 6
        "50,0 26,20 8,54 10,84 32,100 56,86 54,62 34,54 12,74",
        "30,0 14,36 6,74 22,98 50,96 62,74 46,58 22,66 10,82",
    ),
    (  # 7
        "4,4 34,3 66,2 | 66,2 42,48 24,100",
        "6,12 8,3 36,4 64,3 | 64,3 46,44 34,100 | 20,50 40,48 62,46",
    ),
    (  # 8
        "58,12 34,0 12,16 22,40 50,60 60,84 34,100 10,84 22,58 50,34 58,12",
        "34,0 14,22 34,46 56,22 34,0 | 34,46 8,72 34,100 60,72 34,46",
    ),
    (  # 9
        "58,14 34,0 10,20 16,44 42,44 58,14 | 58,14 55,55 50,100",
        "56,16 32,2 10,22 20,44 46,40 58,18 58,60 42,92 12,94",
    ),
)

SHARPER = 4  # drawn this many times larger, then averaged down: smooth edges


def draw(
    digit: int,
    *,
    size: tuple[int, int] = (280, 280),
    height: float = 0.6,
    centre: Point = (0.5, 0.5),
    pen: float = 0.1,
    ink: Colour = 24,
    paper: Colour | None = 255,
    seed: int = 0,
) -> Image.Image:
    """Draw one digit as a hand would: the same seed writes it the same way, another seed another way.

    Args:
        digit: 0 to 9.
        size: Width and height of the sheet in pixels.
        height: Height of the digit as a share of the sheet's shorter side.
        centre: Where the middle of the digit lies, as shares of width and height.
        pen: Width of the pen as a share of the digit's height; MNIST's is about 0.1.
        ink: Grey value or red, green, blue, each 0 to 255.
        paper: Likewise; None is transparent.
        seed: Of the hand.

    Returns:
        A picture in mode L if ink and paper are grey, RGB if either is coloured, RGBA if the paper is transparent.
    """
    side = height * min(size)
    rng = np.random.default_rng((seed, digit))
    ways = DIGITS[digit]
    paths = [side * path for path in write(ways[rng.integers(len(ways))], rng)]
    points = np.concatenate(paths)
    shift = np.array(centre) * size - (points.min(axis=0) + points.max(axis=0)) / 2
    mask = lay_ink([path + shift for path in paths], size, width=max(1.0, pen * side))

    grey = isinstance(ink, int) and isinstance(paper, int)
    mode = "L" if grey else "RGB"
    colour = ink if grey else _rgb(ink)
    if paper is None:
        sheet = Image.new(mode, size, colour)
        sheet.putalpha(mask)
        return sheet
    sheet = Image.new(mode, size, paper if grey else _rgb(paper))
    sheet.paste(colour, (0, 0), mask)
    return sheet


def golden(shape: tuple[int, int, int]) -> np.ndarray:
    """The ten digits as a network of input `shape` sees them, always the same.

    Args:
        shape: Height, width and channels (1 or 3) of one picture.

    Returns:
        uint8 array (10, height, width, channels), light ink on black: each digit fills a box of 20/28 of the
        shorter side, its centre of mass in the middle of the picture, as in MNIST.

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """
    return np.stack([centred(draw(digit, pen=0.13, ink=255, paper=0, seed=7), shape) for digit in range(10)])


def centred(sheet: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """Crop to the ink, fit into the box, put the centre of mass into the middle."""
    height, width, channels = shape
    sheet = sheet.crop(sheet.getbbox())
    scale = min(height, width) * 20 / 28 / max(sheet.size)
    sheet = sheet.resize(
        (max(1, round(sheet.width * scale)), max(1, round(sheet.height * scale))), Image.Resampling.BOX
    )
    mass = np.asarray(sheet, np.float64)
    x, y = (np.average(np.arange(mass.shape[axis]), weights=mass.sum(axis=1 - axis)) for axis in (1, 0))
    page = Image.new("L", (width, height))
    page.paste(sheet, (round(width // 2 - x), round(height // 2 - y)))
    return np.repeat(np.asarray(page)[:, :, None], channels, axis=2)


def write(way: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Paths (n, 2) of the strokes of `way`, as some hand writes them; the whole is about 1 high."""
    hand = draw_hand(rng)
    strokes = [
        np.array([[float(number) / 100 for number in point.split(",")] for point in stroke.split()])
        for stroke in way.split("|")
    ]
    return [bend(smooth(points), hand) for points in strokes]


def smooth(given: np.ndarray, steps: int = 12) -> np.ndarray:
    """Points (n, 2) on the Catmull-Rom curve through the points (m, 2) of a stroke."""
    points = np.concatenate([given[:1], given, given[-1:]])
    before, start, end, after = (points[i : len(points) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps)[:, None]
    curve = start + t / 2 * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return np.asarray(curve.reshape(-1, 2))


def draw_hand(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hand: slant, turn and width as a matrix (2, 2); directions and phases of a gentle wave that bends the plane."""
    slant, turn, width = rng.normal(0, 0.12), rng.normal(0, 0.06), rng.uniform(0.8, 1.15)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ [[width, 0], [slant, 1]]
    return matrix, rng.normal(0, 4, (2, 2)), rng.uniform(0, 2 * np.pi, 2)


def bend(points: np.ndarray, hand: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Bend the whole plane, so that strokes which meet still meet."""
    matrix, waves, phases = hand
    return np.asarray((points + 0.025 * np.sin(points @ waves + phases)) @ matrix)


def lay_ink(paths: list[np.ndarray], size: tuple[int, int], *, width: float) -> Image.Image:
    """How much of each pixel a round pen of `width` pixels covers, as mode L."""
    low = np.floor(np.min([path.min(axis=0) for path in paths], axis=0) - width).astype(int)
    high = np.ceil(np.max([path.max(axis=0) for path in paths], axis=0) + width).astype(int)
    part = Image.new("L", tuple((high - low) * SHARPER))
    pen = ImageDraw.Draw(part)
    radius = width * SHARPER / 2
    for path in paths:
        points = [(float(x), float(y)) for x, y in (path - low) * SHARPER]
        pen.line(points, fill=255, width=round(2 * radius))
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    mask = Image.new("L", size)
    mask.paste(part.reduce(SHARPER), (int(low[0]), int(low[1])))
    return mask


def _rgb(colour: Colour | None) -> tuple[int, ...]:
    """A grey value as red, green, blue."""
    if colour is None:
        return (0, 0, 0)
    return (colour,) * 3 if isinstance(colour, int) else colour


def photograph(sheet: Image.Image, *, shadow: float = 0.5, noise: float = 4.0, seed: int = 0) -> Image.Image:
    """The sheet under uneven light, as a camera sees it.

    Args:
        sheet: A picture in mode L or RGB.
        shadow: Share of the light that is missing in the darkest corner, 0 to 1.
        noise: Standard deviation of the camera's noise, in grey values.
        seed: Of the light's direction and the noise.
    """
    rng = np.random.default_rng(seed)
    pixels = np.asarray(sheet.convert("RGB"), np.float64)
    height, width, _ = pixels.shape
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - shadow / (1 + np.exp(-3 * (across * np.cos(angle) + down * np.sin(angle))))
    lit = pixels * light[:, :, None] + rng.normal(0, noise, (height, width, 1))
    return Image.fromarray(lit.clip(0, 255).astype(np.uint8))


def write_examples(folder: Path) -> None:
    """The pictures that README and tests send."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(7, seed=3).save(folder / "seven.png", optimize=True)
    paper = draw(4, size=(480, 360), height=0.5, centre=(0.42, 0.55), ink=(38, 52, 120), paper=(236, 230, 214), seed=2)
    photograph(paper, seed=1).save(folder / "photo.jpg", quality=80)
    draw(2, ink=(20, 20, 20), paper=None, seed=5).save(folder / "transparent.png", optimize=True)
    draw(5, height=0.75, pen=0.08, ink=255, paper=0, seed=4).save(folder / "pad.png", optimize=True)
    for digit in range(10):
        draw(digit, size=(120, 120), seed=2).save(folder / f"{digit}.png", optimize=True)


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
