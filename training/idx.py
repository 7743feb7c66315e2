"""IDX files, MNIST's own form: the published digits, known by their checksums, and other sets in the same form."""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.config import SPLIT_SEED, VALIDATION
from training.datasets import Dataset, Part, Pixels
from training.division import split
from training.errors import TrainingError
from training.folders import is_label


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

LARGEST = 1 << 31
"""Bytes that a file of another set may unpack to, at most."""
CLASSES = "classes.txt"
"""May lie beside the files of another set: the names of its classes, one a line, in the order of their numbers."""

# The file behind keras.datasets.mnist, with Keras' own checksum. Fetched by hand because Keras' loader unpickles.
NPZ = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
NPZ_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_mnist(folder: Path | None) -> Dataset:
    """MNIST: 60,000 and 10,000 handwritten digits, classes "0" to "9".

    Args:
        folder: Holds the four IDX files, gzipped or not; None downloads Keras' copy into Keras' cache.

    Returns:
        uint8 pictures (n, 28, 28, 1), 0 background to 255 ink, and uint8 labels (n,), 0 to 9, in published order;
        5,000 of the 60,000 are the validation part.

    Raises:
        TrainingError: A file is missing, truncated or not the published one; says what was expected and found.

    Source: Y. LeCun, C. Cortes, C. Burges, the MNIST database of handwritten digits. Licence: CC BY-SA 3.0,
    copyright Yann LeCun and Corinna Cortes.
    """
    contents = download(MNIST) if folder is None else [read_file(folder, idx.name, idx.size) for idx in MNIST]
    train_pictures, train_labels, test_pictures, test_labels = (
        check(content, idx, where) for (content, where), idx in zip(contents, MNIST, strict=True)
    )
    training, validation = split(Part(train_pictures[..., np.newaxis], train_labels), VALIDATION, SPLIT_SEED)
    return Dataset(
        name="MNIST",
        source="Yann LeCun and Corinna Cortes, the MNIST database of handwritten digits",
        licence="CC BY-SA 3.0, copyright Yann LeCun and Corinna Cortes",
        digests={idx.name: idx.sha256 for idx in MNIST},
        classes=tuple("0123456789"),
        train=training,
        validation=validation,
        test=Part(test_pictures[..., np.newaxis], test_labels),
        shareable=False,
    )


def read_file(folder: Path, name: str, size: int) -> tuple[bytes, str]:
    """Unpacked content of one file of `folder`, which should have `size` bytes, and its path for messages."""
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.is_file() else packed
    try:
        # Never more than one byte too many: a wrong file may unpack to anything.
        with path.open("rb") if path == plain else gzip.open(path) as file:
            return file.read(size + 1), str(path)
    except FileNotFoundError:
        raise TrainingError(
            f"{folder} lacks {name}: expected that file or {packed.name}, found neither; "
            "point --data (CONVOLVE_DATA) at the folder that holds all four files"
        ) from None
    except EOFError:
        raise TrainingError(f"{path} is truncated: expected a whole gzip file, found an early end") from None
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


def holds_idx(folder: Path) -> bool:
    """Whether such files lie there."""
    return any((folder / f"{idx.name}{ending}").is_file() for idx in MNIST for ending in ("", ".gz"))


def holds_mnist(folder: Path) -> bool:
    """Whether it is MNIST that lies there, as the labels tell: they are small, and no other set has the same."""
    for idx in (MNIST[1], MNIST[3]):
        content, _ = read_file(folder, idx.name, idx.size)
        if hashlib.sha256(content).hexdigest() == idx.sha256:
            return True
    return False


def read_set(folder: Path) -> tuple[dict[str, Part], tuple[str, ...], dict[str, str]]:
    """Another set under the names of MNIST's files, such as Fashion-MNIST.

    Returns:
        `train` and `test` with pictures (n, height, width, 1) as they lie there; the names of the classes that
        occur, which are numbers where there is no classes.txt; and the SHA-256 of each unpacked file.

    Raises:
        TrainingError: A file is missing or no such file; names it, and says what was expected and found.
    """
    contents = {idx.name: read_file(folder, idx.name, LARGEST) for idx in MNIST}
    arrays = [unpack(*contents[idx.name], dimensions=len(idx.shape)) for idx in MNIST]
    parts = {}
    for part, pictures, labels in (("train", arrays[0], arrays[1]), ("test", arrays[2], arrays[3])):
        if len(pictures) != len(labels):
            raise TrainingError(f"{folder}: {part} has {len(pictures):,} pictures and {len(labels):,} labels")
        parts[part] = Part(pictures[..., np.newaxis], labels)
    for name, use in (("train", "to learn from"), ("test", "to test on")):
        pictures = parts[name].pictures
        if not pictures.size and (len(pictures) or name == "train"):
            shape = " × ".join(map(str, pictures.shape[:3]))
            raise TrainingError(f"{folder}: expected pictures {use}, found {shape}")
    numbers = np.unique(np.concatenate([part.labels for part in parts.values()]))
    names = read_names(folder / CLASSES, numbers)
    parts = {
        name: Part(part.pictures, np.searchsorted(numbers, part.labels).astype(np.uint8))
        for name, part in parts.items()
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, (content, _) in contents.items()}
    return parts, names, digests


def unpack(content: bytes, where: str, *, dimensions: int) -> Pixels:
    """The array in an unpacked IDX file of whatever shape its header says."""
    size = 4 + 4 * dimensions
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:size].ljust(size, b"\0"))
    if magic != 0x0800 + dimensions:
        raise TrainingError(
            f"{where} is no IDX file of bytes in {dimensions} dimensions: expected the header "
            f"{0x0800 + dimensions:08x}, found {content[:4].hex() or 'an empty file'}"
        )
    expected = size + math.prod(shape)
    if len(content) != expected:
        raise TrainingError(
            f"{where} is not as long as its header says: expected {expected:,} bytes unpacked, found {len(content):,}"
        )
    return np.frombuffer(content, np.uint8, offset=size).reshape(shape)


def read_names(path: Path, numbers: Pixels) -> tuple[str, ...]:
    """What the classes with these numbers are called: the lines of classes.txt, or the numbers themselves."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        return tuple(map(str, numbers.tolist()))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} can not be read: {error}") from None
    if bad := [line for line in lines if not is_label(line)]:
        raise TrainingError(f"{path}: {bad[0]!a} can be no label: expected characters that can be printed")
    highest = int(numbers.max(initial=0))
    if len(lines) <= highest or not all(lines) or len(set(lines)) != len(lines):
        raise TrainingError(
            f"{path}: expected {highest + 1} different names, one a line, since the highest label is {highest}; "
            f"found {len(lines)} lines"
        )
    return tuple(lines[number] for number in numbers.tolist())
