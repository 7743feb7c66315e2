import numpy as np
import pytest

from training.evaluate import WORST, measure

CLASSES = ("cat", "dog")


def test_counts_are_by_true_class_and_answered_class() -> None:
    found = measure(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 1]]), np.array([0, 0, 0, 1]), CLASSES)
    assert found.confusion == [[2, 1], [0, 1]]
    assert found.accuracy == 0.75
    assert found.per_class == {"cat": pytest.approx(2 / 3), "dog": 1.0}
    assert found.loss == pytest.approx(-np.log([0.9, 0.6, 0.2, 1]).mean(), rel=1e-6)
    assert found.pictures == 4


@pytest.mark.parametrize(
    ("answers", "squared_error", "loss"),
    [([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]], 0.25, 0.38), ([[0.6, 0.4], [0.3, 0.7], [0.1, 0.9]], 0.71, 1.06)],
)
def test_the_three_figures_are_those_of_the_documents(
    answers: list[list[float]], squared_error: float, loss: float
) -> None:
    found = measure(np.array(answers), np.array([0, 1, 0]), ("dog", "cat"))
    assert round(1 - found.accuracy, 2) == 0.33
    assert round(found.squared_error, 2) == squared_error
    assert round(found.loss, 2) == loss


def test_mistakes_come_surest_first() -> None:
    found = measure(np.array([[0.3, 0.7], [0.6, 0.4], [0.1, 0.9]]), np.array([0, 0, 0]), CLASSES)
    assert found.wrong == [0, 2]
    assert found.worst == [
        {"picture": 2, "label": 0, "answer": 1, "probability": 0.9, "given": 0.1},
        {"picture": 0, "label": 0, "answer": 1, "probability": 0.7, "given": 0.3},
    ]


def test_few_mistakes_are_described_and_all_are_listed() -> None:
    found = measure(np.tile([0.2, 0.8], (100, 1)), np.zeros(100, np.uint8), CLASSES)
    assert len(found.worst) == WORST
    assert len(found.wrong) == 100


def test_class_without_pictures_has_no_share() -> None:
    assert measure(np.array([[1.0, 0.0]]), np.array([0]), CLASSES).per_class == {"cat": 1.0, "dog": None}


def test_probability_of_zero_gives_a_finite_loss() -> None:
    assert 40 < measure(np.array([[1.0, 0.0]] * 2, np.float32), np.array([0, 1]), CLASSES).loss < 50
