"""`--data`: tells from what lies there what kind of set it is, and reads it.

- Four files named like MNIST's: MNIST, known by its checksums; else another set in that form.
- `<model>/labelled/<class>/*.png`: what the service kept as feedback, see `service/feedback.py`.
- `<class>/*`: pictures of one's own, maybe divided into `train/`, `validation/` and `test/`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from service import pictures
from service.manifest import Input, Manifest
from training import folders, idx
from training.config import SHAPE
from training.datasets import Dataset, LeftOut, Part, Pixels
from training.division import PARTS, digest_parts, divide, hash_picture
from training.errors import TrainingError
from training.report.comparison import find_before

LABELLED = "labelled"
KEPT = re.compile(r"[0-9a-f]{32}\.png")
"""What the service calls a picture that it keeps."""


def load(path: Path | None, name: str, preparation: str | None = None, models: Path | None = None) -> Dataset:
    """Read a set.

    Args:
        path: The folder; None downloads MNIST.
        name: Of the model: which one's feedback to take where a folder holds that of several.
        preparation: How pictures become inputs, `fit` or `centred`. Without, feedback has that of the newest version
            of its model, and other sets of one's own are `fit`. MNIST is always `centred`.
        models: Where that version is looked for.

    Raises:
        TrainingError: What lies there is no such set. Says what was expected and found, and how to mend it.
    """
    if path is None:
        return idx.load_mnist(None)
    if not path.is_dir():
        there = "a file; if it is an archive, unpack it first" if path.exists() else "nothing of that name"
        raise TrainingError(f"{path} is not a folder: expected the folder with the pictures, found {there}")
    if idx.holds_idx(path):
        return idx.load_mnist(path) if idx.holds_mnist(path) else load_idx(path, preparation or "fit")
    feedback = find_feedback(path, name)
    if feedback is None:
        return load_folder(path, preparation or "fit")
    return load_feedback(feedback, preparation, models)


def load_folder(path: Path, preparation: str) -> Dataset:
    """Class folders."""
    found = folders.find(path)
    parts, names, broken = folders.read(found, preparation)
    return assemble(folders.escape(path.resolve().name), found.classes, preparation, parts, names, broken)


def load_feedback(path: Path, preparation: str | None, models: Path | None) -> Dataset:
    """What the service kept of a model; its pixels are those that the network saw."""
    model = path.resolve().parent.name
    found = folders.find(path, encoded=True)
    preparation = preparation or recall_preparation(models, model)
    parts, names, broken = folders.read(found, preparation, "none")
    return assemble(f"feedback on {folders.escape(model)}", found.classes, preparation, parts, names, broken)


def load_idx(path: Path, preparation: str) -> Dataset:
    """A set in MNIST's form, its pictures prepared as files would be."""
    parts, classes, digests = idx.read_set(path)
    folders.check_classes(classes, path)
    target = Input("image", SHAPE, preparation=preparation)
    parts = {
        name: Part(np.stack([prepare(picture, target) for picture in part.pictures]), part.labels)
        for name, part in parts.items()
        if len(part)
    }
    names = {name: [f"{name}, picture {number}" for number in range(len(part))] for name, part in parts.items()}
    return assemble(folders.escape(path.resolve().name), classes, preparation, parts, names, [], digests)


def prepare(picture: Pixels, target: Input) -> Pixels:
    """One grey picture (height, width, 1) as the service would prepare a file of it."""
    return pictures.prepare(Image.fromarray(picture[..., 0]), target)


def assemble(
    name: str,
    classes: tuple[str, ...],
    preparation: str,
    given: Mapping[str, Part],
    names: Mapping[str, Sequence[str]],
    broken: Sequence[LeftOut],
    digests: dict[str, str] | None = None,
) -> Dataset:
    """Divide what was read, and say where it comes from."""
    parts, doubled = divide(given, names, classes)
    called: dict[str, str] = {}  # by its pixels; of equal ones, the first was kept
    for part in filter(given.__contains__, PARTS):
        for picture, each in zip(given[part].pictures, names[part], strict=True):
            called.setdefault(hash_picture(picture), each)
    return Dataset(
        name=name,
        source="pictures of one's own",
        licence="",
        digests=digests or {"pictures": digest_parts(parts, classes)},
        classes=classes,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        preparation=preparation,
        test_names=tuple(called[hash_picture(picture)] for picture in parts["test"].pictures),
        left_out=(*broken, *doubled),
    )


def find_feedback(path: Path, name: str) -> Path | None:
    """The folder with a model's corrected pictures, where `path` is it, the model's, or that of all models."""
    for folder in (path, path / LABELLED):
        if folder.name == LABELLED and holds_feedback(folder):
            return folder
    stores = {folder.name: folder / LABELLED for folder in folders.list_folders(path)}
    stores = {model: folder for model, folder in stores.items() if holds_feedback(folder)}
    if len(stores) > 1 and name not in stores:
        raise TrainingError(
            f"{path} holds feedback of several models: expected {name} (--name) among them, found {', '.join(stores)}; "
            "say --name, or point --data at the folder of one"
        )
    return stores.get(name) or next(iter(stores.values()), None)


def holds_feedback(path: Path) -> bool:
    """Whether class folders lie there in which all files are named as the service names them."""
    inside = folders.list_folders(path) if os.path.isdir(path) else []  # closed ones are told later
    names = [file.name for folder in inside for file in folders.list_files(folder)]
    return bool(names) and all(map(KEPT.fullmatch, names))


def recall_preparation(models: Path | None, name: str) -> str:
    """How the newest version of a model prepares pictures; `fit` where there is none."""
    newest = find_before(models / name) if models and (models / name).is_dir() else None
    return Manifest.read(newest).input.preparation if newest else "fit"
