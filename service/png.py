"""The plainest PNG files, most of what a classifier of small pictures is sent: small, grey, 8 bits, nothing else.

Pillow reads them as well, but what it does for all PNG files costs more than such a picture itself.
"""

import struct
from zlib import crc32

from PIL import Image

HEAD = struct.Struct(">8sI4sIIBBBBBI")
"""Signature; length and name of the first chunk; width, height, depth, colours, three methods; checksum."""
PLAIN = (8, 0, 0, 0, 0)
"""8 bits, grey, and the methods that every file has: not interlaced."""


def read(data: bytes, max_pixels: int) -> Image.Image | None:
    """Decode a PNG file that has nothing but a header and its pixels.

    Args:
        data: Begins with the signature of PNG.
        max_pixels: Largest width × height that is read here.

    Returns:
        A picture in mode L; None for whatever Pillow should look at: larger, coloured, with more in it, or damaged.
    """
    if len(data) < HEAD.size:
        return None
    _, length, name, width, height, *form, checksum = HEAD.unpack_from(data)
    if name != b"IHDR" or length != 13 or tuple(form) != PLAIN or not 0 < width * height <= max_pixels:
        return None
    if crc32(data[12:29]) != checksum:
        return None
    pixels = []
    start = HEAD.size
    while (name := data[start + 4 : start + 8]) == b"IDAT":
        end = start + 8 + int.from_bytes(data[start : start + 4])
        if crc32(data[start + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return None
        pixels.append(data[start + 8 : end])
        start = end + 4
    if name != b"IEND":
        return None
    try:
        return Image.frombytes("L", (width, height), b"".join(pixels), "zip", "L", 0)
    except ValueError:  # too little data, or none that unpacks
        return None
