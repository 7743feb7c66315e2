"""Start from a network that was trained on something else: its convolutions, a new head; and what that gains."""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from service.manifest import Manifest, digest
from training import checkpoint
from training.config import Config, Recipe, suit
from training.datasets import Dataset, Part, Pixels
from training.errors import TrainingError
from training.learner import EPSILON, build_learner, settle
from training.train import Build, learn

SHAPES = {
    "conv_1": ((3, 3, 1, 32), (32,)),
    "conv_2": ((3, 3, 32, 64), (64,)),
}
"""Kernel and bias of what is taken over: the first layers."""
VARIABLES = "variables/variables"
WEIGHT = "weights/{}/.ATTRIBUTES/VARIABLE_VALUE"
"""In those, each kernel and bias, from the first layer on."""
SIZES = (10, 100, 1_000)
"""Pictures a class with which is measured what the start gains."""
DRAWS = {10: 3}
"""Times that a size is measured, with other pictures each time; of few pictures, it matters which they are."""
EPOCHS = 4
STEPS = 300
"""Of each short run."""


@dataclass(frozen=True)
class Start:
    """The convolutions of a version."""

    name: str
    """Of the model, and the version's number."""
    checksum: str
    """SHA-256 of its weights."""
    layers: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Kernel and bias, by layer."""
    freeze: bool = False
    """Keep them as they are; else they learn on."""

    @property
    def origin(self) -> dict[str, str]:
        """What a saved state must agree with."""
        return {"start": self.checksum, "freeze": str(self.freeze)}


def load_start(folder: Path, *, freeze: bool = False) -> Start:
    """Read the convolutions of a version; numbers only, nothing of it is run.

    Raises:
        BadManifest: It is no version's folder.
        TrainingError: Its weights are damaged, or those of another network.
    """
    manifest = Manifest.read(folder)
    name = f"{manifest.name} {manifest.version}"
    for path, expected in manifest.files.items():
        if path.startswith(VARIABLES) and not ((folder / path).is_file() and digest(folder / path) == expected):
            raise TrainingError(f"{folder / path} is missing or damaged: expected SHA-256 {expected}")
    try:
        reader = tf.train.load_checkpoint(str(folder / VARIABLES))
        # By number: the head's bias may have the shape of a convolution's.
        arrays = iter(
            [reader.get_tensor(WEIGHT.format(number)).astype(np.float32) for number in range(2 * len(SHAPES))]
        )
        layers = {layer: (next(arrays), next(arrays)) for layer in SHAPES}
        if {layer: (kernel.shape, bias.shape) for layer, (kernel, bias) in layers.items()} != SHAPES:
            raise ValueError("other shapes")
    except (ValueError, OSError, tf.errors.OpError):
        raise TrainingError(
            f"{folder} has not the convolutions of the documented network: expected kernels of "
            f"{' and '.join(str(kernel) for kernel, _ in SHAPES.values())}; start from another version"
        ) from None
    checksum = digest(next(folder.glob(f"{VARIABLES}.data*")))
    return Start(name, checksum, layers, freeze)


def build_from(start: Start, pictures: Pixels) -> Build:
    """A builder of learners that begin with the convolutions of `start`, and a head that knows nothing.

    Args:
        start: From `load_start`.
        pictures: Training pictures, by which the normalisation after them is settled.
    """

    def build(recipe: Recipe, classes: int) -> keras.Model:
        learner = build_learner(recipe, classes)
        kernel, bias = start.layers["conv_2"]
        learner.get_layer("conv_1").set_weights(list(start.layers["conv_1"]))
        learner.get_layer("conv_2").set_weights([kernel])
        settle(learner, pictures)
        # The published form has a bias in place of the normalisation. Normalised, the same features come out, each
        # divided by its deviation on these pictures.
        norm = learner.get_layer("norm_conv_2")
        mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
        norm.beta.assign((bias + mean) / np.sqrt(variance + EPSILON))
        for name in ("conv_1", "conv_2", "norm_conv_2") if start.freeze else ():
            learner.get_layer(name).trainable = False
        return learner

    return build


def measure_gain(config: Config, data: Dataset, start: Start) -> dict[str, Any]:
    """What the start is worth, by short runs on a few pictures of each class. Kept beside the state of the run.

    Returns:
        For the report: `from`; and accuracy on validation as `rows`, and on test as `test`: `pictures` a class, the
        way of the run itself, `from_scratch`, and the other way of starting (`learning_on` or `frozen`). Rows go as far
        as the set does.
    """
    if (told := checkpoint.recall(config.gain, config)) is not None:
        gain: dict[str, Any] = json.loads(str(told["gain"]))
        return gain
    most = int(np.bincount(data.train.labels).min())
    rows = [(size, measure_size(config, data, start, size)) for size in SIZES if size <= most]
    gain = {"from": start.name}
    for part, name in (("validation", "rows"), ("test", "test")):
        gain[name] = [{"pictures": size} | {way: shares[part] for way, shares in ways.items()} for size, ways in rows]
    checkpoint.write(config.gain, {"run": checkpoint.describe(config), "gain": json.dumps(gain)})
    return gain


def measure_size(config: Config, data: Dataset, start: Start, size: int) -> dict[str, dict[str, float]]:
    """Accuracy of each way with that many pictures a class, the mean of all draws."""
    found: dict[str, list[tuple[float, float]]] = {}
    for draw in range(DRAWS.get(size, 1)):
        few = take(data.train, size, seed=config.seed + draw)
        ways = {
            "learning_on": build_from(replace(start, freeze=False), few.pictures),
            "from_scratch": build_learner,
            "frozen": build_from(replace(start, freeze=True), few.pictures),
        }
        if start.freeze:  # the run's own way comes first
            ways = dict(reversed(ways.items()))
        for way, build in ways.items():
            print(f"What the start gains: {size} pictures a class, {way.replace('_', ' ')}", file=sys.stderr)
            found.setdefault(way, []).append(try_out(config, build, few, data))
    means = {
        way: dict(zip(("validation", "test"), np.mean(shares, axis=0).tolist(), strict=True))
        for way, shares in found.items()
    }
    words = ", ".join(f"{way.replace('_', ' ')} {mean['validation']:.1%}" for way, mean in means.items())
    print(f"{size} pictures a class: {words}", file=sys.stderr)
    return means


def take(part: Part, size: int, seed: int) -> Part:
    """That many pictures of each class, drawn by the seed."""
    random = np.random.default_rng(seed)
    chosen = np.concatenate(
        [random.permutation(np.flatnonzero(part.labels == label))[:size] for label in range(int(part.labels.max()) + 1)]
    )
    return Part(part.pictures[chosen], part.labels[chosen])


def try_out(config: Config, build: Build, few: Part, data: Dataset) -> tuple[float, float]:
    """Accuracy on validation and test after a short run, of which nothing else remains."""
    # From the labels: a teacher would have to be trained for every draw.
    labelled = replace(config.recipe, epochs=EPOCHS, taught=False)
    recipe = suit(labelled, len(few), STEPS)
    quiet = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as runs,
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        own = replace(config, recipe=recipe, runs=Path(runs), resume=False, tensorboard=None)
        network, _ = learn(own, build, few, data.validation)
    answer = partial(network.predict, batch_size=500, verbose=0)
    shares = [
        float((answer(part.pictures).argmax(axis=1) == part.labels).mean()) for part in (data.validation, data.test)
    ]
    return shares[0], shares[1]
