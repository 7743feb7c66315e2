"""Name or folder → pixels and labels, every byte checked, split with a seed of its own."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """Labelled pictures: uint8 (n, height, width, channels), 0 to 255, and uint8 (n,) class numbers."""

    pictures: Pixels
    labels: Pixels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A labelled set in its published halves, and where it comes from."""

    name: str
    source: str
    licence: str
    digests: dict[str, str]
    """SHA-256 of each unpacked file."""
    classes: tuple[str, ...]
    """Name of each class, by its number."""
    train: Part
    test: Part
    shareable: bool = True
    """Whether its pictures may be passed on in a report."""


@dataclass(frozen=True)
class Idx:
    """One published file, unpacked: `count` items of `shape` after a header of big-endian 32-bit numbers."""

    name: str
    sha256: str
    shape: tuple[int, ...]
    """Number of items, then the shape of one."""

    @property
    def header(self) -> bytes:
        # 0x08 says unsigned bytes, the last byte how many dimensions follow.
        return struct.pack(f">{1 + len(self.shape)}I", 0x0800 + len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        return len(self.header) + int(np.prod(self.shape))


MNIST = (
    Idx(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        (60_000, 28, 28),
    ),
    Idx("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", (60_000,)),
    Idx(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        (10_000, 28, 28),
    ),
    Idx("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", (10_000,)),
)

# The file behind keras.datasets.mnist, with Keras' own checksum. Fetched by hand because Keras' loader unpickles.
NPZ = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_mnist(folder: Path | None) -> Dataset:
    """MNIST: 60,000 and 10,000 handwritten digits, classes "0" to "9".

    Args:
        folder: Holds the four IDX files, gzipped or not; None downloads Keras' copy into Keras' cache.

    Returns:
        uint8 pictures (n, 28, 28, 1), 0 background to 255 ink, and uint8 labels (n,), 0 to 9, in published order.

    Raises:
        TrainingError: A file is missing, truncated or not the published one; says what was expected and found.

    Source: Y. LeCun, C. Cortes, C. Burges, the MNIST database of handwritten digits. Licence: CC BY-SA 3.0,
    copyright Yann LeCun and Corinna Cortes.
    """
    contents = download(MNIST) if folder is None else [read_file(folder, idx) for idx in MNIST]
    train_pictures, train_labels, test_pictures, test_labels = (
        check(content, idx, where) for (content, where), idx in zip(contents, MNIST, strict=True)
    )
    return Dataset(
        name="MNIST",
        source="Yann LeCun and Corinna Cortes, the MNIST database of handwritten digits",
        licence="CC BY-SA 3.0, copyright Yann LeCun and Corinna Cortes",
        digests={idx.name: idx.sha256 for idx in MNIST},
        classes=tuple("0123456789"),
        train=Part(train_pictures[..., np.newaxis], train_labels),
        test=Part(test_pictures[..., np.newaxis], test_labels),
        shareable=False,
    )


def read_file(folder: Path, idx: Idx) -> tuple[bytes, str]:
    """Unpacked content of one file of `folder`, and its path for messages."""
    plain, packed = folder / idx.name, folder / f"{idx.name}.gz"
    path = plain if plain.is_file() else packed
    try:
        # Never more than one byte too many: a wrong file may unpack to anything.
        with path.open("rb") if path == plain else gzip.open(path) as file:
            return file.read(idx.size + 1), str(path)
    except FileNotFoundError:
        raise TrainingError(
            f"{folder} lacks {idx.name}: expected that file or {packed.name}, found neither; "
            "point --data (CONVOLVE_DATA) at the folder that holds the four MNIST files"
        ) from None
    except EOFError:
        raise TrainingError(f"{path} is truncated: expected {idx.size:,} bytes unpacked, found an early end") from None
    except (OSError, zlib.error) as error:
        raise TrainingError(f"{path} can not be read: {error}") from None


def download(files: tuple[Idx, ...]) -> list[tuple[bytes, str]]:
    """The four files as Keras publishes them (one archive, kept in ~/.keras/datasets), back in IDX form."""
    import keras  # slow to import, and needed for this road only

    try:
        path = keras.utils.get_file("mnist.npz", origin=NPZ, file_hash=NPZ_SHA256)
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[key].astype(np.uint8) for key in NPZ_KEYS]
    except Exception as error:
        raise TrainingError(
            f"MNIST can not be downloaded from {NPZ}: {error}; "
            "point --data (CONVOLVE_DATA) at a folder that holds the four MNIST files"
        ) from None
    return [(idx.header + array.tobytes(), f"{path}, {idx.name}") for array, idx in zip(arrays, files, strict=True)]


def check(content: bytes, idx: Idx, where: str) -> Pixels:
    """The array in an unpacked IDX file, of exactly the published shape and content.

    Raises:
        TrainingError: Names the file, what was expected and what was found.
    """
    if not content.startswith(idx.header):
        raise TrainingError(
            f"{where} is not {idx.name}: expected the header {idx.header.hex()} ({' × '.join(map(str, idx.shape))}), "
            f"found {content[: len(idx.header)].hex() or 'an empty file'}"
        )
    if len(content) != idx.size:
        found = f"{len(content):,}" if len(content) < idx.size else "more"
        word = "truncated" if len(content) < idx.size else "too long"
        raise TrainingError(f"{where} is {word}: expected {idx.size:,} bytes unpacked, found {found}")
    found = hashlib.sha256(content).hexdigest()
    if found != idx.sha256:
        raise TrainingError(f"{where} is not the published {idx.name}: expected SHA-256 {idx.sha256}, found {found}")
    return np.frombuffer(content, np.uint8, offset=len(idx.header)).reshape(idx.shape)


def split(part: Part, held_back: int, seed: int) -> tuple[Part, Part]:
    """Draw a validation part in which every class has its share, to within one picture.

    Args:
        part: What to divide.
        held_back: Exact size of the validation part.
        seed: Decides which pictures.

    Returns:
        The training part and the validation part, both in published order.
    """
    # RandomState, because NumPy promises its stream for good: versions years apart must share their validation part.
    random = np.random.RandomState(seed)
    counts = np.bincount(part.labels)
    shares = counts * held_back / len(part)
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")
    quotas[largest[: held_back - quotas.sum()]] += 1
    chosen = np.zeros(len(part), bool)
    for label, quota in enumerate(quotas):
        chosen[random.permutation(np.flatnonzero(part.labels == label))[:quota]] = True
    return (
        Part(part.pictures[~chosen], part.labels[~chosen]),
        Part(part.pictures[chosen], part.labels[chosen]),
    )
