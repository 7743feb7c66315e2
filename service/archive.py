"""The folder with the pictures that are kept to train on. The pixels are those that the network saw:

    <folder>/<model>/labelled/<class>/<digest>.png      the right class, as somebody said: a data set to train on
    <folder>/<model>/unlabelled/<class>/<digest>.png    the class that was found; look through it before it is moved

Number, bytes and age are capped; what goes first is unlabelled and old.
"""

import contextlib
import hashlib
import re
import time
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.files import whole
from service.settings import Settings

NAME_BYTES = 200
"""Of a folder's name for a class."""

Part = Literal["labelled", "unlabelled"]


class Archive:
    """All workers write into it, each on one thread.

    Args:
        root: The folder.
        settings: The caps.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings

    def keep(self, model: str, part: Part, label: str, pixels: NDArray[np.uint8]) -> bool:
        """Write one picture; what was said of it before no longer counts.

        Args:
            model: Its name.
            part: Whether somebody has said the class.
            label: The class.
            pixels: (height, width, channels).

        Returns:
            Whether it has not been there, with that label or a better one.

        Raises:
            OSError: It can not be written.
        """
        name = f"{hashlib.sha256(pixels.tobytes()).hexdigest()[:32]}.png"
        if part == "unlabelled" and any((self.root / model).glob(f"labelled/*/{name}")):
            return False
        folder = self.root / model / part / folder_of(label)
        new = not (folder / name).exists()
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / name) as file:
            Image.fromarray(pixels.squeeze()).save(file, "PNG")
        for other in (self.root / model).glob(f"*/*/{name}"):
            if other.parent != folder:
                other.unlink(missing_ok=True)
        return new

    def prune(self, spare: int) -> None:
        """Remove what is too old, then what is too much.

        Args:
            spare: Pictures that may still be written until the next time.
        """
        kept = []
        for path in self.root.glob("*/*/*/*.png"):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                kept.append((path.parts[-3] == "labelled", found.st_mtime, found.st_size, path))
        kept.sort()
        oldest = time.time() - self.settings.feedback_days * 86_400
        count, size = len(kept), sum(each[2] for each in kept)
        room = self.settings.feedback_pictures - spare
        for _, modified, bytes_, path in kept:
            if modified < oldest or count > room or size > self.settings.feedback_bytes:
                path.unlink(missing_ok=True)
                count -= 1
                size -= bytes_


def folder_of(label: str) -> str:
    """A folder's name for a class, whatever the class is called; the same as the class's, if that can be. Of a long
    one only the beginning, and a digest, so that no two classes share a folder.
    """
    name = "".join(each if each.isalnum() else quote(each, safe=" ,()+-_.") for each in label)
    name = re.sub(r"^\.", "%2E", name) or "%"
    whole_name = name.encode()
    if len(whole_name) <= NAME_BYTES:
        return name
    return f"{whole_name[:NAME_BYTES].decode(errors='ignore')}~{hashlib.sha256(whole_name).hexdigest()[:16]}"
