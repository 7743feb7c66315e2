"""Probabilities that mean what they say: one temperature, fitted on validation and folded into the last layer.

After C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks" (2017). A temperature changes
how sure a network is, never what it answers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from training.datasets import Part

if TYPE_CHECKING:  # a report is measured anew without TensorFlow
    import keras

BINS = 15
"""Equal intervals of the probability of the class found, over which the calibration error is averaged."""
DRAWS = 200
"""How often chance is tried, to tell what part of a calibration error is its doing."""
SPREAD = 0.5
"""Standard deviation of ln(temperature) before anything was seen: the prior that keeps a small validation part from
extremes. A dozen pictures, all of them right, would else have a network become infinitely sure. Of 5,000 pictures
it moves the temperature by less than a hundredth."""
WIDEST = 2.0
"""Largest |ln(temperature)| that is looked at: four standard deviations."""
LEAST = float(np.finfo(np.float32).tiny)
"""What a probability that became 0 in float32 counts as."""

Probabilities: TypeAlias = NDArray[Any]
"""(n, classes), rows add up to 1."""


@dataclass(frozen=True)
class Temperature:
    """What the last layer's sums were divided by. Above 1, the network was too sure of itself."""

    value: float = 1.0
    error: float = 0.0
    """Standard error of ln(value), from the curvature of what was minimised; the same to first order for `value`."""


def calibrate(network: "keras.Model", validation: Part) -> Temperature:
    """Fit a temperature and fold it in: parameters, signature and answers stay, probabilities change.

    Args:
        network: Ends in a dense layer with softmax; changed in place.
        validation: Pictures that nothing was learnt from. Never the test part.
    """
    temperature = fit(network.predict(validation.pictures, batch_size=500, verbose=0), validation.labels)
    last = network.layers[-1]
    last.set_weights([weights / np.float32(temperature.value) for weights in last.get_weights()])
    return temperature


def fit(probabilities: Probabilities, labels: NDArray[Any]) -> Temperature:
    """The temperature with the least cross-entropy, and a prior's cost that only small parts feel.

    Args:
        probabilities: Of a network at temperature 1.
        labels: (n,), the true classes.
    """

    def cost(logarithm: float) -> float:
        return cross_entropy(soften(probabilities, np.exp(logarithm)), labels) * len(labels) + (
            (logarithm / SPREAD) ** 2 / 2
        )

    found = minimize_scalar(cost, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 1e-6})
    step = 0.02
    curvature = (cost(found.x - step) - 2 * cost(found.x) + cost(found.x + step)) / step**2
    return Temperature(float(np.exp(found.x)), float(max(curvature, SPREAD**-2) ** -0.5))


def soften(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The same answers at another temperature, in float64. Undone by 1 / `temperature`."""
    sums = np.log(np.maximum(probabilities.astype(np.float64), LEAST)) / temperature
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    softened: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return softened


def cross_entropy(probabilities: Probabilities, labels: NDArray[Any]) -> float:
    """Mean over pictures of −ln(probability of the true class)."""
    given = np.take_along_axis(probabilities, labels[:, np.newaxis].astype(int), axis=1)
    return float(-np.log(np.maximum(given, LEAST)).mean())


def measure_reliability(probabilities: Probabilities, labels: NDArray[Any]) -> dict[str, Any]:
    """How often a network is right when it says how sure it is.

    Returns:
        `error`: the expected calibration error, 0 to 1: |accuracy − confidence| of each bin, weighted by its pictures.
        `chance`: what that would be on as many pictures for a network whose every probability is the true one.
        `bins`: for each interval of the top probability `from`, `to`, `pictures`, mean `confidence` and `accuracy`;
        bins without pictures are left out.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "pictures": int((places == place).sum()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]
    random = np.random.default_rng(BINS)
    drawn = [average_gaps(confidence, random.random(len(labels)) < confidence, places) for _ in range(DRAWS)]
    return {"error": average_gaps(confidence, right, places), "chance": float(np.mean(drawn)), "bins": bins}


def average_gaps(confidence: NDArray[Any], right: NDArray[Any], places: NDArray[Any]) -> float:
    """Mean over bins, weighted by their pictures, of how far confidence and accuracy are apart."""
    return float(np.abs(np.bincount(places, confidence - right)).sum() / len(places))
