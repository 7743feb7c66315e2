"""Digits as people have them, for tests: photographed, scanned, drawn on a pad or cut out.

    python -m tests.handwriting models/mnist/2        # the share read of each kind, and of digits by other people

The hands are MNIST's validation digits, enlarged to smooth strokes, or those of `training.strokes`; everything else is
made here. There are two series, which share no pen, paper, light or place: "tuning" may be looked at while the
preparation is worked on, "kept" only says how well it went. And there are the digits of other people that scikit-learn
brings along.
"""

import argparse
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_digits

from service import engines
from service import pictures as preparation
from service.manifest import Manifest
from training.datasets import Part
from training.idx import load_mnist

Floats: TypeAlias = NDArray[np.float64]
Chance: TypeAlias = np.random.Generator
Series: TypeAlias = Literal["tuning", "kept"]
Size: TypeAlias = tuple[int, int]

COUNT = 150
"""Digits of each kind that are read."""
FRAME = (640, 480)
PAGE = (1600, 1200)


@dataclass(frozen=True)
class Manner:
    """How one series writes, and on what."""

    pens: tuple[float, ...]
    """Levels, 0 to 1, from which on an enlarged digit is ink: a low one makes a broad pen."""
    inks: tuple[tuple[int, int, int], ...]
    papers: tuple[tuple[int, int, int], ...]
    heights: tuple[float, float]
    """Of a digit, as shares of the sheet's shorter side."""
    tilt: float
    """Degrees that the sheet is turned by, at most."""
    light: Callable[[Size, Chance], Floats]
    shadow: Callable[[Size, Chance], Floats]
    lines: Callable[[ImageDraw.ImageDraw, Size, Chance], None]
    table: tuple[int, int, int]
    """What the sheet lies on, where only its edge is seen …"""
    desks: tuple[tuple[int, int, int], ...]
    """… and where all of it is."""
    box: float
    """How far the box of a form lies from the edge of the picture, as a share of its side."""
    line: int
    """How dark its lines are, 0 to 255."""


def lamp(size: Size, chance: Chance) -> Floats:
    """Light that falls off towards one side."""
    x, y = grid(size)
    angle, steep = chance.uniform(0, 2 * np.pi), chance.uniform(1, 4)
    return 1 - chance.uniform(0.1, 0.4) / (1 + np.exp(-steep * (x * np.cos(angle) + y * np.sin(angle))))


def lens(size: Size, chance: Chance) -> Floats:
    """Light that falls off around a place, and a little from top to bottom."""
    x, y = grid(size)
    across, down = chance.uniform(-0.7, 0.7, 2)
    return 1 - chance.uniform(0.1, 0.3) * ((x - across) ** 2 + (y - down) ** 2) / 3 - chance.uniform(0, 0.1) * (1 + y)


def head(size: Size, chance: Chance) -> Floats:
    """The shadow of a head that leans into the light: round, from one edge, with a soft outline."""
    draw = Image.new("L", size)
    x, y = (side * at for side, at in zip(size, edge(chance), strict=True))
    wide, tall = chance.uniform(0.25, 0.6, 2) * min(size)
    ImageDraw.Draw(draw).ellipse((x - wide, y - tall, x + wide, y + tall), fill=255)
    return cast(draw, chance.uniform(0.02, 0.06), chance.uniform(0.2, 0.45))


def phone(size: Size, chance: Chance) -> Floats:
    """The shadow of the phone that takes the picture: a rectangle from one edge, with a sharper outline."""
    draw = Image.new("L", size)
    x, y = (side * at for side, at in zip(size, edge(chance), strict=True))
    angle, half = chance.uniform(0, np.pi), chance.uniform(0.2, 0.35) * min(size)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-2, -1], [2, -1], [2, 1], [-2, 1]]) * half @ turn + [x, y]
    ImageDraw.Draw(draw).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return cast(draw, chance.uniform(0.008, 0.03), chance.uniform(0.25, 0.5))


def ruled(draw: ImageDraw.ImageDraw, size: Size, chance: Chance) -> None:
    """Blue lines across."""
    step, wide = chance.uniform(0.07, 0.13) * min(size), max(1, min(size) // 300)
    for y in np.arange(chance.uniform(0, step), 2 * size[1], step):
        draw.line((0, y, 2 * size[0], y), fill=(130, 160, 215), width=wide)


def squared(draw: ImageDraw.ImageDraw, size: Size, chance: Chance) -> None:
    """Grey squares."""
    step, wide = chance.uniform(0.06, 0.16) * min(size), max(1, min(size) // 240)
    for at in np.arange(chance.uniform(0, step), 2 * max(size), step):
        draw.line((0, at, 2 * size[0], at), fill=(165, 165, 160), width=wide)
        draw.line((at, 0, at, 2 * size[1]), fill=(165, 165, 160), width=wide)


MANNERS: dict[Series, Manner] = {
    "tuning": Manner(
        pens=(0.3, 0.45, 0.6),
        inks=((25, 25, 30), (30, 45, 130), (150, 30, 40)),
        papers=((240, 238, 232), (250, 250, 250), (226, 220, 200)),
        heights=(0.3, 0.7),
        tilt=4,
        light=lamp,
        shadow=head,
        lines=ruled,
        table=(70, 50, 40),
        desks=((70, 50, 40), (120, 85, 60), (190, 150, 105), (150, 150, 150)),
        box=0.05,
        line=255,
    ),
    "kept": Manner(
        pens=(0.25, 0.4, 0.65),
        inks=((45, 40, 45), (20, 70, 140), (20, 100, 60), (90, 40, 110)),
        papers=((248, 244, 226), (214, 218, 224), (238, 222, 170), (205, 226, 210)),
        heights=(0.22, 0.85),
        tilt=8,
        light=lens,
        shadow=phone,
        lines=squared,
        table=(40, 44, 52),
        desks=((45, 45, 50), (95, 60, 35), (165, 125, 85), (205, 175, 135), (60, 85, 75)),
        box=0.09,
        line=150,
    ),
}


def grid(size: Size) -> tuple[Floats, Floats]:
    """X and y of each pixel, -1 to 1."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    return x, y


def edge(chance: Chance) -> tuple[float, float]:
    """A place on the edge of a sheet, as shares of its width and height."""
    along, side = chance.uniform(0.1, 0.9), float(chance.integers(2))
    return (along, side) if chance.random() < 0.5 else (side, along)


def cast(shape: Image.Image, soft: float, depth: float) -> Floats:
    """What light a shadow of this shape leaves."""
    blurred = shape.filter(ImageFilter.GaussianBlur(soft * min(shape.size)))
    return np.asarray(1 - depth * np.asarray(blurred, np.float64) / 255)


def write(digit: NDArray[np.uint8], height: float, pen: float) -> Image.Image:
    """A digit of 28 × 28 as smooth ink, mode L, cut out, `height` pixels on its longer side."""
    times = max(2, round(height / 20))
    large = Image.fromarray(digit).resize((28 * times, 28 * times), Image.Resampling.BICUBIC)
    level = np.asarray(large.filter(ImageFilter.GaussianBlur(0.4 * times)), np.float64) / 255
    ink = Image.fromarray((255 * ((level - pen) * 8 + 0.5).clip(0, 1)).astype(np.uint8))
    ink = ink.crop(ink.getbbox())
    scale = height / max(ink.size)
    return ink.resize((max(2, round(ink.width * scale)), max(2, round(ink.height * scale))), Image.Resampling.BICUBIC)


def lay(ink: Image.Image, size: Size, chance: Chance) -> Image.Image:
    """The ink somewhere on a sheet, mode L, 255 is ink."""
    sheet = Image.new("L", size)
    room = size[0] - ink.width, size[1] - ink.height
    sheet.paste(ink, (int(room[0] * chance.uniform(0.04, 0.96)), int(room[1] * chance.uniform(0.04, 0.96))))
    return sheet


def encode(pixels: Floats, kind: str, **options: int) -> bytes:
    """A picture file of these grey values or colours."""
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def photo(
    digit: NDArray[np.uint8],
    manner: Manner,
    chance: Chance,
    *,
    size: Size = FRAME,
    heights: tuple[float, float] | None = None,
    strength: float = 0.9,
    lines: bool = False,
    shadow: bool = False,
    specks: int = 0,
    table: bool = False,
) -> bytes:
    """A sheet of paper that fills the picture, photographed, tilted."""
    height = chance.uniform(*(heights or manner.heights)) * min(size)
    ink = lay(write(digit, height, chance.choice(manner.pens)), size, chance)
    paper = Image.new("RGB", (2 * size[0], 2 * size[1]), tuple(chance.choice(manner.papers).tolist()))
    if lines:
        manner.lines(ImageDraw.Draw(paper), size, chance)
    if table:
        ImageDraw.Draw(paper).rectangle(
            (0, 0, (0.5 + chance.uniform(0.01, 0.04)) * size[0], 2 * size[1]), fill=manner.table
        )
    paper = paper.rotate(chance.uniform(-1, 1) * manner.tilt, Image.Resampling.BILINEAR)
    paper = paper.crop((size[0] // 2, size[1] // 2, size[0] // 2 + size[0], size[1] // 2 + size[1]))
    for _ in range(specks):
        x, y, radius = *(chance.random(2) * size), chance.uniform(0.5, 0.004 * size[0])
        ImageDraw.Draw(paper).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(70, 60, 50))
    paper.paste(tuple(chance.choice(manner.inks).tolist()), mask=ink.point(lambda value: int(strength * value)))
    return shoot(paper, manner, chance, shadow=shadow)


def shoot(scene: Image.Image, manner: Manner, chance: Chance, *, shadow: bool = False) -> bytes:
    """What a camera makes of it: unevenly lit, a little out of focus, with grain, as JPEG."""
    size = scene.size
    scene = scene.filter(ImageFilter.GaussianBlur(chance.uniform(0, 0.002 * size[0])))
    light = manner.light(size, chance) * (manner.shadow(size, chance) if shadow else 1) * chance.uniform(0.65, 1)
    grain = chance.normal(0, chance.uniform(1, 7), (*size[::-1], 1))
    lit = np.asarray(scene, np.float64) * light[..., None] + grain
    return encode(lit, "JPEG", quality=int(chance.integers(60, 95)))


def desk(digit: NDArray[np.uint8], manner: Manner, chance: Chance) -> bytes:
    """A whole sheet on a desk: askew, with the shadow that it casts, anywhere in the picture."""
    wide, tall = (round(share * side) for share, side in zip(chance.uniform(0.5, 0.85, 2), FRAME, strict=True))
    height = chance.uniform(0.25, 0.6) * min(wide, tall)
    ink = lay(write(digit, height, chance.choice(manner.pens)), (wide, tall), chance)
    paper = Image.new("RGB", (wide, tall), tuple(chance.choice(manner.papers).tolist()))
    paper.paste(tuple(chance.choice(manner.inks).tolist()), mask=ink.point(lambda value: int(0.9 * value)))
    corner = tuple(int(chance.integers(0, side - part + 1)) for side, part in zip(FRAME, (wide, tall), strict=True))
    over, shape = Image.new("RGB", FRAME), Image.new("L", FRAME)
    over.paste(paper, corner)
    shape.paste(255, (*corner, corner[0] + wide, corner[1] + tall))
    turn = chance.uniform(-2, 2) * manner.tilt
    over, shape = (each.rotate(turn, Image.Resampling.BICUBIC) for each in (over, shape))
    scene = wood(chance.choice(manner.desks), chance) * cast(shape, chance.uniform(0.01, 0.03), 0.3)[..., None]
    scene[...] = np.where(np.asarray(shape)[..., None] > 127, np.asarray(over, np.float64), scene)
    return shoot(Image.fromarray(scene.clip(0, 255).astype(np.uint8)), manner, chance)


def wood(colour: NDArray[np.int64], chance: Chance) -> Floats:
    """The grain of a desk, along its boards."""
    x, y = grid(FRAME)
    along, across = (x, y) if chance.random() < 0.5 else (y, x)
    rings = chance.uniform(8, 40) * (across + 0.05 * np.sin(2 * along + chance.uniform(0, 6)))
    return np.asarray(
        colour * (1 + chance.uniform(0.01, 0.06) * (np.sin(rings) + 0.5 * np.sin(3.1 * rings))[..., None])
    )


def scan(digit: NDArray[np.uint8], manner: Manner, chance: Chance) -> bytes:
    """Cut out of a scanned form, sometimes so tightly that the digit touches the edge, sometimes in black and white."""
    ink = write(digit, chance.integers(60, 420), chance.choice(manner.pens))
    margin = chance.choice((0, 0.1, 0.5, 1.5)) * max(ink.size)
    grey = np.asarray(lay(ink, (int(ink.width + margin) + 1, int(ink.height + margin) + 1), chance), np.float64) / 255
    if chance.random() < 0.3:
        return encode(255.0 * (grey < 0.5), "PNG")
    paper, dark = chance.uniform(215, 255), chance.uniform(0, 100)
    return encode(paper + (dark - paper) * grey + chance.normal(0, 2, grey.shape), "JPEG", quality=85)


def form(digit: NDArray[np.uint8], manner: Manner, chance: Chance) -> bytes:
    """In the box of a scanned form."""
    side = int(chance.integers(120, 400))
    ink = write(digit, chance.uniform(0.45, 0.65) * side, chance.choice(manner.pens))
    sheet = Image.new("L", (side, side))
    sheet.paste(ink, ((side - ink.width) // 2 + int(chance.integers(-9, 10)), (side - ink.height) // 2))
    away, wide = manner.box * side, max(1, side // 90)
    ImageDraw.Draw(sheet).rectangle((away, away, side - away, side - away), outline=manner.line, width=wide)
    return encode(240 - 0.85 * np.asarray(sheet, np.float64) + chance.normal(0, 2, (side, side)), "PNG")


def pad(digit: NDArray[np.uint8], manner: Manner, chance: Chance) -> bytes:
    """Drawn on a pad: dark on light, light on dark or on nothing at all, smooth or stepped."""
    side = int(chance.integers(200, 600))
    height = chance.uniform(*manner.heights) * side
    grey = np.asarray(lay(write(digit, height, chance.choice(manner.pens)), (side, side), chance), np.float64)
    if chance.random() < 0.4:
        grey = 255.0 * (grey > 127)
    match chance.integers(3):
        case 0:
            return encode(grey, "PNG")
        case 1:
            return encode(255 - grey, "PNG")
        case _:
            return encode(np.stack([np.zeros_like(grey), grey], axis=-1), "PNG")


def crop(digit: NDArray[np.uint8], manner: Manner, chance: Chance) -> bytes:
    """A digit of 12 to 64 pixels, as data sets have them: cut out tightly or not, grey or black and white."""
    side = int(chance.choice((12, 16, 20, 28, 32, 48, 64)))
    ink = write(digit, 280, chance.choice(manner.pens))
    ink.thumbnail((side, side), Image.Resampling.BOX)
    margin = int(chance.integers(0, 1 + side // 4))
    grey = np.asarray(lay(ink, (ink.width + margin, ink.height + margin), chance), np.float64)
    if side >= 28 and chance.random() < 0.4:
        grey = 255.0 * (grey > 127)
    return encode(255 - grey if chance.random() < 0.5 else grey, "PNG")


KINDS: dict[str, Callable[[NDArray[np.uint8], Manner, Chance], bytes]] = {
    "scan": scan,
    "pad": pad,
    "crop": crop,
    "photo": photo,
    "shadow": lambda *given: photo(*given, shadow=True),
    "lines": lambda *given: photo(*given, lines=True),
    "specks": lambda *given: photo(*given, specks=40),
    "form": form,
    "table": lambda *given: photo(*given, table=True, heights=(0.3, 0.6)),
    "desk": desk,
    "pencil": lambda *given: photo(*given, strength=0.4),
    "small": lambda *given: photo(*given, size=PAGE, heights=(0.06, 0.15), lines=True),
}


def pictures(digits: NDArray[np.uint8], kind: str, series: Series, seed: int = 0) -> Iterator[bytes]:
    """Each of the digits, uint8 (n, 28, 28), light on black, as a picture file of a kind."""
    for number, digit in enumerate(digits):
        yield KINDS[kind](digit, MANNERS[series], np.random.default_rng((seed, number, *kind.encode())))


def load_others() -> Part:
    """1,797 digits by thirteen people in Turkey: uint8 (1797, 8, 8, 1), dark on white.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998; its test set.
    """
    found = load_digits()
    return Part(np.rint(255 - found.images * 255 / 16).astype(np.uint8)[..., np.newaxis], found.target)


class Reader:
    """A version, as the server has it: picture files in, classes out."""

    def __init__(self, version: Path) -> None:
        self.manifest = Manifest.read(version)
        self.engine = engines.load("openvino", version, self.manifest, 1)

    def read(self, digits: NDArray[np.uint8], kind: str, series: Series) -> NDArray[np.int64]:
        """The classes found for digits, uint8 (n, 28, 28), as pictures of a kind."""
        return self.read_files(pictures(digits, kind, series))

    def read_files(self, files: Iterable[bytes]) -> NDArray[np.int64]:
        """The classes found for picture files."""
        opened = (preparation.open_picture(file, max_pixels=2_000_000) for file in files)
        prepared = np.stack([preparation.prepare(file, self.manifest.input) for file in opened])
        return self.engine.predict(prepared).probabilities.argmax(axis=1)

    def grade(self, validation: Part, kind: str, series: Series) -> float:
        """The share of validation digits that is read right, 0 to 1; always the same digits."""
        some = np.random.default_rng(7).choice(len(validation), COUNT, replace=False)
        right = self.read(validation.pictures[some, ..., 0], kind, series) == validation.labels[some]
        return float(right.mean())

    def grade_others(self) -> float:
        """The share of other people's digits that is read right, 0 to 1."""
        others = load_others()
        right = self.read_files(encode(picture[..., 0], "PNG") for picture in others.pictures) == others.labels
        return float(right.mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.handwriting", description="The share read of each kind.")
    parser.add_argument("version", type=Path, help="folder of a version, such as models/mnist/2")
    folder = os.environ.get("CONVOLVE_DATA")
    reader, part = Reader(parser.parse_args().version), load_mnist(Path(folder) if folder else None).validation
    for name in KINDS:
        print(f"{reader.grade(part, name, 'kept'):7.1%}  {name}", flush=True)
    print(f"{reader.grade_others():7.1%}  others")
