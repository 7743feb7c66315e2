"""The form in which the documented network learns, and the way back from it.

While it learns, a batch normalisation stands before each ReLU (after the pool, where there is one, since it is four
times cheaper there) and the layers compute in bfloat16: both halve the time and raise the accuracy. Normalising is
linear when the learning is over, and goes into the weights before it: what is left is exactly the documented network.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.config import SHAPE, Recipe
from training.datasets import Pixels
from training.network import build_network

NORMED = ("conv_2", "fc_1")
"""Layers that a normalisation follows. After conv_1, on the largest maps, it would cost a third more time."""
EPSILON = 1e-3
"""Added to variances, so that a dead channel does not blow up."""
SETTLING = 3_000
"""Training pictures that means and variances are measured on: to within a percent."""


class Normalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras', but maps are normalised by TensorFlow's one operation for it: Keras' ten take five times as long."""

    def __init__(self, **options: Any) -> None:
        super().__init__(scale=False, epsilon=EPSILON, **options)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if len(inputs.shape) != 4:
            return super().call(inputs, training=training)
        learns = training and self.trainable
        beta, mean, variance = (
            tf.cast(part, tf.float32) for part in (self.beta, self.moving_mean, self.moving_variance)
        )
        known = {} if learns else {"mean": mean, "variance": variance}
        result, *found = tf.compat.v1.nn.fused_batch_norm(
            inputs, tf.ones_like(beta), beta, **known, epsilon=EPSILON, is_training=learns
        )
        if learns:
            for before, now in zip((self.moving_mean, self.moving_variance), found, strict=True):
                before.assign(self.momentum * before + (1 - self.momentum) * now)
        return result


def build_learner(recipe: Recipe, classes: int) -> keras.Model:
    """The documented layers as they learn.

    Args:
        recipe: Its shares of dropout, and its arithmetic.
        classes: Outputs.

    Returns:
        Takes raw uint8 (n, 28, 28, 1); gives float32 (n, classes). Its start comes from Keras' global seed.
    """
    keep = {"dtype": recipe.policy}
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="scaling", **keep),
            layers.Conv2D(32, 3, activation="relu", name="conv_1", **keep),
            layers.Conv2D(64, 3, use_bias=False, name="conv_2", **keep),
            layers.MaxPooling2D(2, name="max_pool", **keep),
            Normalization(name="norm_conv_2", **keep),
            layers.ReLU(name="relu_conv_2", **keep),
            layers.Dropout(recipe.dropout[0], name="dropout_1", **keep),
            layers.Flatten(name="flatten", **keep),
            layers.Dense(128, use_bias=False, name="fc_1", **keep),
            Normalization(name="norm_fc_1", **keep),
            layers.ReLU(name="relu_fc_1", **keep),
            layers.Dropout(recipe.dropout[1], name="dropout_2", **keep),
            layers.Dense(classes, name="fc_2", **keep),
            layers.Softmax(name="probabilities", dtype="float32"),
        ],
        name="learner",
    )


def settle(learner: keras.Model, pictures: Pixels) -> None:
    """Measure anew what the normalisations take for mean and variance.

    The means that run along while learning belong to weights that change with every step; those of the averaged
    weights are others, and with the wrong ones a good network answers nonsense.

    Args:
        learner: Any model with normalisations; they are settled in order.
        pictures: uint8 (n, …), training pictures as they are. Of more than `SETTLING`, some are taken from all over:
            those of a folder lie class after class.
    """
    chosen = pictures[:: math.ceil(len(pictures) / SETTLING)]
    for layer in learner.layers:
        if isinstance(layer, Normalization):
            before = keras.Model(learner.inputs, layer.input)
            values = before.predict(chosen, batch_size=500, verbose=0).astype(np.float32)
            axes = tuple(range(values.ndim - 1))
            layer.moving_mean.assign(values.mean(axis=axes))
            layer.moving_variance.assign(values.var(axis=axes))


def fold(learner: keras.Model) -> keras.Model:
    """The documented network that answers what the learner answers.

    A maximum over the pool may come before or after the normalisation, since that has no negative factor.
    """
    network = build_network(learner.output_shape[-1])
    for layer in network.layers:
        if layer.name in NORMED:
            norm = learner.get_layer(f"norm_{layer.name}")
            mean, variance, beta = (np.asarray(part) for part in (norm.moving_mean, norm.moving_variance, norm.beta))
            factor = 1 / np.sqrt(variance + EPSILON)
            (kernel,) = learner.get_layer(layer.name).get_weights()
            layer.set_weights([kernel * factor, beta - mean * factor])
        elif layer.weights:
            layer.set_weights(learner.get_layer(layer.name).get_weights())
    return network
