"""What a finished network gets right, class by class. For the test set: looked at once, after every choice was made."""

from dataclasses import dataclass

import keras
import numpy as np

from training.datasets import Part


@dataclass(frozen=True)
class Measurement:
    """One part through one network."""

    pictures: int
    loss: float
    """Mean cross-entropy, natural logarithm."""
    accuracy: float
    """Share of right answers, 0 to 1."""
    per_class: dict[str, float]
    """Share of right answers among the pictures of each class."""
    confusion: list[list[int]]
    """Pictures by true class (rows) and answered class (columns), in class order."""


def measure(network: keras.Model, part: Part, classes: tuple[str, ...]) -> Measurement:
    """Send every picture of `part` through the network once.

    Args:
        network: Raw uint8 pictures in, probabilities out.
        part: Pictures with their true labels; every class must occur.
        classes: Name of each class, by its number.
    """
    probabilities = network.predict(part.pictures, batch_size=500, verbose=0)
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (part.labels, answers), 1)
    shares = confusion.diagonal() / confusion.sum(axis=1)
    given = np.take_along_axis(probabilities, part.labels[:, np.newaxis].astype(int), axis=1)
    return Measurement(
        pictures=len(part),
        # The floor is float32's least normal number: a probability that became 0 must not make the mean infinite.
        loss=float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean()),
        accuracy=float(confusion.diagonal().sum() / len(part)),
        per_class={name: float(share) for name, share in zip(classes, shares, strict=True)},
        confusion=confusion.tolist(),
    )
