import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from training.muon import SIZE, Muon, orthogonalize

pytestmark = pytest.mark.tensorflow

RATE = 0.01


def build_network() -> keras.Model:
    """A convolution, a hidden layer and a last one, each with a bias; always the same."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5), layers.Dense(3)]
    )


def move(optimizer: keras.optimizers.Optimizer, *seeds: int) -> list[NDArray[np.float32]]:
    """By how much each variable of the network moves with gradients drawn from these seeds."""
    network = build_network()
    before = network.get_weights()
    optimizer.build(network.trainable_variables)
    for seed in seeds:
        random = np.random.default_rng(seed)
        gradients = [tf.constant(random.normal(size=array.shape), tf.float32) for array in before]
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
    return [after - array for after, array in zip(network.get_weights(), before, strict=True)]


@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (40, 40)])
def test_singular_values_end_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    left, _ = np.linalg.qr(random.normal(size=(shape[0], min(shape))))
    right, _ = np.linalg.qr(random.normal(size=(shape[1], min(shape))))
    values = np.geomspace(1000, 50, min(shape))
    result = orthogonalize(tf.constant(left * values @ right.T, tf.float32)).numpy()
    found = left.T @ result @ right
    assert np.all((np.diag(found) > 0.6) & (np.diag(found) < 1.3))
    np.testing.assert_allclose(found - np.diag(np.diag(found)), 0, atol=1e-3)


def test_no_gradient_is_no_step() -> None:
    np.testing.assert_array_equal(orthogonalize(tf.zeros((30, 4))), 0)


def test_kernels_but_the_last_go_the_same_length_in_every_direction() -> None:
    steps = move(Muon(RATE, weight_decay=0.0), 1, 2)[0::2]
    for step in steps[:-1]:
        matrix = step.reshape(-1, step.shape[-1])
        values = np.linalg.svd(matrix, compute_uv=False)
        assert values.max() < 3 * values.min()
        assert 0.5 < np.sqrt(np.square(matrix).mean()) / (2 * SIZE * RATE) < 1.2


def test_a_great_gradient_is_no_greater_step() -> None:
    small, great = (move(Muon(RATE, weight_decay=0.0, loss_scale_factor=1 / factor), 1) for factor in (1, 100))
    np.testing.assert_allclose(small[0], great[0], rtol=1e-3, atol=1e-6)


def test_biases_and_the_last_layer_learn_by_adamw() -> None:
    ours = move(Muon(RATE, weight_decay=0.1), 1, 2)
    adamw = move(keras.optimizers.AdamW(RATE, weight_decay=0.1), 1, 2)
    for place in (1, 3, 4, 5):
        np.testing.assert_allclose(ours[place], adamw[place], rtol=1e-5, atol=1e-7)
    for place in (0, 2):
        assert not np.allclose(ours[place], adamw[place], rtol=0.1)
