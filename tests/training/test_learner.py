from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.training.conftest import draw_part
from training import learner
from training.config import RECIPES
from training.learner import EPSILON, Normalization, build_learner, fold, settle
from training.network import PARAMETERS
from training.teacher import build_teacher

pytestmark = pytest.mark.tensorflow

EXACT = replace(RECIPES["standard"], arithmetic="float32")
PART = draw_part(range(4))


@pytest.fixture
def learnt() -> keras.Model:
    """A learner that has taken a few steps, so that nothing in it is 0 or 1 by chance."""
    keras.utils.set_random_seed(1)
    network = build_learner(EXACT, 10)
    network.compile("adam", "sparse_categorical_crossentropy")
    for _ in range(3):
        network.train_on_batch(PART.pictures, PART.labels)
    return network


def test_folded_network_is_the_documented_one_and_answers_the_same(learnt: keras.Model) -> None:
    network = fold(learnt)
    assert network.count_params() == PARAMETERS
    np.testing.assert_allclose(network(PART.pictures), learnt(PART.pictures, training=False), atol=1e-5)


def test_settled_learner_sees_what_it_saw_in_training(learnt: keras.Model) -> None:
    settle(learnt, PART.pictures)
    without_dropout = build_learner(replace(EXACT, dropout=(0.0, 0.0)), 10)
    without_dropout.set_weights(learnt.get_weights())
    in_training = without_dropout(PART.pictures, training=True)
    np.testing.assert_allclose(learnt(PART.pictures, training=False), in_training, atol=1e-4)


def test_settled_on_pictures_from_all_over(learnt: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "SETTLING", 10)
    sorted_by_class = PART.pictures[np.argsort(PART.labels, kind="stable")]
    settle(learnt, sorted_by_class)
    found = learnt.get_layer("norm_fc_1").moving_mean.numpy()
    settle(learnt, sorted_by_class[::4])  # one of each class
    np.testing.assert_array_equal(found, learnt.get_layer("norm_fc_1").moving_mean.numpy())


def test_normalization_is_keras_own() -> None:
    maps = np.random.default_rng(1).normal(3, 2, (8, 12, 12, 4)).astype(np.float32)
    ours, keras_own = Normalization(), keras.layers.BatchNormalization(scale=False, epsilon=EPSILON)
    for training in (True, False):
        np.testing.assert_allclose(
            ours(maps, training=training), keras_own(maps, training=training), rtol=1e-4, atol=1e-4
        )
    for found, expected in zip(ours.non_trainable_variables, keras_own.non_trainable_variables, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_frozen_normalization_keeps_to_what_it_has_measured(learnt: keras.Model) -> None:
    frozen = learnt.get_layer("norm_conv_2")
    frozen.trainable = False
    before = frozen.get_weights()
    maps = np.random.default_rng(1).normal(3, 2, (8, *frozen.input.shape[1:])).astype(np.float32)
    np.testing.assert_array_equal(frozen(maps, training=True), frozen(maps, training=False))
    for one, other in zip(frozen.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("build", [build_learner, build_teacher])
def test_learns_in_bfloat16_with_weights_and_answers_in_float32(build: object) -> None:
    network = build(replace(EXACT, arithmetic="bfloat16"), 7)  # type: ignore[operator]
    assert {weight.dtype for weight in network.weights} == {"float32"}
    answers = network(PART.pictures)
    assert (answers.shape, answers.dtype) == ((len(PART), 7), "float32")
    np.testing.assert_allclose(answers.numpy().sum(axis=1), 1, rtol=1e-5)
