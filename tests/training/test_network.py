import keras
import numpy as np
import pytest

from training import network
from training.errors import TrainingError

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def built() -> keras.Model:
    return network.build_network()


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("conv_1", (26, 26, 32), (3 * 3 * 1 + 1) * 32),
        ("conv_2", (24, 24, 64), (3 * 3 * 32 + 1) * 64),
        ("max_pool", (12, 12, 64), 0),
        ("flatten", (9_216,), 0),
        ("fc_1", (128,), (9_216 + 1) * 128),
        ("fc_2", (10,), (128 + 1) * 10),
    ],
)
def test_layer_is_as_documented(built: keras.Model, name: str, shape: tuple[int, ...], parameters: int) -> None:
    layer = built.get_layer(name)
    assert layer.output.shape[1:] == shape
    assert layer.count_params() == parameters


def test_parameters_add_up_to_the_documented_total(built: keras.Model) -> None:
    assert built.count_params() == 1_199_882
    assert sum(parameters for _, _, parameters in network.TABLE) == 1_199_882


def test_raw_pixels_in_probabilities_out(built: keras.Model) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (3, 28, 28, 1), np.uint8)
    assert (built.inputs[0].name, built.inputs[0].dtype) == ("image", "uint8")
    np.testing.assert_allclose(built(pictures).numpy().sum(axis=1), 1, rtol=1e-6)


def test_scaling_is_the_first_layer(built: keras.Model) -> None:
    np.testing.assert_array_equal(built.layers[0](np.array([0, 255], np.uint8)), [0, 1])


def test_another_layer_is_named_with_both_counts() -> None:
    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(31, 3, name="conv_1")]
    with pytest.raises(
        TrainingError, match=r"conv_1: expected .*\(\(26, 26, 32\), 320\), found \(\(26, 26, 31\), 310\)"
    ):
        network.check_network(keras.Sequential(layers))


def test_missing_layer_is_named() -> None:
    with pytest.raises(TrainingError, match="layer conv_1: expected"):
        network.check_network(keras.Sequential([keras.Input((28, 28, 1))]))


def test_undocumented_parameters_are_found(built: keras.Model) -> None:
    more = keras.Sequential([*built.layers, keras.layers.Dense(10, name="fc_3")])
    more.build((None, 28, 28, 1))
    with pytest.raises(TrainingError, match="expected 1,199,882 parameters, found 1,199,992"):
        network.check_network(more)
