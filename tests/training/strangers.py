"""Pictures that show no digit, as people might send them: they grade the score of `training/novelty.py`.

    python -m tests.training.strangers models/mnist/2                  # the share flagged of each kind
    python -m tests.training.strangers models/mnist/2 FOLDER …         # and of the picture files in folders

None of them is seen in training, nor when the threshold is chosen. Each is a picture file that goes the whole road of
`service/pictures.py`. Letters that can be taken for a digit (B D G I J L O Q S U Y Z, b g i j l o q s y z, c d p) are
left out.
"""

import io
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
import openvino
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from service.manifest import Input, Manifest
from service.pictures import open_picture, prepare
from training import strokes

Random = np.random.Generator
COUNT = 200
"""Pictures of each kind."""
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold",
         "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10")  # fmt: skip
PLAIN = "AEFHKMNPRTVWXaefhkmnrtvwx"
WORDS = ("the", "quick", "brown", "fox", "jumps", "lazy", "dog", "hello", "World", "Yes", "No", "tea", "Menu", "Exit")

# As in `training/strokes.py`: strokes between bars, points in hundredths of the height.
LETTERS = {
    "A": "0,100 35,0 70,100 | 14,62 56,62",
    "E": "60,0 5,0 | 5,0 5,100 | 5,100 62,100 | 5,50 50,50",
    "F": "60,0 5,0 | 5,0 5,100 | 5,48 48,48",
    "H": "5,0 5,100 | 62,0 62,100 | 5,50 62,50",
    "K": "5,0 5,100 | 60,0 5,55 | 22,42 62,100",
    "M": "0,100 8,0 | 8,0 40,60 | 40,60 72,0 | 72,0 80,100",
    "N": "5,100 5,0 | 5,0 62,100 | 62,100 62,0",
    "R": "5,100 5,0 | 5,0 50,8 50,42 5,50 | 20,50 60,100",
    "T": "0,0 74,0 | 37,0 37,100",
    "V": "0,0 36,100 | 36,100 72,0",
    "W": "0,0 22,100 | 22,100 45,30 | 45,30 68,100 | 68,100 90,0",
    "X": "0,0 68,100 | 68,0 0,100",
    "k": "5,0 5,100 | 48,40 5,72 | 18,62 50,100",
    "m": "0,30 2,100 | 2,50 20,30 34,50 36,100 | 36,50 54,30 70,48 72,100",
    "e": "5,62 60,60 52,36 28,30 6,60 20,96 62,86",
    "h": "5,0 5,100 | 5,64 26,46 46,60 48,100",
    "n": "5,30 6,100 | 6,50 30,32 52,48 54,100",
    "w": "0,30 14,100 | 14,100 32,45 | 32,45 50,100 | 50,100 66,30",
}
DRAWINGS = {
    "house": "0,100 0,45 | 0,45 45,0 | 45,0 90,45 | 90,45 90,100 | 90,100 0,100 | 35,100 35,65 | 35,65 55,65",
    "star": "50,0 20,95 | 20,95 98,36 | 98,36 2,36 | 2,36 80,95 | 80,95 50,0",
    "heart": "50,95 10,50 5,20 28,5 50,28 | 50,28 72,5 95,20 90,50 50,95",
    "smiley": "50,0 15,15 0,50 15,85 50,100 85,85 100,50 85,15 50,0 | 32,34 33,40 | 68,34 67,40 | 25,62 50,80 75,62",
    "tree": "45,100 45,70 | 55,100 55,70 | 10,70 90,70 | 90,70 50,0 | 50,0 10,70",
    "arrow": "0,50 100,50 | 70,20 100,50 | 70,80 100,50",
    "square": "0,0 100,2 | 100,2 98,100 | 98,100 2,98 | 2,98 0,0",
    "triangle": "50,0 0,90 | 0,90 100,90 | 100,90 50,0",
    "spiral": "50,50 58,44 62,56 48,64 34,50 46,30 72,36 80,60 56,82 20,70 14,30 50,8 92,26",
    "cat": "50,20 12,40 10,80 50,100 90,80 88,40 50,20 | 14,40 12,2 32,26 | 86,40 88,2 68,26 | 34,55 36,60",
    "sun": "50,30 30,50 50,70 70,50 50,30 | 50,0 50,18 | 50,82 50,100 | 0,50 18,50 | 82,50 100,50 | 15,15 27,27",
    "figure": "50,0 38,12 50,24 62,12 50,0 | 50,24 50,64 | 20,40 80,40 | 50,64 25,100 | 50,64 75,100",
    "zigzag": "0,50 15,20 | 15,20 30,80 | 30,80 45,20 | 45,20 60,80 | 60,80 75,20 | 75,20 90,80",
    "plus": "50,0 50,100 | 0,50 100,50",
    "hash": "30,0 25,100 | 70,0 65,100 | 0,32 100,30 | 0,68 100,66",
    "fish": "0,50 40,20 75,45 100,75 | 0,50 40,80 75,55 100,25 | 100,25 98,75 | 20,45 22,46",
    "flower": "50,40 35,10 65,10 50,40 80,25 90,50 50,45 75,75 50,90 50,45 20,75 10,50 50,42 | 50,60 50,120",
    "stairs": "0,100 0,75 | 0,75 33,75 | 33,75 33,45 | 33,45 66,45 | 66,45 66,15 | 66,15 100,15",
}  # fmt: skip


def blank(random: Random) -> Image.Image:
    """An empty pad or an empty sheet, also photographed."""
    size = tuple(random.integers(28, 400, 2))
    sheet = Image.new("L", size, int(random.choice([0, 255, random.integers(256)])))
    if random.random() < 0.6:
        sheet = strokes.photograph(
            sheet, shadow=random.uniform(0, 0.7), noise=random.uniform(0, 8), seed=int(random.integers(1 << 30))
        )
    return sheet


def noise(random: Random) -> Image.Image:
    """Grey, coloured, salt and pepper, coarse or fine."""
    width, height = random.integers(8, 200, 2)
    kind = random.integers(4)
    if kind == 0:
        pixels = random.integers(0, 256, (height, width))
    elif kind == 1:
        pixels = random.normal(128, random.uniform(20, 90), (height, width))
    elif kind == 2:
        pixels = 255 * (random.random((height, width)) < random.uniform(0.02, 0.6))
    else:
        pixels = random.integers(0, 256, (height, width, 3))
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if random.random() < 0.5:
        times = int(random.integers(2, 6))
        picture = picture.resize((int(width) * times, int(height) * times), Image.Resampling.BICUBIC)
    return picture


def printed(random: Random) -> Image.Image:
    """One printed letter."""
    return write(str(random.choice(list(PLAIN))), random)


def handwritten(random: Random) -> Image.Image:
    """One letter by pen."""
    return pen(str(random.choice(list(LETTERS.values()))), random)


def drawing(random: Random) -> Image.Image:
    """A thing drawn in a few lines."""
    return pen(str(random.choice(list(DRAWINGS.values()))), random)


def text(random: Random) -> Image.Image:
    """A few words, printed."""
    words = [str(word) for word in random.choice(WORDS, random.integers(1, 5))]
    return write(("\n" if random.random() < 0.3 else " ").join(words), random)


def photograph(random: Random) -> Image.Image:
    """A part of a photograph of something else."""
    pictures = photographs()
    whole = pictures[random.integers(len(pictures))]
    side = int(random.uniform(0.25, 1) * min(whole.size))
    left, top = random.integers(whole.width - side + 1), random.integers(whole.height - side + 1)
    part = whole.crop((left, top, left + side, top + side))
    return part.resize((320, 320)) if random.random() < 0.5 else part


KINDS: dict[str, Callable[[Random], Image.Image]] = {
    "blank": blank,
    "noise": noise,
    "printed letters": printed,
    "handwritten letters": handwritten,
    "drawings": drawing,
    "text": text,
    "photographs": photograph,
}


def write(words: str, random: Random) -> Image.Image:
    """Black on white or white on black, in some font and size, perhaps a little turned."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(folder / f"{random.choice(FONTS)}.ttf", int(random.integers(24, 160)))
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), words, font)
    margin = int(random.uniform(0.1, 0.8) * (bottom - top)) + 4
    sheet = Image.new("L", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), 255)
    ImageDraw.Draw(sheet).multiline_text((margin - left, margin - top), words, 0, font)
    sheet = sheet.rotate(random.uniform(-6, 6), Image.Resampling.BICUBIC, fillcolor=255)
    return finish(sheet, random)


def pen(way: str, random: Random) -> Image.Image:
    """Strokes by some hand and pen."""
    paths = strokes.write(way, random)
    side = random.uniform(80, 240)
    thick = random.uniform(0.04, 0.16) * side
    points = np.concatenate(paths)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = thick + random.uniform(0.05, 0.5) * side
    size = tuple(int(value) for value in side * (high - low) + 2 * margin)
    mask = strokes.lay_ink([side * (path - low) + margin for path in paths], size, width=thick)
    return finish(Image.eval(mask, lambda value: 255 - value), random)


def finish(sheet: Image.Image, random: Random) -> Image.Image:
    """As it is, light on dark, out of focus, or photographed."""
    way = random.integers(4)
    if way == 1:
        return Image.eval(sheet, lambda value: 255 - value)
    if way == 2:
        return sheet.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2)))
    if way == 3:
        return strokes.photograph(sheet, seed=int(random.integers(1 << 30)))
    return sheet


@cache
def photographs() -> list[Image.Image]:
    """The photographs that come with scikit-image."""
    names = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
             "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg",
             "rocket.jpg")  # fmt: skip
    found = find_spec("skimage")
    assert found, "scikit-image is not installed: see the group `verify` in pyproject.toml"
    folder = Path(str(found.origin)).parent / "data"
    return [Image.open(folder / name).convert("RGB") for name in names]


def draw(kind: str, count: int = COUNT) -> np.ndarray:
    """Pictures of one kind, always the same, prepared as the server does: uint8 (count, 28, 28, 1)."""
    files = []
    for index in range(count):
        file = io.BytesIO()
        KINDS[kind](np.random.default_rng([index, list(KINDS).index(kind)])).save(file, "PNG")
        files.append(file.getvalue())
    return read(files)


def read(files: list[bytes]) -> np.ndarray:
    """Picture files, prepared as the server does."""
    target = Input(name="image", shape=(28, 28, 1))
    return np.stack([prepare(open_picture(data, max_pixels=50_000_000), target) for data in files])


def grade(version: Path, folders: list[Path]) -> Iterator[tuple[str, float]]:
    """The share flagged of each kind, 0 to 1."""
    novelty = Manifest.read(version).novelty
    assert novelty, "this version does not tell what is unlike its training pictures"
    network = openvino.Core().compile_model(version / novelty.network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for kind in KINDS:
        yield kind, float((network(draw(kind))[0] > novelty.threshold).mean())
    for folder in folders:
        pictures = read([path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()])
        yield folder.name, float((network(pictures)[0] > novelty.threshold).mean())


if __name__ == "__main__":
    for name, share in grade(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]):
        print(f"{share:7.1%}  {name}")
