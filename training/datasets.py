"""What a labelled set of pictures is, wherever it comes from."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """Labelled pictures: uint8 (n, height, width, channels), 0 to 255, and uint8 (n,) class numbers."""

    pictures: Pixels
    labels: Pixels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def paper(self) -> int:
        """What lies around the subjects, 0 (black) or 255 (white), by the edges of all pictures."""
        edges = self.pictures[:, [0, -1]].mean() + self.pictures[:, :, [0, -1]].mean()
        return 255 if edges > 255 else 0


class LeftOut(NamedTuple):
    """A picture that is not learnt from."""

    picture: str
    """Its path inside the folder, or its place in a file."""
    why: str


@dataclass(frozen=True)
class Dataset:
    """A labelled set in three parts that share no picture, and where it comes from."""

    name: str
    source: str
    licence: str
    digests: dict[str, str]
    """SHA-256 of each unpacked file; of a folder, one over all its pictures, `pictures`."""
    classes: tuple[str, ...]
    """Name of each class, by its number."""
    train: Part
    """To learn from."""
    validation: Part
    """To choose by."""
    test: Part
    """Looked at once, after every choice was made."""
    shareable: bool = True
    """Whether its pictures may be passed on in a report."""
    preparation: str = "centred"
    """How the pictures were prepared: see `service/pictures.py`. Serving must do the same."""
    test_names: tuple[str, ...] = ()
    """Path of each test picture inside the folder, or its place in a file; none where all know them by number."""
    left_out: tuple[LeftOut, ...] = ()
    """What lies there and could not be used."""
