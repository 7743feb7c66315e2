"""A folder for each class, with picture files in it → pixels and labels, prepared as the service prepares."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category
from urllib.parse import unquote

import numpy as np
from rich.console import Console
from rich.progress import track

from service import pictures
from service.errors import ServiceError
from service.manifest import Input
from training.config import SHAPE
from training.datasets import LeftOut, Part, Pixels
from training.errors import TrainingError

MAX_BYTES = 32 * 1024 * 1024
MAX_PIXELS = 25_000_000
"""Of one picture: what the service takes unless it is told otherwise."""
MAX_PICTURES = 1_000_000
MAX_CLASSES = 256
"""Labels are bytes."""
NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
"""Folders of a set that has been divided already."""
FORM = "expected a folder for each class, with its pictures in it"
JOINERS = "\u200c\u200d"
"""Persian, Hindi, and emoji that are put together, are written with them."""


@dataclass(frozen=True)
class Found:
    """What lies in a folder of class folders, nothing of it read yet."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[tuple[Path, int]]]
    """By part: `train`, and `validation` and `test` where the set is divided. A file and the number of its class."""


def find(root: Path, *, encoded: bool = False) -> Found:
    """Look for class folders: right there, or in folders such as `train` and `test`.

    Args:
        root: The folder.
        encoded: Whether names of folders are classes as the service's feedback writes them, such as `a%2Fb`.

    Raises:
        TrainingError: There are no two classes with files. Says what there is instead, and what to do.
    """
    inside = list_folders(root)
    divided = {part: folder for part, names in NAMES.items() for folder in inside if folder.name.lower() in names}
    if "train" not in divided or len(divided) != len(inside):
        if len(divided) > 1 and not any(map(list_files, divided.values())):  # folders of classes, and no classes
            others = ", ".join(folder.name for folder in inside if folder not in divided.values())
            raise TrainingError(
                f"{root} is divided into {', '.join(folder.name for folder in divided.values())}: expected train "
                "and, if need be, validation and test alone; "
                + (f"found {others} beside them; move that away" if "train" in divided else "found no train")
            )
        divided = {"train": root}
    listed = {part: list_classes(folder, encoded=encoded) for part, folder in divided.items()}
    classes = tuple(sorted(listed["train"], key=natural))
    check_classes(classes, divided["train"])
    for part, files in listed.items():
        if not files:
            raise TrainingError(f"{divided[part]} is empty: {FORM}, found none; fill it, or remove it")
    numbers = {name: number for number, name in enumerate(classes)}
    for part, files in listed.items():
        for name in files.keys() - numbers.keys():
            raise TrainingError(f"{divided[part]} has a class that {divided['train']} lacks: {name}; move or remove it")
    labelled = {
        part: [(path, numbers[name]) for name in classes for path in files.get(name, [])]
        for part, files in listed.items()
    }
    count = sum(map(len, labelled.values()))
    if count > MAX_PICTURES:
        raise TrainingError(f"{root} holds too many files: expected at most {MAX_PICTURES:,}, found {count:,}")
    return Found(root, classes, labelled)


def list_folders(root: Path) -> list[Path]:
    """Folders in a folder, in order, without hidden ones, and what systems add."""
    try:
        inside = [path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name)]
    except OSError as error:
        raise TrainingError(f"{root} can not be read: {error.strerror}") from None
    return sorted(inside)


def list_classes(root: Path, *, encoded: bool) -> dict[str, list[Path]]:
    """Files by class. Errors as in `find`."""
    if loose := [path for path in list_files(root) if is_picture(path)]:
        raise TrainingError(
            f"pictures lie loose in {root}, such as {loose[0].name}: {FORM}; move them into such folders"
        )
    listed: dict[str, list[Path]] = {}
    for folder in list_folders(root):
        files = list_files(folder)
        if not files:
            deeper = ", ".join(path.name for path in list_folders(folder)[:5])
            if encoded and not deeper:  # feedback: somebody has put another label on the last picture there
                continue
            found = f"only the folders {deeper}; is {folder} the folder that you mean?" if deeper else "nothing in it"
            raise TrainingError(f"class {folder.name} in {root} is empty: {FORM}, found {found}")
        files = list_files(folder, deep=True)
        name = unquote(folder.name) if encoded else folder.name
        if not is_label(name):
            raise TrainingError(
                f"{name!a} in {root} can be no label: expected characters that can be printed; rename it"
            )
        listed.setdefault(name, []).extend(files)  # feedback may have written one class in two ways
    return listed


def is_label(name: str) -> bool:
    """Whether a name can be printed, in any script: with its joiners, and its own kind of space."""
    return all(sign.isprintable() or sign in JOINERS or category(sign) == "Zs" for sign in name)


def list_files(folder: Path, *, deep: bool = False) -> list[Path]:
    """Files in a folder, in order, perhaps with those in folders in it; without hidden ones, and what systems add.

    Links are followed; one to nothing is among them, so that somebody is told.
    """
    try:
        paths = [path for inside in walk(folder, deep=deep) for path in inside.iterdir() if not is_hidden(path.name)]
        return sorted(path for path in paths if path.is_file() or (path.is_symlink() and not path.exists()))
    except OSError as error:
        raise TrainingError(f"{error.filename} can not be read: {error.strerror}") from None


def walk(folder: Path, *, deep: bool) -> Iterator[Path]:
    """The folder, and perhaps those in it, each once: a link may lead back up."""
    todo, known = [folder], set()
    while todo:
        inside = todo.pop()
        if (place := inside.resolve()) not in known:
            known.add(place)
            yield inside
            todo += list_folders(inside) if deep else []


def escape(name: str) -> str:
    """A name for messages and reports: what can not be printed, such as bytes that are no UTF-8, is told by number."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder is nobody's picture: hidden, or left by an operating system."""
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture does."""
    try:
        with path.open("rb") as file:
            return pictures.recognise(file.read(32)) is not None
    except OSError as error:
        raise TrainingError(f"{path} can not be read ({error.strerror}); mend or remove it") from None


def check_classes(classes: Sequence[str], root: Path) -> None:
    if len(classes) < 2:
        loose = ", ".join(path.name for path in list_files(root)[:5])
        found = f"only {classes[0]}" if classes else f"no folders, only {loose}" if loose else "none"
        raise TrainingError(f"{root} holds too few classes: {FORM}, two at least; found {found}")
    if len(classes) > MAX_CLASSES:
        raise TrainingError(f"{root} holds too many classes: expected at most {MAX_CLASSES}, found {len(classes):,}")


def natural(name: str) -> list[tuple[int, int, str]]:
    """Key by which 2 comes before 10, and b before C."""
    return [(0, int(word), word) if word.isdecimal() else (1, 0, word.casefold()) for word in re.split(r"(\d+)", name)]


def read(
    found: Found, preparation: str, mode: pictures.Mode = "auto"
) -> tuple[dict[str, Part], dict[str, list[str]], list[LeftOut]]:
    """Read and prepare every picture, several at a time, with a bar where somebody sees it.

    Args:
        found: From `find`.
        preparation: How: see `service/pictures.py`.
        mode: "none" takes the pixels as they are.

    Returns:
        Pictures (n, 28, 28, 1) and labels of each part; path of each picture, within the folder; and the files that
        can not be read, with reasons.

    Raises:
        TrainingError: A class has no file that can be read.
    """
    target = Input("image", SHAPE, preparation=preparation)
    todo = [(part, path, label) for part, files in found.files.items() for path, label in files]
    kept: dict[str, list[tuple[Pixels, int, str]]] = {part: [] for part in found.files}
    left_out = []
    lost: dict[tuple[str, int], LeftOut] = {}  # the first of each class
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda each: read_picture(each[1], target, mode), todo)
        for (part, path, label), result in zip(todo, show(results, len(todo)), strict=True):
            name = escape(path.relative_to(found.root).as_posix())
            if isinstance(result, str):
                left_out.append(LeftOut(name, result))
                lost.setdefault((part, label), left_out[-1])
            else:
                kept[part].append((result, label, name))
    check_read(found, {part: {label for _, label, _ in entries} for part, entries in kept.items()}, lost)
    parts = {
        part: Part(np.stack([each[0] for each in entries]), np.array([each[1] for each in entries], np.uint8))
        for part, entries in kept.items()
    }
    return parts, {part: [each[2] for each in entries] for part, entries in kept.items()}, left_out


def read_picture(path: Path, target: Input, mode: pictures.Mode) -> Pixels | str:
    """The prepared picture, or why there is none."""
    try:
        size = path.stat().st_size
        if not size:
            return "empty: expected a picture file"
        if size > MAX_BYTES:
            return f"too large: expected at most {MAX_BYTES:,} bytes, found {size:,}"
        image = pictures.open_picture(path.read_bytes(), max_pixels=MAX_PIXELS)
        return pictures.prepare(image, target, mode=mode)
    except ServiceError as error:
        error.fix = ""  # written for those who send pictures to the service
        return str(error)
    except OSError as error:
        return f"can not be read: {error.strerror}"


def show(results: Iterable[Pixels | str], total: int) -> Iterable[Pixels | str]:
    """The same, with a bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    return track(results, "Reading pictures", total, console=console, transient=True, disable=not sys.stderr.isatty())


def check_read(found: Found, read: Mapping[str, set[int]], lost: Mapping[tuple[str, int], LeftOut]) -> None:
    """Refuse a class of which nothing could be read."""
    for (part, number), first in lost.items():
        if number not in read[part]:
            raise TrainingError(
                f"class {found.classes[number]} has no picture that can be read in {part}: "
                f"expected PNG, JPEG, WebP, BMP or GIF; found {first.picture}: {first.why}"
            )
