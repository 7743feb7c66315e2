"""The plainest PNG files, most of what a classifier of small pictures is sent: small, grey, 8 bits, nothing else.

Pillow reads them as well, but what it does for all PNG files costs more than such a picture itself.
"""

import struct
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import _imaging

HEAD = struct.Struct(">8sI4sIIBBBBBI")
"""Signature; length and name of the first chunk; width, height, depth, colours, three methods; checksum."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PLAIN = (8, 0, 0, 0, 0)
"""8 bits, grey, and the methods that every file has: not interlaced."""
DONE = (-1, 0)
"""What a decoder of Pillow's says after the last row."""


def read(data: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """Decode a PNG file of this size that has nothing but a header and its pixels.

    Returns:
        (height, width); None for whatever Pillow should look at: not such a file, of another size, coloured, with more
        in it, or damaged.
    """
    if len(data) < HEAD.size:
        return None
    *kind, checksum = HEAD.unpack_from(data)
    if kind != [SIGNATURE, 13, b"IHDR", width, height, *PLAIN] or crc32(data[12:29]) != checksum:
        return None
    packed = []
    start = HEAD.size
    while (name := data[start + 4 : start + 8]) == b"IDAT":
        end = start + 8 + int.from_bytes(data[start : start + 4])
        if crc32(data[start + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return None
        packed.append(data[start + 8 : end])
        start = end + 4
    return unpack(b"".join(packed), width, height) if name == b"IEND" else None


def unpack(packed: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """Rows as PNG packs them → (height, width); None for too few, or what does not unpack.

    By the parts of Pillow's own `Image.frombytes` and `tobytes`, without the picture around them, which takes longer.
    """
    whole = (0, 0, width, height)
    image = _imaging.new("L", (width, height))
    decoder = _imaging.zip_decoder("L", "L", 0)
    decoder.setimage(image, whole)
    if decoder.decode(packed) != DONE:
        return None
    encoder = _imaging.raw_encoder("L", "L", 0, 1)
    encoder.setimage(image, whole)
    _, _, pixels = encoder.encode(width * height)
    return np.frombuffer(pixels, np.uint8).reshape(height, width)
