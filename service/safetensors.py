"""Arrays → one compact binary, in the open safetensors format.

    8 bytes, little-endian: length of the header │ header: JSON │ the arrays' bytes, little-endian, in C order

The header maps each name to `dtype`, `shape` and `data_offsets` (first byte and one past the last, counted from the end
of the header), and `__metadata__` to texts.
"""

from collections.abc import Mapping

import numpy as np
import orjson
from numpy.typing import NDArray

MEDIA_TYPE = "application/vnd.safetensors"
DTYPES = {"float32": "F32", "uint8": "U8"}


def pack(arrays: Mapping[str, NDArray[np.float32] | NDArray[np.uint8]], metadata: Mapping[str, str]) -> bytes:
    """One file of all arrays; the bytes begin at a multiple of eight, so that they can be read in place."""
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    # Wide numbers first: then each array begins at a multiple of its own item's size.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    for name, array in ordered:
        start, end = end, end + array.nbytes
        header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": array.shape, "data_offsets": (start, end)}
    text = orjson.dumps(header)
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(array.tobytes() for _, array in ordered)])
