"""The larger networks whose answers the documented one learns from. They are never served."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from training.config import SHAPE, Recipe
from training.datasets import Pixels
from training.learner import EPSILON


@dataclass(frozen=True)
class Convolution:
    """One convolution of a teacher, with what follows it: a pool if wanted, normalisation, ReLU, dropout if wanted."""

    channels: int
    size: int = 3
    """Side of the kernel, in pixels."""
    padding: str = "valid"
    pool: bool = False
    norm: bool = True
    drop: bool = False


LAYOUTS = {
    "deep": (
        Convolution(32, norm=False),  # on the largest maps a normalisation would cost a third more time
        Convolution(48, pool=True, drop=True),
        Convolution(96, padding="same"),
        Convolution(96, padding="same", pool=True, drop=True),
        Convolution(192),
        Convolution(192),
    ),
    "mixed": (
        Convolution(48, 5, pool=True, drop=True),
        Convolution(96, 5, padding="same", pool=True, drop=True),
        Convolution(192),
        Convolution(192),
    ),
}
"""By name: small kernels only, and larger ones first. Networks that look differently err differently."""


def build_teacher(layout: str, recipe: Recipe, classes: int) -> keras.Model:
    """A teacher of that layout. The other arguments and the result are those of `learner.build_learner`."""
    keep = {"dtype": recipe.policy}
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input(SHAPE, dtype="uint8", name="image"), layers.Rescaling(1 / 255, **keep)], name="teacher"
    )
    for part in LAYOUTS[layout]:
        network.add(layers.Conv2D(part.channels, part.size, padding=part.padding, use_bias=not part.norm, **keep))
        if part.pool:
            network.add(layers.MaxPooling2D(2, **keep))
        if part.norm:
            network.add(layers.BatchNormalization(scale=False, epsilon=EPSILON, **keep))
        network.add(layers.ReLU(**keep))
        if part.drop:
            network.add(layers.Dropout(recipe.dropout[0], **keep))
    network.add(layers.Flatten(**keep))
    network.add(layers.Dropout(recipe.dropout[1], **keep))
    network.add(layers.Dense(classes, **keep))
    network.add(layers.Softmax(dtype="float32"))
    return network


class Panel:
    """Several teachers that answer as one, and remember what they will be asked again."""

    def __init__(self, teachers: Sequence[keras.Model]) -> None:
        self.teachers = teachers
        self.answers: dict[Hashable, NDArray[np.float32]] = {}

    def answer(self, question: Hashable, pictures: Pixels, *, again: bool) -> NDArray[np.float32]:
        """The mean of their probabilities.

        Args:
            question: What stands for the pictures: it has the same answer whenever it comes.
            pictures: uint8 (n, height, width, 1).
            again: Whether it will.

        Returns:
            (n, classes).
        """
        answer = self.answers.pop(question, None)
        if answer is None:
            answer = np.mean([teacher.predict_on_batch(pictures) for teacher in self.teachers], axis=0)
        if again:
            self.answers[question] = answer
        return answer
