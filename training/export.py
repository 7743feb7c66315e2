"""One finished folder `models/<name>/<next integer>/`, which appears whole or not at all."""

import errno
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.manifest import VERSION, Golden, Input, Manifest, digest
from training.checkpoint import Progress
from training.config import SPLIT_SEED, Config
from training.datasets import Dataset, Part, Pixels
from training.errors import TrainingError
from training.gate import judge
from training.novelty import add_novelty
from training.quantize import compare, quantize
from training.report import comparison
from training.report.comparison import find_before, write_report
from training.report.figures import Figures, tell
from training.report.page import write_page
from training.strokes import golden

GOLDEN = 10
"""Pictures that a version is tried by, at most."""
FULL = {errno.ENOSPC, errno.EDQUOT}
ROOM = 16_000_000
"""Bytes: with less on the disk, there was no room for a file of a version, of which the largest has 5 MB. Asked where a
library does not say what went wrong."""
DRAFT = ".draft-"
"""How the name of a version begins that is being written."""
LEFT_S = 86_400
"""Seconds after which that is one which a killed run has left."""
LISTED = 1_000
"""Pictures that were left out and are listed, at most."""


def describe(config: Config, data: Dataset, network: keras.Model, progress: Progress, figures: Figures) -> Manifest:
    """All that a version says of itself, except its number and its files.

    Args:
        config: The run.
        data: What it learnt from.
        network: With its final weights.
        progress: Its curves.
        figures: What was measured on it.
    """
    pictures = pick_golden(data, network)
    probabilities = network.predict(pictures, verbose=0)
    return Manifest(
        name=config.name,
        version=0,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        input=Input(
            name=network.inputs[0].name,
            shape=network.input_shape[1:],
            polarity="dark-on-light" if data.train.paper else "light-on-dark",
            preparation=data.preparation,
        ),
        labels=data.classes,
        parameters=network.count_params(),
        accuracy={"validation": figures.validation.accuracy, "test": figures.test.accuracy},
        golden=tuple(
            Golden(picture.tobytes(), tuple(map(float, answer)))
            for picture, answer in zip(pictures, probabilities, strict=True)
        ),
        training=tell_run(config, data, progress, figures),
    )


def tell_run(config: Config, data: Dataset, progress: Progress, figures: Figures) -> dict[str, Any]:
    """How the version came about: what it learnt from, by which recipe, for how long and with what."""
    return {
        "data": {
            "name": data.name,
            "source": data.source,
            "licence": data.licence,
            "sha256": data.digests,
            "split_seed": SPLIT_SEED,
            "validation": figures.validation.pictures,
            "training": len(data.train),
            "test": figures.test.pictures,
            "left_out": len(data.left_out),
        },
        "seed": config.seed,
        "recipe": {"name": config.recipe_name, **asdict(config.recipe)},
        "epochs": len(progress.curves),
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 1),
        "temperature": figures.calibration["temperature"],
        "versions": {
            "python": platform.python_version(),
            "keras": keras.version(),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "machine": {"processor": read_processor(), "cores": os.cpu_count()},
    }


def pick_golden(data: Dataset, network: keras.Model) -> Pixels:
    """What a version is tried by wherever it is loaded: of each class, up to `GOLDEN`, the validation picture that it
    is surest of, since cheaper arithmetic moves doubtful answers. Where the set's pictures may not be passed on, digits
    that a program draws.
    """
    if not data.shareable:
        return golden(network.input_shape[1:])
    sure = network.predict(data.validation.pictures, batch_size=500, verbose=0)
    sure = np.where(np.arange(len(data.classes)) == data.validation.labels[:, np.newaxis], sure, 0)
    surest: Pixels = data.validation.pictures[sure.argmax(axis=0)[:GOLDEN]]
    return surest


def read_processor() -> str:
    """The processor's name, where Linux tells it; else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def report(progress: Progress, figures: Figures, data: Dataset) -> dict[str, Any]:
    """What `report.json` holds: curves per epoch, all that was measured, and pictures that were not learnt from."""
    return {
        "classes": data.classes,
        "learnt": dict(
            zip(data.classes, np.bincount(data.train.labels, minlength=len(data.classes)).tolist(), strict=True)
        ),
        "best_epoch": progress.best_epoch,
        "curves": progress.curves,
        **tell(figures, data),
        **({"left_out": [each._asdict() for each in data.left_out[:LISTED]]} if data.left_out else {}),
    }


def open_folder(folder: Path, flag: str) -> Path:
    """A folder, made if need be. Called before a run begins, which would else end in vain.

    Args:
        folder: Where something is to be written.
        flag: What says where.

    Raises:
        TrainingError: We may not write there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder):
            return folder
    except OSError as error:
        raise TrainingError(f"{folder} can not be written ({error.strerror}); change {flag}") from None


def publish(
    folder: Path,
    network: keras.Model,
    manifest: Manifest,
    words: Mapping[str, Any],
    parts: Mapping[str, Part],
    pictures: Mapping[int, Pixels] | None = None,
    novelty: keras.Model | None = None,
    *,
    force: bool = False,
) -> Path:
    """Add a version to a model's folder.

    Args:
        folder: `models/<name>`.
        network: With its final weights.
        manifest: From `describe`.
        words: From `report`.
        parts: `training`, on which the network in int8 is calibrated, and `validation` and `test`, on which each
            arithmetic is measured.
        pictures: Those of the worst mistakes that may be shown, by their place in the test part.
        novelty: From `learn_novelty`; its threshold is chosen on `validation`.
        force: Publish what does not pass the gate.

    Returns:
        `folder`/<next integer>.

    Raises:
        TrainingError: It does not pass the gate, or there is no room for it.
        BadVersion: The written network can not be loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)  # another run that came to nothing takes an empty one along
    sweep(folder)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder))
    try:
        save_network(network, draft, manifest)
        quantize(draft, parts["training"])
        held_back = {name: parts[name] for name in ("validation", "test")}
        manifest = replace(manifest, precisions=compare(draft, manifest, held_back))
        if novelty:
            found = add_novelty(draft, novelty, parts)
            manifest, words = replace(manifest, novelty=found), {**words, "novelty": asdict(found)}
        before = find_before(folder)
        manifest = replace(manifest, gate=judge(draft, manifest, parts["validation"], before, force=force))
        since = comparison.compare(words, manifest, before)
        write_report(draft, {**words, "gate": manifest.gate, "before": since})
        draft.chmod(0o755)  # temporary folders are closed to others, and the server may be another user
        return claim(draft, folder, manifest, partial(write_page, pictures=pictures))
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # each library that writes has its own
        full = error.errno in FULL if isinstance(error, OSError) else shutil.disk_usage(folder).free < ROOM
        if not full:
            raise
        raise TrainingError(
            f"{folder} has no room for a version; make some, and give the same command with --resume"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # gone already, if all went well


def sweep(folder: Path) -> None:
    """Remove drafts that runs left which were killed; none is written for so long."""
    for draft in folder.glob(f"{DRAFT}*/"):
        if time.time() - draft.stat().st_mtime > LEFT_S:
            shutil.rmtree(draft, ignore_errors=True)


def save_network(network: keras.Model, folder: Path, manifest: Manifest) -> None:
    """Write a SavedModel with one signature, `serving_default`, and each weight once (Keras' export: twice)."""
    # A bare module, because what Keras tracks on a model of its own would be written a second time.
    module = tf.Module()
    module.weights = [weight.value for weight in network.weights]
    given = tf.TensorSpec((None, *manifest.input.shape), manifest.input.dtype, name=manifest.input.name)

    @tf.function(autograph=False, input_signature=[given])  # type: ignore[untyped-decorator]
    def answer(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        return {manifest.output: network(pictures, training=False)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": answer})
    (folder / "assets").rmdir()  # always written, never filled, and git does not keep empty folders


def claim(draft: Path, folder: Path, manifest: Manifest, draw: Callable[[Path], None]) -> Path:
    """Give a finished draft the next free number. Of two at once, the later one takes the number after.

    What `draw` adds, the page that names the number, has no checksum in the manifest; nor has `report.json`.
    """
    paths = sorted(path for path in draft.rglob("*") if path.is_file())
    files = {path.relative_to(draft).as_posix(): digest(path) for path in paths if path.name != "report.json"}
    while True:
        version = 1 + max((int(path.name) for path in folder.iterdir() if VERSION.fullmatch(path.name)), default=0)
        replace(manifest, version=version, files=files).write(draft)
        draw(draft)
        for path in (*draft.rglob("*"), draft):
            sync(path)
        try:
            draft.rename(folder / str(version))
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            sync(folder)
            return folder / str(version)


def sync(path: Path) -> None:
    """Have a file or a folder on disk before anything that comes after it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
