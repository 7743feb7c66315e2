import numpy as np
import pytest

from training.calibrate import calibrate, cross_entropy, fit, measure_reliability, soften
from training.datasets import Part

RANDOM = np.random.default_rng(11)


def draw(count: int, classes: int, *, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true probabilities, and a network that knows them but says them `sharpness` times too loud."""
    true = soften(RANDOM.dirichlet(np.full(classes, 0.3), count), 1)
    labels = np.array([RANDOM.choice(classes, p=each) for each in true])
    return soften(true, 1 / sharpness).astype(np.float32), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("classes", [2, 10])
def test_finds_how_much_too_loud_a_network_is(sharpness: float, classes: int) -> None:
    probabilities, labels = draw(4_000, classes, sharpness=sharpness)
    found = fit(probabilities, labels)
    assert found.value == pytest.approx(sharpness, rel=0.1)
    assert 0 < found.error < 0.1
    softened = soften(probabilities, found.value)
    assert cross_entropy(softened, labels) <= cross_entropy(probabilities, labels)
    assert measure_reliability(softened, labels)["error"] < 0.03


@pytest.mark.parametrize("right", [True, False])
def test_a_dozen_pictures_change_little(right: bool) -> None:
    probabilities = np.full((12, 2), [0.99, 0.01])
    found = fit(probabilities, np.full(12, 0 if right else 1))
    assert 0.5 < found.value <= 1 if right else 1 < found.value < 7.4
    assert found.error > 0.1


def test_probabilities_that_became_0_and_1_are_no_trouble() -> None:
    probabilities = np.tile(np.eye(3, dtype=np.float32), (20, 1))
    labels = np.tile([0, 1, 2], 20)
    labels[0] = 1
    found = fit(probabilities, labels)
    assert 1 < found.value < 7.4
    assert np.isfinite(soften(probabilities, found.value)).all()


def test_softening_is_undone_by_its_inverse_and_keeps_the_answers() -> None:
    probabilities, _ = draw(50, 5, sharpness=1)
    softened = soften(probabilities, 1.7)
    assert (softened.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(soften(softened, 1 / 1.7), probabilities, atol=1e-6)


def test_reliability_is_counted_in_fifteen_bins() -> None:
    probabilities = np.array([[0.5, 0.5], [0.95, 0.05], [0.97, 0.03], [0.0, 1.0]])
    found = measure_reliability(probabilities, np.array([0, 0, 1, 1]))
    assert [each["pictures"] for each in found["bins"]] == [1, 3]
    middle, last = found["bins"]
    assert (middle["from"], middle["to"]) == (7 / 15, 8 / 15)
    assert (middle["confidence"], middle["accuracy"]) == (0.5, 1.0)
    assert last["confidence"] == pytest.approx(0.97333, abs=1e-4)
    assert found["error"] == pytest.approx(0.25 * 0.5 + 0.75 * (0.97333 - 2 / 3), abs=1e-4)


def test_chance_alone_makes_an_error_that_falls_with_the_number_of_pictures() -> None:
    few, many = (measure_reliability(*draw(count, 4, sharpness=1)) for count in (200, 20_000))
    assert few["chance"] > 5 * many["chance"]
    assert many["error"] < 3 * many["chance"]
    assert measure_reliability(*draw(5_000, 4, sharpness=3))["error"] > 5 * many["chance"]


@pytest.mark.tensorflow
def test_temperature_is_folded_into_the_last_layer() -> None:
    import keras

    keras.utils.set_random_seed(3)
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    network.layers[-1].set_weights([RANDOM.normal(0, 3, (16, 3)), RANDOM.normal(0, 3, 3)])
    pictures = RANDOM.integers(0, 2, (500, 4, 4, 1), np.uint8)
    part = Part(pictures, RANDOM.integers(0, 3, 500).astype(np.uint8))
    before, parameters = network.predict(pictures, verbose=0), network.count_params()
    temperature = calibrate(network, part)
    assert temperature.value > 2  # labels are drawn by lot, and the network was sure of itself
    np.testing.assert_allclose(network.predict(pictures, verbose=0), soften(before, temperature.value), atol=1e-4)
    assert network.count_params() == parameters
