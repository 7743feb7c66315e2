"""A network beside the served one that tells pictures which are unlike its training set.

It learns the classes and one more: pictures that `outliers.py` makes. Its score is the probability of that one, 0 (like
the training pictures) to 1 (unlike). The threshold comes from the validation pictures, of which it flags at most 1 %.
No other picture is seen in either.

The one of `models/mnist/2` flags 0.94 % of validation, 0.85 % of test, and of files that show no digit: blank 100 %,
noise 99.5 %, text 99 %, drawings 97 %, letters by hand 93 %, photographs 91.5 %, printed letters 91 %. By AdamW it
flagged 94 % of the drawings, and as many of the others. What it misses looks like a digit once it is prepared: bars,
arcs, H, A and T; of the photographs missed, most show the same upright rocket, a 1. It learns in 3 minutes of
processor time. `python -m tests.training.strangers models/mnist/2` counts anew.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import openvino
import tensorflow as tf
from numpy.typing import NDArray

from service.engines.core import compile_network
from service.manifest import Novelty
from training import checkpoint
from training.checkpoint import Arrays
from training.config import Config, Recipe
from training.datasets import Part, Pixels
from training.distortion import distort
from training.muon import Muon
from training.outliers import make_outliers
from training.quantize import write_int8

NETWORK = "novelty/network.xml"
"""Where it lies in the version's folder."""
ROUNDS = 12
STEPS = 500
"""In each round."""
BATCH = 256
"""Half of each batch are training pictures."""
RATE = 0.005
DECAY = 0.02
DROPOUT = 0.2
OUTLIERS = 60_000
HANDS = Recipe(rotation=12.0, shear=15.0, scale=0.2, shift=2.0, bend=2.5, pen=0.5)
"""Training pictures and outliers are distorted alike, more than for the classes: a hand or pen that is rare in the
training set is no reason for a flag."""
PLAIN = 0.3
"""Share of the batches that are not distorted."""
SORTING = 5
"""The round after which outliers that look real are left out: as a mirrored 8, which is an 8."""
DOUBT = 0.3
"""Those have a score below this."""
FLAGGED = 0.0095
"""Share of the validation pictures that are flagged: 1 % at most is promised, and each less costs a strange picture."""
FEWEST = 200
"""Validation pictures that a threshold takes: of fewer, 1 % is a matter of one or two."""
PORTION = 1_000
"""Pictures that are scored at once."""


def learn_novelty(training: Part, validation: Part, policy: str, seed: int) -> keras.Model | None:
    """Train the network.

    Args:
        training: Pictures to be like.
        validation: Only counted: there may be too few of them for a threshold.
        policy: Keras' name for the arithmetic to learn in.
        seed: Of all chance. The same one gives the same network on the same machine.

    Returns:
        Takes raw uint8 (n, height, width, 1); gives float32 (n, 1), the score. None without a threshold.
    """
    if len(validation) < FEWEST:
        print(f"No novelty network: its threshold takes {FEWEST} validation pictures, found {len(validation)}.")
        return None
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    random = np.random.default_rng(seed)
    classes = 1 + int(training.labels.max())
    learner = build(training.pictures.shape[1:], classes, policy)
    compile_learner(learner)
    # Outliers are made, and hands drawn, in light ink: of white paper, of the negative.
    paper = np.uint8(training.paper)
    light = Part(paper ^ training.pictures, training.labels)
    outliers = make_outliers(light.pictures, OUTLIERS, random)
    for number in range(1, ROUNDS + 1):
        print(f"Unlike the training set, round {number}/{ROUNDS}")
        run_round(learner, light, outliers, paper, random)
        if number == SORTING:
            outliers = sort_out(learner, outliers, paper)

    return finish(learner.get_weights(), training)


def finish(weights: Arrays, training: Part) -> keras.Model:
    """The network that gives the score alone, in float32."""
    finished = build(training.pictures.shape[1:], 1 + int(training.labels.max()), "float32")
    finished.set_weights(weights)
    return keras.Model(finished.inputs, finished.outputs[0][:, -1:])


def provide_novelty(config: Config, training: Part, validation: Part) -> keras.Model | None:
    """The network of this run: the one that was kept when its version was refused, or else a new one, both as
    `learn_novelty` says; None where the recipe goes without.
    """
    if not config.recipe.novelty:
        return None
    weights = checkpoint.recall_weights(config.novelty, config)
    if weights is not None:
        return finish(weights, training)
    network = learn_novelty(training, validation, config.recipe.policy, config.seed)
    if network is not None:
        checkpoint.keep_weights(config.novelty, config, network.get_weights())
    return network


def sort_out(learner: keras.Model, outliers: Pixels, paper: np.uint8) -> Pixels:
    """The outliers without those that came out like the real thing."""
    told = learner.predict(paper ^ outliers, batch_size=PORTION, verbose=0)[:, -1] > DOUBT
    return outliers[told] if told.mean() > 0.5 else outliers  # who tells so few has not learnt enough to sort


def build(shape: tuple[int, int, int], classes: int, policy: str) -> keras.Model:
    """A small network for the classes and what is none of them, in that order.

    Strides instead of pools, and the larger maps have few channels: 0.9 million products for 28 × 28 × 1, where the
    documented network has 12 million.
    """
    keep = {"dtype": policy}
    layers = keras.layers

    def normed(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
        return [layer, layers.BatchNormalization(scale=False, **keep), layers.ReLU(**keep)]

    return keras.Sequential(
        [
            keras.Input(shape, dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, **keep),
            *normed(layers.Conv2D(16, 5, 2, padding="same", use_bias=False, **keep)),
            *normed(layers.Conv2D(32, 3, 2, padding="same", use_bias=False, **keep)),
            *normed(layers.Conv2D(64, 3, use_bias=False, **keep)),
            layers.Flatten(**keep),
            layers.Dropout(DROPOUT, **keep),
            *normed(layers.Dense(64, use_bias=False, **keep)),
            layers.Dropout(DROPOUT, **keep),
            layers.Dense(classes + 1, **keep),
            layers.Softmax(dtype="float32"),
        ]
    )


def compile_learner(learner: keras.Model) -> None:
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, warmup_target=RATE, warmup_steps=STEPS // 2, decay_steps=(ROUNDS - 1) * STEPS, alpha=0.01
    )
    learner.compile(
        optimizer=Muon(rate, weight_decay=DECAY),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,
    )


def run_round(
    learner: keras.Model, training: Part, outliers: Pixels, paper: np.uint8, random: np.random.Generator
) -> None:
    # Into a log goes one line per round instead of a moving bar.
    bar = keras.utils.Progbar(STEPS, verbose=1 if sys.stdout.isatty() else 2)
    for step in range(1, STEPS + 1):
        pictures, labels = draw_batch(training, outliers, learner.output_shape[-1] - 1, random)
        bar.update(step, [("loss", float(learner.train_on_batch(paper ^ pictures, labels)))])


def draw_batch(
    training: Part, outliers: Pixels, label: int, random: np.random.Generator
) -> tuple[Pixels, NDArray[np.int64]]:
    """As many real pictures as outliers; those have the label after the last class."""
    real, made = random.integers(len(training), size=BATCH // 2), random.integers(len(outliers), size=BATCH // 2)
    pictures = np.concatenate([training.pictures[real], outliers[made]])
    labels = np.concatenate([training.labels[real], np.full(len(made), label)])
    return (pictures if random.random() < PLAIN else distort(pictures, HANDS, random)), labels


def add_novelty(folder: Path, network: keras.Model, parts: Mapping[str, Part]) -> Novelty:
    """Write the novelty network of a version, in int8, and choose its threshold.

    Args:
        folder: Of the version, without such a network.
        network: From `learn_novelty`.
        parts: `training`, on which it is calibrated; `validation`, by which the threshold is chosen; and `test`, which
            is counted afterwards.

    Returns:
        What the manifest says of it.
    """
    path = folder / NETWORK
    write_int8(openvino.convert_model(network), parts["training"], path)
    scores = {name: score(path, parts[name].pictures) for name in ("validation", "test")}
    threshold = choose_threshold(scores["validation"])
    return Novelty(NETWORK, threshold, {name: float((found > threshold).mean()) for name, found in scores.items()})


def score(path: Path, pictures: Pixels) -> NDArray[np.float32]:
    """How unlike the training set each picture is, as the written network says: float32 (n, 1)."""
    request = compile_network(path, os.cpu_count() or 1)
    portions = (pictures[at : at + PORTION] for at in range(0, len(pictures), PORTION))
    return np.concatenate([np.array(request.infer([portion])[0]) for portion in portions])


def choose_threshold(scores: NDArray[np.float32]) -> float:
    """The least of the scores (n, 1) that at most a share `FLAGGED` of them exceed."""
    return float(np.sort(scores, axis=None)[-1 - int(FLAGGED * len(scores))])
