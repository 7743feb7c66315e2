"""The larger network whose answers the documented one learns from. It is never served."""

import keras

from training.config import SHAPE, Recipe
from training.learner import Normalization

WIDTHS = (32, 64, 128, 128, 128, 256, 256, 256)
"""Channels of its eight convolutions: eight times the work of the documented network."""


def build_teacher(recipe: Recipe, classes: int) -> keras.Model:
    """Eight convolutions with normalisation. Arguments and result as in `learner.build_learner`."""
    keep = {"dtype": recipe.policy}
    layers = keras.layers

    def block(number: int, *, padding: str = "same", pool: bool = False) -> list[keras.Layer]:
        """A convolution, a pool if wanted, normalisation, ReLU."""
        return [
            layers.Conv2D(WIDTHS[number], 3, padding=padding, use_bias=False, **keep),
            *([layers.MaxPooling2D(2, **keep)] if pool else []),
            Normalization(**keep),
            layers.ReLU(**keep),
        ]

    return keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, **keep),
            layers.Conv2D(WIDTHS[0], 3, activation="relu", **keep),
            *block(1, padding="valid", pool=True),
            layers.Dropout(recipe.dropout[0], **keep),
            *block(2),
            *block(3),
            *block(4, pool=True),
            layers.Dropout(recipe.dropout[0], **keep),
            *block(5),
            *block(6, padding="valid"),
            *block(7, padding="valid"),
            layers.Flatten(**keep),
            layers.Dropout(recipe.dropout[1], **keep),
            layers.Dense(classes, **keep),
            layers.Softmax(dtype="float32"),
        ],
        name="teacher",
    )
