import numpy as np
import pytest

from training.datasets import Part
from training.evaluate import measure

pytestmark = pytest.mark.tensorflow


class Answers:
    """A network that answers from a list."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.probabilities = np.array(probabilities, np.float32)

    def predict(self, pictures: np.ndarray, **_: object) -> np.ndarray:
        return self.probabilities[pictures.ravel()]


def test_counts_are_by_true_class_and_answered_class() -> None:
    part = Part(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1), np.array([0, 0, 0, 1], np.uint8))
    found = measure(Answers([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 1]]), part, ("cat", "dog"))
    assert found.confusion == [[2, 1], [0, 1]]
    assert found.accuracy == 0.75
    assert found.per_class == {"cat": pytest.approx(2 / 3), "dog": 1.0}
    assert found.loss == pytest.approx(-np.log([0.9, 0.6, 0.2, 1]).mean(), rel=1e-6)
    assert found.pictures == 4


def test_probability_of_zero_gives_a_finite_loss() -> None:
    part = Part(np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1], np.uint8))
    assert 40 < measure(Answers([[1, 0]]), part, ("cat", "dog")).loss < 50
