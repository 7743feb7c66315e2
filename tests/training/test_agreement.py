"""Keras, TensorFlow and OpenVINO compute the same with `models/mnist/1`, and as well as it says of itself."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from service import engines
from service.manifest import Manifest
from tests.service.conftest import SHIPPED
from tests.training.conftest import draw_part
from training.datasets import Pixels
from training.idx import load_mnist
from training.network import build_network

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.read(SHIPPED)


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return draw_part(range(100)).pictures


@pytest.fixture(scope="module")
def expected(pictures: Pixels) -> np.ndarray:
    """What Keras answers with the documented layers and the published weights."""
    network = build_network()
    network.set_weights([weight.numpy() for weight in tf.saved_model.load(str(SHIPPED)).weights])
    return keras.ops.convert_to_numpy(network.predict(pictures, verbose=0))


@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_engine_agrees_with_keras(name: str, manifest: Manifest, pictures: Pixels, expected: np.ndarray) -> None:
    engine = engines.load(name, SHIPPED, manifest, threads=1)
    assert len(pictures) == 1_000
    assert np.abs(engine.predict(pictures).probabilities - expected).max() <= 1e-5


def test_golden_answers_are_reproduced(manifest: Manifest) -> None:
    pictures = np.stack([np.frombuffer(one.pixels, np.uint8).reshape(28, 28, 1) for one in manifest.golden])
    found = engines.load("openvino", SHIPPED, manifest, threads=1).predict(pictures).probabilities
    np.testing.assert_allclose(found, [one.probabilities for one in manifest.golden], atol=1e-5)
    assert found.argmax(axis=1).tolist() == list(range(10))


@pytest.mark.mnist
def test_recorded_accuracy_is_the_measured_one(manifest: Manifest, mnist_folder: Path) -> None:
    test = load_mnist(mnist_folder).test
    answers = engines.load("openvino", SHIPPED, manifest, threads=2).predict(test.pictures).probabilities.argmax(axis=1)
    assert (answers == test.labels).mean() == manifest.accuracy["test"]
    assert manifest.accuracy["test"] >= 0.9940
