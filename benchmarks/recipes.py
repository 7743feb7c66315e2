"""python -m benchmarks.recipes: the recipe `quick` beside Keras' old example of the same network, on this machine.

The example (`mnist_cnn.py`, formerly among Keras' own) as it stood: Adadelta, 12 epochs of 128, dropout, nothing else.
Both learn the training part and are measured on the test set once, at their end.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from training.config import RECIPES, Config, choose_arithmetic
from training.datasets import Dataset, Part
from training.idx import load_mnist
from training.train import train

EPOCHS = 12
FLOOR = 0.9925
"""What the example's own head says it reaches."""


def main() -> int:
    """Train both, the example first. Returns 1 if `quick` misses the example's accuracy or a quarter of its time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    folder = os.environ.get("CONVOLVE_DATA")
    data = load_mnist(Path(folder) if folder else None)
    example_s, example = timed(lambda: follow_example(data, seed), data.test)
    quick_s, quick = timed(lambda: follow_quick(data, seed), data.test)
    print(f"example, {EPOCHS} epochs: {example:.2%} in {example_s:.0f} s")
    print(f"quick, seed {seed}: {quick:.2%} in {quick_s:.0f} s, {quick_s / example_s:.2f} of the example's time")
    return int(quick < FLOOR or quick_s > example_s / 4)


def follow_example(data: Dataset, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(
        keras.optimizers.Adadelta(1.0), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    # It holds nothing back for choices.
    pictures = np.concatenate([data.train.pictures, data.validation.pictures]).astype("float32") / 255
    labels = np.concatenate([data.train.labels, data.validation.labels])
    held_back = data.test.pictures.astype("float32") / 255
    network.fit(pictures, labels, 128, EPOCHS, verbose=2, validation_data=(held_back, data.test.labels))
    # It is given pictures from 0 to 1; the other one scales them itself.
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), network])


def follow_quick(data: Dataset, seed: int) -> keras.Model:
    recipe = replace(RECIPES["quick"], arithmetic=choose_arithmetic())
    with TemporaryDirectory() as runs:
        config = Config(recipe, "quick", "mnist", seed, None, Path("models"), Path(runs))
        return train(config, data.train, data.validation)[0]


def timed(follow: Callable[[], keras.Model], part: Part) -> tuple[float, float]:
    """Seconds that a training takes, and the accuracy of its network on `part`."""
    began = time.perf_counter()
    network = follow()
    seconds = time.perf_counter() - began
    answers = network.predict(part.pictures, 500, verbose=0).argmax(axis=1)
    return seconds, float((answers == part.labels).mean())


if __name__ == "__main__":
    sys.exit(main())
