import base64
import gzip
import io
import math
import random
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from service import pictures
from service.errors import BadPicture, CallerError, EmptyBody, PictureTooLarge, UnsupportedPicture, WrongShape
from service.manifest import Input
from service.shapes import extent
from service.touching import without_touching
from training import strokes

DIGIT = Input(name="image", shape=(28, 28, 1))
MILLION = 1_000_000


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def prepare(data: bytes, target: Input = DIGIT, mode: pictures.Mode = "auto", max_pixels: int = MILLION) -> np.ndarray:
    pixels = pictures.prepare(pictures.open_picture(data, max_pixels=max_pixels), target, mode=mode)
    assert pixels.dtype == np.uint8
    assert pixels.shape == target.shape
    return pixels


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def near(first: np.ndarray, second: np.ndarray) -> float:
    """How alike two pictures are, 0 to 1: cosine of the angle between them."""
    a, b = first.astype(float).ravel(), second.astype(float).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Likewise, where one may stand a pixel beside the other: digits are moved by whole pixels, as MNIST's were."""
    return max(near(np.roll(first, (down, across), (0, 1)), second) for down in (-1, 0, 1) for across in (-1, 0, 1))


@pytest.fixture(scope="module")
def seven() -> np.ndarray:
    """How the network sees `strokes.draw(7)`."""
    return prepare(encode(strokes.draw(7)))


# What is the input already


@pytest.mark.parametrize("mode", ["auto", "none"])
@pytest.mark.parametrize("preparation", ["centred", "fit"])
def test_a_file_that_is_the_input_already_is_read_as_any_other_would_be(
    seven: np.ndarray, mode: pictures.Mode, preparation: str
) -> None:
    target = Input(name="image", shape=(28, 28, 1), preparation=preparation)
    for pixels in (seven, 255 - seven, np.roll(seven, 4, axis=1), np.zeros_like(seven)):
        data = encode(Image.fromarray(pixels[..., 0]))
        ready = pictures.read_ready(data, target, mode=mode)
        usual = pictures.inspect(pictures.open_picture(data, max_pixels=MILLION), target, mode=mode)
        if usual.prepared:
            assert ready is None
        else:
            assert ready is not None
            np.testing.assert_array_equal(ready.pixels, usual.pixels)
            assert ready._replace(pixels=usual.pixels) == usual


def test_what_has_to_be_looked_at_closer_is_not_ready(seven: np.ndarray) -> None:
    picture = Image.fromarray(seven[..., 0])
    coloured = Input(name="image", shape=(28, 28, 3))
    assert pictures.read_ready(encode(picture), coloured) is None
    assert pictures.read_ready(encode(picture), DIGIT, max_pixels=783) is None
    assert pictures.read_ready(encode(picture, "BMP"), DIGIT) is None
    tall = Input(name="image", shape=(65, 64, 1), preparation="fit")
    assert pictures.read_ready(encode(Image.new("L", (64, 65))), tall) is None
    whole = encode(picture)
    many = whole[:33] + chunk(b"IDAT", b"") * 6_000 + whole[33:]  # more than 64 KB
    assert pictures.read_ready(many, DIGIT) is None


# What is a picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_format_is_recognised_and_read(kind: str, seven: np.ndarray) -> None:
    data = encode(strokes.draw(7), kind)
    assert pictures.recognise(data) == kind
    assert near(prepare(data), seven) > 0.99


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encode(Image.new("L", (9, 9)), "TIFF"), "a TIFF file"),
        (encode(Image.new("L", (9, 9)), "JPEG2000"), "a JPEG 2000 file"),
        (encode(Image.new("L", (16, 16)), "ICO"), "an ICO file"),
        (encode(Image.new("L", (9, 9)), "EPS"), "an EPS file"),
        (encode(Image.new("L", (9, 9)), "PDF"), "a PDF file"),
        (b"8BPS\0\1" + bytes(20), "a PSD file"),
        (b"SIMPLE  =                    T", "a FITS file"),
        (encode(Image.new("RGB", (16, 16)), "TGA"), "a TGA file"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "a HEIC file"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "an AVIF file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "an SVG file"),
        (b"<!doctype html><title>404</title>", "an XML or HTML file"),
        (b"BM is how this text begins", "a file that begins with the bytes 42 4d"),
        (b"\x89PN", "a file that begins with the bytes 89 50 4e"),
    ],
)
def test_other_files_are_refused_by_name(data: bytes, words: str) -> None:
    assert pictures.recognise(data) is None
    with pytest.raises(UnsupportedPicture) as caught:
        pictures.open_picture(data, max_pixels=MILLION)
    assert words in caught.value.found
    assert "PNG" in caught.value.expected


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("before", [b"", b"data:image/any;base64,", b'"'])
def test_base64_in_place_of_a_file_is_called_so(kind: str, before: bytes) -> None:
    text = before + base64.b64encode(encode(strokes.draw(7).convert("RGB"), kind))
    with pytest.raises(UnsupportedPicture, match="base64 text") as caught:
        pictures.open_picture(text, max_pixels=MILLION)
    assert "JSON" in caught.value.fix


def test_a_png_that_was_sent_as_text_names_the_flag() -> None:
    """`curl -d` leaves line ends out."""
    text = encode(strokes.draw(7)).replace(b"\r", b"").replace(b"\n", b"")
    with pytest.raises(UnsupportedPicture) as caught:
        pictures.open_picture(text, max_pixels=MILLION)
    assert "--data-binary" in caught.value.fix


def test_nothing_is_refused_as_nothing() -> None:
    with pytest.raises(EmptyBody):
        pictures.open_picture(b"", max_pixels=MILLION)


# Modes


def modes() -> dict[str, Image.Image]:
    """The same dark seven in every mode that a file can have."""
    grey = strokes.draw(7)
    wide = np.asarray(grey).astype(np.uint16) * 257
    clear = grey.point(lambda value: 255 - value)
    colour = Image.merge("RGB", [grey, grey, grey.point(lambda value: value // 2 + 127)])
    with_alpha = Image.merge("RGBA", [*Image.new("RGB", grey.size, (20, 20, 60)).split(), clear])
    return {
        "1": grey.convert("1", dither=Image.Dither.NONE),
        "L": grey,
        "I;16": Image.fromarray(wide),
        "I": Image.fromarray(wide.astype(np.int32)),
        "RGB": colour,
        "P": colour.quantize(16),
        "PA": colour.quantize(16).convert("PA"),
        "LA": Image.merge("LA", [Image.new("L", grey.size, 20), clear]),
        "RGBA": with_alpha,
        "P with transparency": with_alpha.quantize(16),
        "CMYK": colour.convert("CMYK"),
        "YCbCr": colour.convert("YCbCr"),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_mode_gives_the_same_digit(mode: str, seven: np.ndarray) -> None:
    assert near(pictures.prepare(modes()[mode], DIGIT), seven) > 0.94


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("1", "BMP"),
        ("I;16", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("P", "BMP"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("P with transparency", "PNG"),
        ("RGBA", "GIF"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
    ],
)
def test_modes_in_files(mode: str, kind: str, seven: np.ndarray) -> None:
    assert near(prepare(encode(modes()[mode], kind)), seven) > 0.94


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 28 * 28).astype(np.uint16).reshape(28, 28)
    pixels = prepare(encode(Image.fromarray(ramp)), mode="none")[..., 0]
    assert np.array_equal(pixels, np.round(ramp / 257).astype(np.uint8))


def test_transparent_colour_of_a_grey_file() -> None:
    grey = strokes.draw(7, ink=0, paper=9)
    data = encode(grey, transparency=9)
    assert prepare(data, DIGIT).max() == 255


def test_colours_become_grey_by_bt601() -> None:
    colours = Image.new("RGB", (28, 28), (200, 100, 50))
    assert set(prepare(encode(colours), mode="none").ravel()) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}


def test_inverted_cmyk_of_adobe_is_understood() -> None:
    for color_transform in (0, 2):
        data = encode(strokes.draw(7).convert("RGB").convert("CMYK"), "JPEG", quality=95)
        # Pillow writes the inverted values without Adobe's marker; with it, YCCK is told by its last byte.
        marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([color_transform])
        image = pictures.open_picture(data[:2] + marker + data[2:], max_pixels=MILLION)
        assert image.mode == "CMYK"
        assert pictures.prepare(image, DIGIT).any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_undone(kind: str, orientation: int, seven: np.ndarray) -> None:
    undo = pictures.TURNS.get(orientation)
    back = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    turned = strokes.draw(7) if undo is None else strokes.draw(7).transpose(back.get(undo, undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = pictures.inspect(pictures.open_picture(encode(turned, kind, exif=exif), max_pixels=MILLION), DIGIT)
    assert near(seen.pixels, seven) > 0.99
    assert seen.turned == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert prepare(encode(strokes.draw(7), exif=exif)).any()


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    data = encode(strokes.draw(7), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # as `pictures` does, outside of tests
        assert prepare(data).any()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_picture_of_an_animation(kind: str, seven: np.ndarray) -> None:
    frames = [strokes.draw(digit) for digit in (7, 3, 1)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert near(prepare(data), seven) > 0.98


# Transparency


@pytest.mark.parametrize("ink", [0, 90, 160, 255])
def test_ink_on_transparent_paper_stays_visible(ink: int, seven: np.ndarray) -> None:
    drawing = strokes.draw(7, ink=(ink, ink, ink), paper=None)
    seen = pictures.inspect(drawing, DIGIT)
    assert near(seen.pixels, seven) > 0.98
    assert seen.inverted == (ink < 128)


def test_paper_with_transparent_corners_keeps_its_shade() -> None:
    sheet = strokes.draw(7, ink=30, paper=200).convert("LA")
    sheet.paste((0, 0), (0, 0, 90, 90))
    flat = pictures.prepare(sheet, Input("image", (280, 280, 1), preparation="fit"))
    assert flat[0, 0, 0] == 200


def test_wholly_transparent_is_blank() -> None:
    assert not pictures.prepare(Image.new("RGBA", (50, 40)), DIGIT).any()


# Prepared as asked


def test_mode_none_leaves_pixels_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    assert np.array_equal(prepare(encode(Image.fromarray(pixels[..., 0])), mode="none"), pixels)


def test_mode_none_refuses_another_size() -> None:
    with pytest.raises(WrongShape) as caught:
        prepare(encode(strokes.draw(7)), mode="none")
    assert caught.value.expected == "28 × 28 pixels"
    assert caught.value.found == "280 × 280 pixels"
    assert "prepare=auto" in caught.value.fix


@pytest.mark.parametrize("shape", [(28, 28, 1), (96, 96, 3), (64, 96, 3), (32, 48, 1)])
def test_fit_keeps_polarity_and_proportions(shape: tuple[int, int, int]) -> None:
    target = Input("image", shape, preparation="fit")
    sheet = Image.new("RGB", (300, 150), (250, 240, 230))
    sheet.paste((10, 20, 200), (100, 25, 200, 125))
    pixels = prepare(encode(sheet), target)
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    assert pixels[0, 0, 0] > 220


@pytest.mark.parametrize("size", [(2, 3000), (1, 56), (57, 1), (10, 570), (1000, 17)])
def test_fit_takes_the_thinnest_pictures(size: tuple[int, int]) -> None:
    seen = pictures.inspect(Image.new("L", size, 90), Input("image", (28, 28, 1), preparation="fit"))
    assert (seen.pixels == 90).all()
    assert seen.scale == 28 / max(size)


def test_fit_adds_what_the_edge_has_most() -> None:
    sheet = Image.new("RGB", (300, 150), (250, 240, 230))
    sheet.paste((10, 20, 200), (0, 0, 40, 40))
    pixels = prepare(encode(sheet), Input("image", (96, 96, 3), preparation="fit"))
    assert pixels[0, 0].tolist() == [250, 240, 230]


def test_fit_leaves_the_right_size_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    target = Input("image", (96, 96, 3), preparation="fit")
    assert np.array_equal(prepare(encode(Image.fromarray(pixels)), target), pixels)


@pytest.mark.mnist
@pytest.mark.parametrize("part", ["train", "t10k"])
def test_every_mnist_picture_is_left_bit_for_bit(part: str, mnist_folder: Path) -> None:
    path = next(mnist_folder.glob(f"{part}-images-idx3-ubyte*"))
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    digits = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    assert all(np.array_equal(pictures.prepare(Image.fromarray(digit), DIGIT)[..., 0], digit) for digit in digits)
    for digit in digits[::100]:
        assert np.array_equal(prepare(encode(Image.fromarray(digit)))[..., 0], digit)
        assert np.array_equal(prepare(encode(Image.fromarray(255 - digit)))[..., 0], digit)


def test_drawn_digits_as_in_mnist_are_left_bit_for_bit() -> None:
    for digit in strokes.golden((28, 28, 1)):
        assert np.array_equal(prepare(encode(Image.fromarray(digit[..., 0]))), digit)


@pytest.mark.parametrize(
    ("ink", "paper"),
    [((200, 60, 60), (60, 125, 60)), ((60, 80, 220), (40, 110, 60)), ((250, 150, 190), (150, 190, 235))],
    ids=["red on green", "blue on green", "pink on blue"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_one_grey_are_told_apart(
    mode: str, ink: tuple[int, int, int], paper: tuple[int, int, int], seven: np.ndarray
) -> None:
    sheet = strokes.draw(7, ink=ink, paper=paper)
    sheet = sheet.quantize(64) if mode == "P" else sheet.convert(mode)
    assert near(prepare(encode(sheet)), seven) > 0.95


@pytest.mark.parametrize("digit", range(10))
def test_a_stroke_in_many_pieces_is_one_digit(digit: int) -> None:
    """The grain of paper breaks what a pencil draws."""
    whole = strokes.draw(digit, size=(280, 280))
    broken = np.array(whole)
    broken[np.indices(broken.shape).sum(axis=0) % 40 < 6] = 255
    assert near(prepare(encode(Image.fromarray(broken))), prepare(encode(whole))) > 0.75


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("size", [(9, 9), (40, 60), (280, 280), (1200, 900)])
def test_what_was_prepared_is_left_bit_for_bit(digit: int, size: tuple[int, int]) -> None:
    pixels = pictures.prepare(strokes.draw(digit, size=size, centre=(0.4, 0.6)), DIGIT)
    assert np.array_equal(prepare(encode(Image.fromarray(pixels[..., 0]))), pixels)


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("size", [(20, 20), (28, 28), (64, 64), (200, 200)])
def test_digits_may_touch_all_edges(digit: int, size: tuple[int, int]) -> None:
    sheet = strokes.draw(digit, size=(400, 400), height=0.7, ink=0, paper=255)
    clean = pictures.prepare(sheet, DIGIT)
    tight = sheet.crop(Image.eval(sheet, lambda grey: 255 - grey).getbbox())
    tight.thumbnail(size)
    assert alike(pictures.prepare(tight, DIGIT), clean) > 0.9
    assert alike(pictures.prepare(Image.eval(tight, lambda grey: 255 - grey), DIGIT), clean) > 0.9


def test_the_box_of_a_form_is_no_digit() -> None:
    for digit in range(10):
        sheet = strokes.draw(digit)
        clean = pictures.prepare(sheet, DIGIT)
        ImageDraw.Draw(sheet).rectangle((14, 10, 262, 270), outline=40, width=4)
        assert near(pictures.prepare(sheet, DIGIT), clean) > 0.98


@pytest.mark.parametrize("digit", range(10))
def test_polarity_does_not_matter(digit: int) -> None:
    dark, light = (strokes.draw(digit, ink=ink, paper=255 - ink) for ink in (0, 255))
    first, second = pictures.inspect(dark, DIGIT), pictures.inspect(light, DIGIT)
    assert first.inverted
    assert not second.inverted
    assert near(first.pixels, second.pixels) > 0.99


@pytest.mark.parametrize("digit", range(10))
def test_place_and_size_do_not_matter(digit: int) -> None:
    plain = pictures.prepare(strokes.draw(digit, size=(300, 300)), DIGIT)
    for size, height, centre in [
        ((300, 300), 0.3, (0.3, 0.3)),
        ((900, 400), 0.5, (0.8, 0.5)),
        ((200, 600), 0.9, (0.5, 0.25)),
        ((1200, 1500), 0.08, (0.7, 0.8)),
        ((70, 70), 0.7, (0.5, 0.5)),
    ]:
        other = pictures.prepare(strokes.draw(digit, size=size, height=height, centre=centre), DIGIT)
        assert alike(plain, other) > 0.92


@pytest.mark.parametrize("digit", range(10))
def test_digits_fill_the_box_around_their_centre_of_mass(digit: int) -> None:
    pixels = pictures.prepare(strokes.draw(digit, centre=(0.4, 0.45)), DIGIT)[..., 0].astype(float)
    rows, columns = np.nonzero(pixels > 40)
    assert max(np.ptp(rows), np.ptp(columns)) in (18, 19, 20)
    assert abs(np.average(np.arange(28), weights=pixels.sum(axis=0)) - 14) <= 0.5
    assert abs(np.average(np.arange(28), weights=pixels.sum(axis=1)) - 14) <= 0.5
    assert pixels.max() == 255


@pytest.mark.parametrize("size", [(4000, 1), (2, 4000), (1, 20_000), (50_000, 1)])
def test_the_thinnest_photographs_are_answered(size: tuple[int, int]) -> None:
    assert not prepare(encode(Image.new("L", size, 255), "JPEG")).any()


@pytest.mark.parametrize("shade", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("size", [(28, 28), (1, 1), (300, 200), (1, 3000), (3000, 1)])
def test_blank_is_black(shade: int, size: tuple[int, int]) -> None:
    assert not pictures.prepare(Image.new("L", size, shade), DIGIT).any()


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (1, 10_000), (10_000, 1), (3, 2000), (60, 61), (5, 5), (28, 27), (3300, 40)]
)
def test_noise_of_any_size_is_survived(size: tuple[int, int]) -> None:
    chance = np.random.default_rng(4)
    for _ in range(5):
        grey = chance.integers(0, 256, size[::-1], dtype=np.uint8)
        for pixels in (grey, np.where(grey > 250, 255, 0).astype(np.uint8), grey // 128 * 255):
            assert pictures.prepare(Image.fromarray(pixels), DIGIT).shape == (28, 28, 1)


def test_blank_paper_under_a_lamp_is_black() -> None:
    for seed in range(5):
        sheet = strokes.photograph(Image.new("RGB", (400, 300), (236, 230, 214)), shadow=0.3, noise=3, seed=seed)
        assert not pictures.prepare(sheet, DIGIT).any()


def on_a_table(sheet: Image.Image, kind: str) -> Image.Image:
    """A sheet on dark wood: nearly upright, seen from the side, or filling nearly all of the picture."""
    (width, height), wood = sheet.size, (70, 50, 40)
    if kind == "table":
        table = Image.new("RGB", (width + 120, height + 90), wood)
        table.paste(sheet, (70, 50))
        return table.rotate(4, Image.Resampling.BICUBIC, fillcolor=wood).filter(ImageFilter.GaussianBlur(1))
    if kind == "narrow":
        table = Image.new("RGB", (width + width // 40, height + height // 30), wood)
        table.paste(sheet.rotate(0.4, Image.Resampling.BICUBIC, fillcolor=wood), (width // 60, height // 80))
        return table
    rows = []
    shares = [(0.15, 0.06), (0.87, 0.08), (0.97, 0.97), (0.03, 0.95)]  # of the corners, the far edge is the shorter
    for (across, down), (u, v) in zip(shares, [(0, 0), (width, 0), (width, height), (0, height)], strict=True):
        x, y = across * width, down * height
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, u], [0, 0, 0, x, y, 1, -v * x, -v * y, v]]
    terms = np.array(rows)
    places = np.linalg.solve(terms[:, :8], terms[:, 8]).tolist()
    return sheet.transform(sheet.size, Image.Transform.PERSPECTIVE, places, Image.Resampling.BICUBIC, fillcolor=wood)


def hard(sheet: Image.Image, kind: str, seed: int) -> Image.Image:
    """The sheet as people have it."""
    width, height = sheet.size
    printed = Image.new("RGB", sheet.size, (255, 255, 255))
    draw, chance = ImageDraw.Draw(printed), random.Random(seed)
    if kind in ("ruled", "squared", "askew", "page"):
        lean = 0.13 if kind == "askew" else 0.0125
        ink = {"askew": (125, 130, 140), "page": (165, 165, 160)}.get(kind, (150, 165, 205))
        for y in range(10 - height, height, height // 12):
            draw.line((0, y, width, y + lean * width), fill=ink, width=height // 180)
        for x in range(20, 2 * width, height // 12) if kind != "ruled" else ():
            draw.line((x, 0, x - lean * height, height), fill=ink, width=height // 180)
    if kind == "rim":  # of the table, where the sheet ends
        draw.polygon([(0, 0), (0.02 * width, 0), (0, height)], fill=(60, 50, 45))
    if kind == "dusty":
        for _ in range(40):
            x, y = chance.randrange(width), chance.randrange(height)
            draw.ellipse((x, y, x + 2, y + 2), fill=(60, 60, 60))
    sheet = ImageChops.darker(sheet, printed)
    if kind in ("table", "aside", "narrow"):
        return strokes.photograph(on_a_table(sheet, kind), shadow=0.3, noise=4, seed=seed)
    if kind == "rim":
        return strokes.photograph(sheet.filter(ImageFilter.GaussianBlur(1)), shadow=0.4, noise=4, seed=seed)
    if kind == "shadow":
        return strokes.photograph(sheet, shadow=0.7, noise=3, seed=seed)
    return strokes.photograph(sheet, shadow=0.2, noise=10 if kind == "noise" else 2, seed=seed)


KINDS = ["plain", "ruled", "squared", "askew", "rim", "table", "dusty", "shadow", "noise", "pencil", "small", "page"]
KINDS += ["fine", "aside", "narrow"]


@pytest.mark.parametrize("kind", KINDS)
def test_photographs_look_like_the_drawing(kind: str) -> None:
    likeness = []
    pen = 0.025 if kind == "fine" else 0.1
    for digit in range(10):
        size, height = ((480, 360), 0.5) if kind not in ("small", "page", "narrow") else ((1600, 1200), 0.09)
        ink = (30, 40, 110) if kind != "pencil" else (175, 172, 165)
        sheet = strokes.draw(
            digit,
            size=size,
            height=height,
            centre=(0.17 if kind == "rim" else 0.4, 0.55),
            ink=ink,
            paper=(236, 230, 214),
            pen=pen,
            seed=5,
        )
        clean = pictures.prepare(strokes.draw(digit, size=size, height=height, pen=pen, seed=5), DIGIT)
        likeness.append(alike(pictures.prepare(hard(sheet, kind, digit), DIGIT), clean))
    assert sorted(likeness)[1] > 0.85, likeness


def beside(sheet: Image.Image, kind: str) -> Image.Image:
    """The sheet with what a hand, a hole, a window or a screen adds to it."""
    (width, height), draw = sheet.size, ImageDraw.Draw(sheet)
    if kind == "circled":
        draw.ellipse((40, 20, width - 40, height - 20), outline=20, width=5)
    elif kind == "underlined":
        draw.line((90, 262, 195, 258), fill=20, width=6)
    elif kind == "holes":
        page = Image.new("L", (width + 100, height), 255)
        page.paste(sheet, (100, 0))
        for y in (60, 220):
            ImageDraw.Draw(page).ellipse((16, y - 24, 64, y + 24), fill=10)
        return page
    elif kind == "canvas":
        screen = Image.new("L", (width + 200, height + 200), 30)
        screen.paste(sheet, (100, 100))
        return screen
    elif kind in ("half", "corner"):  # of it lies in the shade
        shade = Image.new("L", sheet.size, 255)
        far = height if kind == "half" else height // 3
        ImageDraw.Draw(shade).polygon([(0, 0), (width if kind == "half" else width // 3, 0), (0, far)], fill=150)
        return ImageChops.multiply(sheet, shade)
    elif kind == "blinds":
        shade = Image.new("L", sheet.size, 255)
        for y in range(0, height, 56):
            ImageDraw.Draw(shade).polygon([(0, y), (width, y + 12), (width, y + 40), (0, y + 28)], fill=170)
        return strokes.photograph(ImageChops.multiply(sheet, shade.filter(ImageFilter.GaussianBlur(2))), noise=3)
    return sheet


@pytest.mark.parametrize("kind", ["circled", "underlined", "holes", "canvas", "half", "corner", "blinds"])
def test_what_lies_beside_a_digit_is_not_read(kind: str) -> None:
    likeness = []
    for digit in range(10):
        sheet = strokes.draw(digit, size=(280, 280), height=0.5, seed=3)
        clean = pictures.prepare(sheet, DIGIT)
        likeness.append(alike(pictures.prepare(beside(sheet, kind), DIGIT), clean))
    assert sorted(likeness)[1] > 0.85, likeness


@pytest.mark.parametrize("turn", [-3, 0, 3])
@pytest.mark.parametrize("kind", ["under", "through", "ring"])
def test_lines_and_rings_may_touch_a_digit(kind: str, turn: int) -> None:
    likeness = []
    for digit in range(10):
        sheet = strokes.draw(digit, size=(400, 400), height=0.5, seed=3, pen=0.08)
        clean = pictures.prepare(sheet, DIGIT)
        left, top, right, bottom = ImageChops.invert(sheet).getbbox()  # type: ignore[misc]
        draw = ImageDraw.Draw(sheet)
        if kind == "ring":
            across, down, radius = (left + right) / 2, (top + bottom) / 2, 0.53 * (bottom - top)
            draw.ellipse((across - radius, down - radius, across + radius, down + radius), outline=20, width=6)
        else:
            level = bottom + (2 if kind == "under" else -20)
            draw.line((left - 60, level, right + 60, level), fill=20, width=6)
        turned = sheet.rotate(turn, Image.Resampling.BICUBIC, fillcolor=255)
        likeness.append(alike(pictures.prepare(turned, DIGIT), clean))
    assert sorted(likeness)[2] > 0.8, likeness


def tight(drawn: Image.Image) -> np.ndarray:
    """The mark that is drawn, light on black, and no more."""
    mark = np.asarray(drawn) > 127
    top, bottom, left, right = extent(mark)
    return mark[top : bottom + 1, left : right + 1]


@pytest.mark.parametrize("pen", [0.03, 0.06, 0.1, 0.2])
def test_nothing_is_taken_from_a_digit_that_stands_alone(pen: float) -> None:
    for digit in range(10):
        for seed in range(3):
            drawn = strokes.draw(digit, size=(160, 160), height=0.9, pen=pen, seed=seed, ink=255, paper=0)
            mark = tight(drawn)
            assert without_touching(mark) is mark


@pytest.mark.parametrize(
    "lines",
    [
        [(0.2, 0.2, 0.5, 0.1), (0.5, 0.1, 0.6, 0.3), (0.6, 0.3, 0.35, 0.9), (0.1, 0.9, 0.9, 0.9)],  # the foot of a 2
        [(0.2, 0.1, 0.8, 0.1), (0.8, 0.1, 0.4, 0.9), (0.3, 0.5, 0.8, 0.5)],  # the bar of a 7
        [(0.5, 0.1, 0.2, 0.7), (0.1, 0.7, 0.9, 0.7), (0.6, 0.3, 0.6, 0.9)],  # the bar of a 4
        [(0.2, 0.1, 0.8, 0.1), (0.5, 0.1, 0.4, 0.9)],  # the top of a 7
    ],
)
def test_what_looks_like_a_line_stays_where_it_may_be_a_part_of_the_digit(lines: list[tuple[float, ...]]) -> None:
    for width in (3, 8, 14):
        sheet = Image.new("L", (160, 160))
        for line in lines:
            ImageDraw.Draw(sheet).line([160 * end for end in line], fill=255, width=width)
        mark = tight(sheet)
        assert without_touching(mark) is mark


@pytest.mark.parametrize("tall", [120, 150])
@pytest.mark.parametrize("slash", [(0.2, 0.8), (-0.1, 1.1)])
@pytest.mark.parametrize("width", [4, 10, 20])
def test_a_zero_keeps_its_ring(tall: int, slash: tuple[float, float], width: int) -> None:
    start, end = slash
    for lines in ([(start, end, end, start)], [(0.1, 0.2, 0.5, 0.5)], []):  # slashed, begun with a curl, plain
        sheet = Image.new("L", (200, 200))
        draw = ImageDraw.Draw(sheet)
        draw.ellipse((25, 25, 145, 25 + tall), outline=255, width=width)
        for x, y, u, v in lines:
            draw.line((25 + 120 * x, 25 + tall * y, 25 + 120 * u, 25 + tall * v), fill=255, width=width)
        mark = tight(sheet)
        assert without_touching(mark) is mark


@pytest.mark.parametrize("kind", ["round", "torn"])
def test_a_sheet_on_a_table_may_be_of_any_shape(kind: str) -> None:
    likeness = []
    for digit in range(10):
        drawn = strokes.draw(digit, size=(400, 400), height=0.5)
        clean = pictures.prepare(drawn, DIGIT)
        shape, chance = Image.new("L", (640, 480)), random.Random(digit)
        angles = [math.radians(turn) for turn in range(0, 360, 6)]
        far = [190 * (1 if kind == "round" else chance.uniform(0.88, 1)) for _ in angles]
        points = [
            (330 + away * math.cos(angle), 235 + away * math.sin(angle))
            for away, angle in zip(far, angles, strict=True)
        ]
        ImageDraw.Draw(shape).polygon(points, fill=255)
        table = Image.new("L", shape.size, 70)
        sheet = Image.new("L", shape.size, 255)
        sheet.paste(drawn, (130, 35))
        table.paste(sheet, mask=shape)
        likeness.append(alike(pictures.prepare(strokes.photograph(table, noise=3), DIGIT), clean))
    assert sorted(likeness)[2] > 0.85, likeness


def test_a_digit_of_dots_is_one() -> None:
    for digit in range(10):
        whole = np.array(strokes.draw(digit, size=(400, 400), pen=0.06))
        dots = np.full_like(whole, 255)
        for y in range(10, 400, 28):
            for x in range(10, 400, 28):
                if whole[y - 6 : y + 7, x - 6 : x + 7].min() < 128:
                    dots[y - 6 : y + 7, x - 6 : x + 7] = 20
        box = pictures.inspect(Image.fromarray(dots), DIGIT).box
        assert box is not None
        top, bottom = np.flatnonzero((dots < 128).any(axis=1))[[0, -1]]
        assert box[1] < top + 14
        assert box[3] > bottom - 14


def test_a_small_crop_of_a_photograph_is_not_taken_for_an_empty_sheet() -> None:
    for digit in range(10):
        sheet = strokes.draw(digit, size=(32, 32), height=0.7, ink=(150, 140, 130), paper=(90, 100, 120))
        light = np.linspace(0.6, 1.2, 32)[:, np.newaxis, np.newaxis]
        assert prepare(encode(Image.fromarray((np.array(sheet) * light).astype(np.uint8)))).any()


@pytest.mark.parametrize("turn", [0, 5])
def test_a_box_darker_than_the_digit_is_no_digit(turn: int) -> None:
    likeness = []
    for digit in range(10):
        sheet = strokes.draw(digit, size=(100, 130), height=0.4, ink=(70, 90, 190), paper=(255, 255, 255))
        clean = pictures.prepare(sheet, DIGIT)
        box = Image.new("L", sheet.size, 255)
        ImageDraw.Draw(box).rectangle((10, 12, 88, 118), outline=20, width=3)
        box = box.rotate(turn, Image.Resampling.BICUBIC, fillcolor=255)
        likeness.append(alike(pictures.prepare(ImageChops.darker(sheet, box.convert("RGB")), DIGIT), clean))
    assert min(likeness) > 0.85, likeness


@pytest.mark.parametrize(
    ("side", "beyond"),
    [("left", 0), ("right", 0), ("top", 0), ("bottom", 0), ("left", 10), ("right", 10), ("top", 30), ("bottom", 30)],
)
@pytest.mark.parametrize("turn", [0, 4])
def test_a_digit_may_touch_the_box_that_it_stands_in_and_cross_its_lines(side: str, turn: int, beyond: int) -> None:
    likeness = []
    for digit in range(10):
        sheet = strokes.draw(digit, size=(200, 260), height=0.4)
        clean = pictures.prepare(sheet, DIGIT)
        left, top, right, bottom = ImageChops.invert(sheet).getbbox()  # type: ignore[misc]
        ends = {"left": 30, "top": 30, "right": 170, "bottom": 230}
        edges = {"left": left + beyond, "top": top + beyond, "right": right - beyond, "bottom": bottom - beyond}
        ends[side] = edges[side]
        box = Image.new("L", sheet.size, 255)
        ImageDraw.Draw(box).rectangle(
            tuple(ends[each] for each in ("left", "top", "right", "bottom")), outline=20, width=3
        )
        turned = ImageChops.darker(sheet, box).rotate(turn, Image.Resampling.BICUBIC, fillcolor=255)
        likeness.append(alike(pictures.prepare(turned, DIGIT), clean))
    assert sorted(likeness)[2] > 0.8, likeness


@pytest.mark.parametrize("corners", [2, 3, 4, 5, 6])
def test_lines_around_a_digit_may_be_of_any_shape(corners: int) -> None:
    for turn in range(0, 360, 15):
        sheet = strokes.draw(7, size=(200, 200), height=0.2)
        angles = [math.radians(turn + 360 * number / corners) for number in range(corners)]
        points = [(100 + 90 * math.cos(angle), 100 + 90 * math.sin(angle)) for angle in angles]
        ImageDraw.Draw(sheet).line([*points, points[0]], fill=20, width=4)
        assert pictures.prepare(sheet, DIGIT).any()


@pytest.mark.parametrize("kind", ["ruled", "squared", "narrow", "aside"])
def test_blank_paper_of_any_kind_is_black(kind: str) -> None:
    for seed in range(5):
        assert not pictures.prepare(hard(Image.new("RGB", (640, 480), (236, 230, 214)), kind, seed), DIGIT).any()


def test_a_broad_pen_is_no_sheet_of_paper() -> None:
    for digit in range(10):
        drawn = strokes.draw(digit, size=(560, 560), height=0.9, pen=0.25, ink=255, paper=0)
        same = strokes.draw(digit, size=(560, 560), height=0.9, pen=0.25)
        assert alike(pictures.prepare(drawn, DIGIT), pictures.prepare(same, DIGIT)) > 0.95


@pytest.mark.parametrize("pen", [0.012, 0.03, 0.2, 0.28])
def test_fine_and_broad_pens_become_like_mnist(pen: float) -> None:
    for digit in (1, 2, 3, 5, 7):
        pixels = pictures.prepare(strokes.draw(digit, pen=pen), DIGIT)[..., 0] > 127
        inside = pixels[1:-1, 1:-1] & pixels[:-2, 1:-1] & pixels[2:, 1:-1] & pixels[1:-1, :-2] & pixels[1:-1, 2:]
        assert 1.5 < 2 * pixels.sum() / (pixels.sum() - inside.sum()) < 5


def test_what_was_done_is_told() -> None:
    sheet = strokes.draw(7, size=(400, 300), centre=(0.3, 0.5))
    seen = pictures.inspect(sheet, DIGIT)
    rows, columns = np.nonzero(np.asarray(sheet) < 128)
    assert seen.prepared
    assert seen.inverted
    assert seen.box == pytest.approx((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=3)
    assert seen.scale == pytest.approx(20 / (np.ptp(rows) + 1), rel=0.05)
    ink = np.nonzero(seen.pixels[..., 0] > 40)
    assert (ink[1].min(), ink[0].min()) == pytest.approx(seen.shift, abs=1)


def test_what_was_done_is_told_of_the_whole_picture_not_of_the_sheet_in_it() -> None:
    sheet = strokes.draw(7, size=(400, 300), centre=(0.3, 0.5))
    table = Image.new("L", (560, 400), 60)
    table.paste(sheet, (130, 70))
    rows, columns = np.nonzero(np.asarray(sheet) < 128)
    expected = (columns.min() + 130, rows.min() + 70, columns.max() + 131, rows.max() + 71)
    assert pictures.inspect(table, DIGIT).box == pytest.approx(expected, abs=4)


def test_nothing_is_told_where_nothing_was_done() -> None:
    seen = pictures.inspect(Image.fromarray(strokes.golden((28, 28, 1))[3, ..., 0]), DIGIT, mode="none")
    assert not seen.prepared
    assert seen.box is None
    assert seen.scale == 1


# Hostile files


def test_huge_picture_is_refused_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(MILLION), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert len(data) < 1200
    with pytest.raises(PictureTooLarge) as caught:
        pictures.open_picture(data, max_pixels=20 * MILLION)
    assert "50,000 × 50,000" in caught.value.found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_cap_counts_for_every_format(kind: str) -> None:
    data = encode(Image.new("L", (101, 100)), kind)
    pictures.open_picture(data, max_pixels=10_100)
    with pytest.raises(PictureTooLarge):
        pictures.open_picture(data, max_pixels=10_099)


def test_huge_webp_is_refused() -> None:
    header = b"\x10\0\0\0" + (16382).to_bytes(3, "little") * 2
    data = b"WEBPVP8X" + struct.pack("<I", 10) + header + b"VP8L" + struct.pack("<I", 0)
    with pytest.raises(CallerError):
        pictures.open_picture(b"RIFF" + struct.pack("<I", len(data)) + data, max_pixels=20 * MILLION)


@pytest.mark.parametrize(
    "parts",
    [b"", chunk(b"PLTE", bytes(12)) + chunk(b"tRNS", bytes(300))],
    ids=["none", "more of it transparent than there is"],
)
def test_a_palette_that_is_not_whole(parts: bytes) -> None:
    header = struct.pack(">IIBBBBB", 30, 30, 8, 3, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(30)) * 30))
    with pytest.raises(BadPicture, match="damaged"):
        prepare(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + parts + rows + chunk(b"IEND", b""))


def test_huge_text_in_a_png() -> None:
    plain = encode(strokes.draw(7))
    text = chunk(b"tEXt", b"Comment\0" + bytes(100 * MILLION))
    with pytest.raises(BadPicture):
        prepare(plain[:33] + text + plain[33:])


def test_zip_bomb_in_a_png_text() -> None:
    plain = encode(strokes.draw(7))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 * MILLION)))
    with pytest.raises(BadPicture):
        prepare(plain[:33] + text + plain[33:])


def test_ever_so_many_parts_are_refused() -> None:
    png = encode(strokes.draw(7))
    gif = encode(strokes.draw(7), "GIF")
    jpeg = encode(strokes.draw(7), "JPEG")
    for data in (
        png[:33] + chunk(b"abCd", b"") * 200_000 + png[33:],
        gif[: 13 + 3 * (2 << (gif[10] & 7))] + b"!\xfe" + (b"\xff" + bytes([1] * 255)) * 20_000 + b"\0;",
        jpeg[:2] + b"\xff\xe1\0\x09Exif\0\0x" * 200_000 + jpeg[2:],
        jpeg[:20] + bytes(2 * MILLION) + jpeg[20:],
    ):
        with pytest.raises(BadPicture):
            prepare(data)


def test_ever_so_many_scans_are_refused() -> None:
    rough = Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400), dtype=np.uint8))
    data = encode(rough, "JPEG", progressive=True, quality=95)
    assert len(data) > pictures.SMALL_BYTES
    start = data.rindex(b"\xff\xda")
    prepare(data)
    with pytest.raises(BadPicture):
        prepare(data[:start] + data[start:-2] * 101 + data[-2:])
    small = encode(rough.resize((40, 40)), "JPEG", progressive=True)
    start = small.rindex(b"\xff\xda")
    many = small[:start] + small[start:-2] * 101 + small[-2:]
    assert len(many) < pictures.SMALL_BYTES
    with pytest.raises(BadPicture):
        prepare(many)


def samples() -> dict[str, bytes]:
    """Small files of every kind, with everything in them that has its own way through the decoder."""
    small = strokes.draw(7, size=(30, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [strokes.draw(3, size=(30, 24))]
    return {
        "PNG": encode(small, exif=exif),
        "PNG 16": encode(Image.fromarray(np.asarray(small).astype(np.uint16) * 257)),
        "PNG P": encode(small.convert("RGB").quantize(8), transparency=1),
        "APNG": encode(small, save_all=True, append_images=frames),
        "JPEG": encode(small, "JPEG", exif=exif, quality=40),
        "JPEG progressive": encode(small.convert("RGB"), "JPEG", progressive=True, quality=40),
        "WEBP": encode(small, "WEBP", exif=exif),
        "WEBP lossless": encode(small.convert("RGBA"), "WEBP", lossless=True),
        "BMP": encode(small, "BMP"),
        "GIF": encode(small, "GIF", save_all=True, append_images=frames),
    }


def survives(data: bytes) -> None:
    """Either a picture or a caller's mistake: anything else is ours."""
    try:
        pixels = prepare(data, max_pixels=100_000)
    except CallerError:
        return
    assert pixels.shape == (28, 28, 1)


@pytest.mark.parametrize("name", samples())
def test_truncated_at_every_byte(name: str) -> None:
    data = samples()[name]
    for length in range(len(data)):
        survives(data[:length])


@pytest.mark.parametrize("name", samples())
def test_flipped_bits(name: str) -> None:
    data, chance = samples()[name], random.Random(19)
    for _ in range(600):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        survives(bytes(broken))


def test_threads_do_not_disturb_each_other() -> None:
    files = [encode(strokes.draw(digit, size=(120, 120))) for digit in range(10)]
    alone = [prepare(data) for data in files]
    wrong: list[int] = []

    def work() -> None:
        for index, data in enumerate(files * 3):
            if not np.array_equal(prepare(data), alone[index % 10]):
                wrong.append(index)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
