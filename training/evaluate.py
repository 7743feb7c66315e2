"""What a finished network gets right, class by class. For the test set: looked at once, after every choice was made."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibrate import Probabilities, cross_entropy

WORST = 24
"""Mistakes that are described one by one."""


@dataclass(frozen=True)
class Measurement:
    """One part through one network."""

    pictures: int
    loss: float
    """Mean cross-entropy, natural logarithm."""
    squared_error: float
    """Squared distance of the probabilities from 1 for the true class and 0 for the others: summed over classes, mean
    over pictures."""
    accuracy: float
    """Share of right answers, 0 to 1."""
    per_class: dict[str, float | None]
    """Share of right answers among the pictures of each class; none where there are no pictures of it."""
    confusion: list[list[int]]
    """Pictures by true class (rows) and answered class (columns), in class order."""
    wrong: list[int]
    """Which pictures are answered wrongly: places in the part, from 0, ascending."""
    worst: list[dict[str, Any]]
    """The wrong answers that the network was surest of, surest first: `picture` (its place), `label` and `answer` as
    numbers, `probability` of the answer, and `given`, that of the true class."""


def measure(probabilities: Probabilities, labels: NDArray[Any], classes: tuple[str, ...]) -> Measurement:
    """Compare answers with the truth.

    Args:
        probabilities: A network's answers to a part.
        labels: (n,), the part's true classes.
        classes: Name of each class, by its number.
    """
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, answers), 1)
    truth = np.eye(len(classes))[labels]
    wrong = np.flatnonzero(answers != labels)
    surest = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:WORST]
    return Measurement(
        pictures=len(labels),
        loss=cross_entropy(probabilities, labels),
        squared_error=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        accuracy=float(confusion.diagonal().sum() / len(labels)),
        per_class={
            name: float(row[number] / row.sum()) if row.sum() else None
            for number, (name, row) in enumerate(zip(classes, confusion, strict=True))
        },
        confusion=confusion.tolist(),
        wrong=wrong.tolist(),
        worst=[
            {
                "picture": picture,
                "label": int(labels[picture]),
                "answer": int(answers[picture]),
                "probability": float(probabilities[picture, answers[picture]]),
                "given": float(probabilities[picture, labels[picture]]),
            }
            for picture in surest.tolist()
        ],
    )


def interval(share: float, pictures: int) -> tuple[float, float]:
    """Where the true share lies with 95 %, after `pictures` draws gave `share`. Source: E. B. Wilson (1927)."""
    z = 1.96
    centre = share + z**2 / (2 * pictures)
    reach = z * float(np.sqrt(share * (1 - share) / pictures + z**2 / (4 * pictures**2)))
    return max(0.0, (centre - reach) / (1 + z**2 / pictures)), min(1.0, (centre + reach) / (1 + z**2 / pictures))
