import io
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service import png
from service.pictures import open_picture

GREY = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
SMOOTH = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8) * 4


def write(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)  # type: ignore[arg-type]
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)


def build(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])


ROWS = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY))


@pytest.mark.parametrize("pixels", [GREY, SMOOTH, GREY[:1, :1], GREY[:5, :20]], ids=["noise", "smooth", "dot", "strip"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"compress_level": 0}])
def test_reads_what_pillow_reads(pixels: np.ndarray, options: dict[str, object]) -> None:
    height, width = pixels.shape
    found = png.read(write(pixels, **options), width, height)
    assert found is not None
    np.testing.assert_array_equal(found, pixels)


def test_pixels_in_several_chunks() -> None:
    found = png.read(build(header(28, 28), (b"IDAT", ROWS[:9]), (b"IDAT", ROWS[9:]), (b"IEND", b"")), 28, 28)
    assert found is not None
    np.testing.assert_array_equal(found, GREY)


def test_leaves_the_rest_to_pillow() -> None:
    text = PngInfo()
    text.add_text("Title", "seven")
    files = [
        write(GREY[:, :27]),
        write(np.stack([GREY] * 3, axis=-1)),
        write(GREY > 127),
        write(GREY, pnginfo=text),
        write(GREY, transparency=0),
    ]
    assert [png.read(file, 28, 28) for file in files] == [None] * 5
    assert all(open_picture(file, max_pixels=10_000).size for file in files)
    assert png.read(b"\xff" + write(GREY)[1:], 28, 28) is None


@pytest.mark.parametrize(
    "file",
    [
        write(GREY)[:20],
        write(GREY)[:60],
        write(GREY)[:-20],
        write(GREY).replace(b"IDAT", b"IDOT"),
        write(GREY).replace(write(GREY)[29:33], b"\0\0\0\0"),
        build(header(28, 28), (b"IDAT", ROWS[:99]), (b"IEND", b"")),
        build(header(28, 28), (b"IDAT", b"no zlib at all"), (b"IEND", b"")),
        build(header(28, 28), (b"IEND", b"")),
        build(header(0, 28), (b"IDAT", ROWS), (b"IEND", b"")),
    ],
    ids=["head", "cut", "no end", "no pixels", "checksum", "too few", "not packed", "none", "no width"],
)
def test_leaves_damaged_files_to_pillow(file: bytes) -> None:
    assert png.read(file, 28, 28) is None


def test_damage_to_a_byte_never_changes_the_picture_in_silence() -> None:
    whole = write(SMOOTH)
    for index in range(8, len(whole)):
        found = png.read(whole[:index] + bytes([whole[index] ^ 0x55]) + whole[index + 1 :], 28, 28)
        assert found is None or (found == SMOOTH).all()
