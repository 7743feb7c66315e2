"""File bytes → the pixels that the network was trained on.

    recognise ──► open_picture ──► prepare
    first bytes   header only      decode, turn, flatten, then centre or fit

What is the network's input already needs none of it: `read_ready`.

Nothing here knows HTTP, models or queues. Finding the digit on a sheet lies in `paper.py` and `marks.py`.
"""

import io
import warnings
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service import paper, png
from service.errors import BadPicture, EmptyBody, PictureTooLarge, UnsupportedPicture, WrongShape
from service.manifest import Input

# What Pillow warns of (odd animations, odd EXIF, its own size limit) is settled by our own rules.
warnings.filterwarnings("ignore", module=r"PIL\.")

Mode = Literal["auto", "none"]

# The allow list. Called directly: Image.open would add its own size limit and half of the time that a small file takes.
OPENERS: dict[str, Any] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
}

CHANGED = b"\x89PNG\x1a"
"""How a PNG file begins whose line ends somebody took for those of a text."""

AS_TEXT = (b"data:image/", b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR")
"""How picture files begin as base64: any, PNG, JPEG, GIF, WebP."""

# What people send instead: where the telling bytes stand, these bytes, the words for it.
OTHERS = (
    (0, b"II*\0", "a TIFF file"),
    (0, b"MM\0*", "a TIFF file"),
    (0, b"II+\0", "a TIFF file"),
    (0, b"MM\0+", "a TIFF file"),
    (0, b"8BPS", "a PSD file"),
    (0, b"%!PS", "an EPS file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (0, b"%PDF", "a PDF file"),
    (0, b"\0\0\1\0", "an ICO file"),
    (0, b"\0\0\2\0\0\0\0\0", "a TGA file"),
    (0, b"\0\0\2\0", "a CUR file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (4, b"ftyphei", "a HEIC file"),
    (4, b"ftyphev", "a HEIC file"),
    (4, b"ftypmif1", "a HEIC file"),
    (4, b"ftypmsf1", "a HEIC file"),
    (4, b"ftypavi", "an AVIF file"),
    (4, b"ftyp", "a video"),
    (4, b"jP  \r\n", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (4, b"JXL \r\n", "a JPEG XL file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"qoif", "a QOI file"),
    (0, b"\x93NUMPY", "a NumPy file"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
)

# Small files are read as they come; a larger one may not consist of ever so many little parts, which Pillow walks
# through one by one, some of them in quadratic time (comments of a GIF, EXIF of a JPEG).
SMALL_BYTES = 1 << 16
READY_PIXELS = 64 * 64  # up to here, a file that is the network's input already is looked for before all else
PARTS_OF_HEADER = 2_000
PARTS_OF_BODY = 100_000
SCANS = 100  # each scan of a progressive JPEG goes over the whole picture again; cameras and editors write about ten

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112

DETAIL = 1600  # pixels on the longer side that are kept of a large picture: enough for a digit on a page of paper
CUT = 64  # pixels on the longer side up to which a picture is no photograph of a sheet, but a digit that was cut out
PATTERN = 192  # pixels on the longer side in which it is looked whether anything stands out
NEAR = 16  # of these to either side, that a place is compared with
PLAIN = 40  # greys that ink stands out by, where no colour need be looked at
CLEARER = 2.0  # times as far as in grey ink must stand out in one colour; and of noise, which is up to …
NOISE = 4  # … so many greys
LEAST = 112  # pixels on the longer side to which a smaller picture is enlarged: strokes of a few pixels become smooth


class Seen(NamedTuple):
    """What the network is given, and what was done to the picture for it.

    A point (x, y) of the picture, after turning, lies at (x - box[0]) × scale + shift[0] and
    (y - box[1]) × scale + shift[1] of `pixels`.
    """

    pixels: np.ndarray
    """uint8, exactly the shape of the input."""
    prepared: bool = False
    """Whether anything was done at all beyond decoding, greys and paper."""
    turned: int = 1
    """The EXIF orientation that was undone, 1 to 8; 1 is upright."""
    inverted: bool = False
    """Dark ink on light paper became light on black."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom of what was taken, in pixels of the picture; None where there was nothing to see."""
    scale: float = 1.0
    """Pixels of the input per pixel of the picture."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Where the box's left upper corner went, in pixels of the input: x, y."""
    others: int = 0
    """Marks that were left out, though they could have been meant as well."""


def recognise(data: bytes) -> str | None:
    """Tell the format by the first bytes: PNG, JPEG, WEBP, BMP, GIF, or None for everything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    # "BM" alone also begins many a text; the length of the second header has few values.
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "BMP"
    return None


def read_ready(data: bytes, target: Input, *, mode: Mode = "auto", max_pixels: int = READY_PIXELS) -> Seen | None:
    """The plainest way: a small grey PNG file of the input's size, and prepared as the training pictures were.

    Arguments as in `prepare` and `open_picture`.

    Returns:
        What `inspect` would; None for whatever has to go that way.
    """
    height, width, channels = target.shape
    if channels != 1 or height * width > min(max_pixels, READY_PIXELS) or len(data) >= SMALL_BYTES:
        return None
    found = png.read(data, width, height)
    if found is None:
        return None
    pixels = found[..., np.newaxis]
    if mode == "auto" and target.preparation == "centred" and not looks_prepared(pixels):
        return None
    return Seen(pixels)


def open_picture(data: bytes, *, max_pixels: int) -> Image.Image:
    """Read the header of a picture file; its pixels are decoded later, by `prepare`.

    Args:
        data: A whole PNG, JPEG, WebP, BMP or GIF file; of an animation, the first picture counts.
        max_pixels: Largest width × height.

    Raises:
        EmptyBody: Not a single byte.
        UnsupportedPicture: Another kind of file; names it where it can.
        PictureTooLarge: The header announces more than `max_pixels`.
        BadPicture: The header is damaged.
    """
    kind = recognise(data)
    if kind is None:
        raise _refusal(data)
    small = len(data) < SMALL_BYTES
    if kind == "JPEG" and data.count(b"\xff\xda") > SCANS:
        raise BadPicture("The JPEG file has too many scans", expected=f"at most {SCANS} scans")
    file = io.BytesIO(data) if small else Parts(data, PARTS_OF_HEADER)
    try:
        image: Image.Image = OPENERS[kind](file)
    except Image.DecompressionBombError:
        raise PictureTooLarge("The picture has too many pixels", expected=f"at most {max_pixels:,} pixels") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise _damaged(kind, error) from None
    width, height = image.size
    if width * height > max_pixels:
        raise PictureTooLarge(
            "The picture has too many pixels",
            expected=f"at most {max_pixels:,} pixels",
            found=f"{width:,} × {height:,} = {width * height:,} pixels",
            fix="send a smaller picture",
        )
    if isinstance(file, Parts):
        file.left = PARTS_OF_BODY
    return image


def prepare(image: Image.Image, target: Input, *, mode: Mode = "auto") -> np.ndarray:
    """Turn an opened picture into the pixels that the network was trained on.

    Args:
        image: From `open_picture`, or any picture of Pillow's.
        target: The version's input: its shape, and how its training pictures were prepared.
        mode: "auto" does what `target.preparation` says. "centred": the picture becomes light ink on black, cropped to
            the digit, scaled into a box of 20/28 of the input, its centre of mass in the middle, as MNIST was made; a
            picture that already looks so is left bit for bit, a blank one is black. Anything else: scaled to fit,
            nothing more. "none" decodes, makes grey and puts paper behind transparency, but neither inverts, crops
            nor scales.

    Returns:
        uint8 array of exactly `target.shape`; 0 is black, 255 is white. May be read-only.

    Raises:
        BadPicture: The file is damaged.
        WrongShape: `mode` is "none" and the picture has not the input's width and height.

    Source: colours become grey by the luma weights of ITU-R BT.601, as in Pillow's mode "L".
    """
    return inspect(image, target, mode=mode).pixels


def inspect(image: Image.Image, target: Input, *, mode: Mode = "auto") -> Seen:
    """Like `prepare`, and tells what was done."""
    height, width, channels = target.shape
    size = image.size
    centred = mode == "auto" and target.preparation == "centred"
    try:
        if centred and image.format == "JPEG" and max(size) > 2 * DETAIL:
            # Cheap and good: libjpeg leaves the colours out and scales while it decodes.
            image.draft("L", (max(1, DETAIL * size[0] // max(size)), max(1, DETAIL * size[1] // max(size))))
        image.load()
        turned = _orientation(image)
        upright = image if turned == 1 else image.transpose(TURNS[turned])
        flat = _flat(upright, "L" if centred or channels == 1 else "RGB")  # which meets what is wrong with a palette
        if centred and flat.size != (width, height) and Image.getmodebase(upright.mode) != "L":
            flat = _clearest(upright, flat)
    except Exception as error:
        raise _damaged(image.format or "picture", error) from None
    size = size[::-1] if turned >= 5 else size

    if flat.size == (width, height):
        pixels = np.frombuffer(flat.tobytes(), np.uint8).reshape(target.shape)
        if not centred or looks_prepared(pixels):
            return Seen(pixels, turned=turned)
        if looks_prepared(255 - pixels):
            return Seen(255 - pixels, prepared=True, turned=turned, inverted=True, box=(0.0, 0.0, width, height))
    if mode == "none":
        raise WrongShape(
            "The picture has not the size of the network's input",
            expected=f"{width} × {height} pixels",
            found=f"{size[0]} × {size[1]} pixels",
            fix="send it with prepare=auto, which crops, scales and centres",
        )
    if not centred:
        return _fit(flat, target.shape)._replace(turned=turned)
    return _centre(flat, size, target.shape)._replace(turned=turned)


class Parts(io.BytesIO):
    """A file that may be read in at most `left` parts."""

    def __init__(self, data: bytes, left: int) -> None:
        super().__init__(data)
        self.left = left

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError("consists of too many parts")
        return super().read(size)


def _refusal(data: bytes) -> EmptyBody | UnsupportedPicture:
    """The error for what is none of our formats."""
    if not data:
        return EmptyBody("Nothing was sent", expected="a picture file", fix="put the file's bytes into the body")
    found = next((name for at, sign, name in OTHERS if data.startswith(sign, at)), "")
    if data.startswith(CHANGED):
        return UnsupportedPicture(
            "This was a PNG file until its line ends were changed on the way",
            expected="the file's bytes as they are",
            found=f"the bytes {data[:6].hex(' ')}, where a PNG file begins with 89 50 4e 47 0d 0a",
            fix="curl sends them as they are with --data-binary instead of -d",
        )
    if data[:64].lstrip(b" \t\r\n\"'").startswith(AS_TEXT):
        return UnsupportedPicture(
            "This is a picture file as base64 text, and not the file itself",
            expected="the file's own bytes",
            found=f"text that begins with {data[:12].decode('ascii', 'replace')!r}",
            fix='send the file as it is, or the text in JSON: {"image": "…"}',
        )
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not found and text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype")):
        found = "an SVG file" if b"svg" in text else "an XML or HTML file"
    return UnsupportedPicture(
        "This is not a picture file of a kind that we read",
        expected="PNG, JPEG, WebP, BMP or GIF",
        found=found or f"a file that begins with the bytes {data[:8].hex(' ')}",
        fix="save it as PNG",
    )


def _damaged(kind: str, error: Exception) -> BadPicture:
    words = str(error) if isinstance(error, OSError | SyntaxError | ValueError) else ""
    return BadPicture(f"The {kind} file is damaged", found=words or "broken data", fix="save it once more as PNG")


def _orientation(image: Image.Image) -> int:
    """How the camera was held, by EXIF: 1 (upright) to 8; 1 too if that can not be read."""
    if "exif" not in image.info:
        return 1
    try:
        turned = image.getexif().get(ORIENTATION, 1)
        return int(turned) if turned in TURNS else 1  # some write it as a fraction
    except Exception:  # damaged EXIF is no reason to refuse a picture
        return 1


def _flat(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """The picture without alpha, palette or 16 bits, in mode L or RGB."""
    if image.mode == "L" and mode == "L" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _on_paper(image.convert("LA" if image.mode in ("1", "L", "La", "LA") else "RGBA"), mode)
    return image.convert(mode)


def _clearest(image: Image.Image, grey: Image.Image) -> Image.Image:
    """A picture's red, green or blue where ink and paper of different colours have nearly the same grey; else `grey`.

    A large photograph has been decoded without its colours.
    """
    contrast = _stands_out(grey)
    if contrast > PLAIN:
        return grey
    colours = _flat(image, "RGB").split()
    clear = [_stands_out(colour) for colour in colours]
    best = int(np.argmax(clear))
    return colours[best] if clear[best] > CLEARER * max(contrast, NOISE) else grey


def _stands_out(channel: Image.Image) -> int:
    """Greys by which the hundredth that does so most stands out from what is around it."""
    scale = PATTERN / max(channel.size)
    width, height = (max(1, round(side * scale)) for side in channel.size)
    small = channel.resize((width, height), Image.Resampling.BOX)
    apart = ImageChops.difference(small, small.filter(ImageFilter.BoxBlur(NEAR))).histogram()
    return int(np.searchsorted(np.cumsum(apart), 0.99 * width * height))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits a pixel, in any of Pillow's modes for that, scaled down to 8."""
    wide = np.asarray(image).clip(0, 65535).astype(np.uint32)
    grey = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(wide == clear, 0, 255).astype(np.uint8)))
    return grey


def _on_paper(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """Put paper behind a picture in mode LA or RGBA so that its ink stays visible.

    Mostly the opaque part is ink: then dark ink gets white paper, light ink black. A picture that brings paper of its
    own (mostly opaque, light and dark) gets more of that.
    """
    alpha = image.getchannel("A")
    solid = image.convert(mode)
    if alpha.getextrema()[0] == 255:
        return solid
    counts = np.array(solid.convert("L").histogram(alpha.point(lambda value: 255 * (value > 127))))
    reached = np.cumsum(counts) / max(1, counts.sum())
    low, middle, high = (int(np.searchsorted(reached, share)) for share in (0.02, 0.5, 0.98))
    if high - low > 64 and counts.sum() > image.width * image.height / 2:
        shade = middle
    else:
        shade = 255 if (counts @ np.arange(256)) / max(1, counts.sum()) < 128 else 0
    sheet = Image.new(mode, image.size, shade if mode == "L" else (shade,) * 3)
    sheet.paste(solid, mask=alpha)
    return sheet


@cache
def _layout(height: int, width: int) -> np.ndarray:
    """Weights that give a picture's mass and its first moments in one product: float32 (height × width, 3)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3).astype(np.float32)


def looks_prepared(pixels: np.ndarray) -> bool:
    """Whether this is what `_centre` would make: light on black, fills the box, centre of mass in the middle.

    True for each of MNIST's 70,000: longer side 19 or 20 of 28, brightest pixel 254 or 255, centre of mass at most half
    a pixel from the middle (which lies at index 14).
    """
    height, width, channels = pixels.shape
    if channels != 1:
        return False
    # Of so few pixels, bytes are looked through in a fraction of the time that NumPy takes to begin.
    data = pixels.tobytes()
    if b"\xff" not in data and b"\xfe" not in data:
        return False
    box = paper.box_side(height, width)
    tall = (len(data.rstrip(b"\0")) - 1) // width - (len(data) - len(data.lstrip(b"\0"))) // width + 1
    if tall > box:
        return False
    empty, left, right = bytes(height), 0, width - 1
    while data[left::width] == empty:
        left += 1
    while data[right::width] == empty:
        right -= 1
    if not box - 1 <= max(tall, right - left + 1) <= box:
        return False
    mass, x, y = pixels.reshape(-1).astype(np.float32).dot(_layout(height, width)).tolist()
    reach = 0.53 * mass
    return bool(abs(x - mass * (width // 2)) <= reach and abs(y - mass * (height // 2)) <= reach)


def _fit(flat: Image.Image, shape: tuple[int, int, int]) -> Seen:
    """Scaled to fit, the rest in the colour that its edge has most: each channel's median."""
    height, width, channels = shape
    times = min(width / flat.width, height / flat.height)  # of the thinnest, ImageOps.contain would leave nothing
    size = max(1, round(flat.width * times)), max(1, round(flat.height * times))
    small = flat.resize(size, Image.Resampling.BICUBIC)
    corner = (width - small.width) // 2, (height - small.height) // 2
    inner = np.asarray(small).reshape(small.height, small.width, channels)
    edge = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    paper = tuple(int(value) for value in np.median(edge, axis=0))
    sheet = Image.new(flat.mode, (width, height), paper if channels > 1 else paper[0])
    sheet.paste(small, corner)
    pixels = np.asarray(sheet).reshape(height, width, channels)
    box = (0.0, 0.0, float(flat.width), float(flat.height))
    return Seen(pixels, prepared=True, box=box, scale=times, shift=corner)


def _centre(flat: Image.Image, size: tuple[int, int], shape: tuple[int, int, int]) -> Seen:
    """Found by `paper.py`, told in pixels of the picture as it was sent."""
    if max(flat.size) > 2 * DETAIL:
        flat = flat.reduce(max(flat.size) // DETAIL)
    elif max(flat.size) < LEAST:
        more = -(-LEAST // max(flat.size))
        flat = flat.resize((flat.width * more, flat.height * more), Image.Resampling.BICUBIC)
    placed = paper.place(flat, shape, plain=max(size) <= CUT)
    if placed.box is None:
        return Seen(placed.pixels, prepared=True)
    times = size[0] / flat.width
    left, top, right, bottom = (side * times for side in placed.box)
    return Seen(
        placed.pixels,
        prepared=True,
        inverted=placed.inverted,
        box=(left, top, right, bottom),
        scale=placed.scale / times,
        shift=placed.shift,
        others=placed.others,
    )
