from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import openvino
import pytest

from training import novelty
from training.config import Config
from training.datasets import Dataset, Part
from training.novelty import add_novelty, choose_threshold, learn_novelty

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def learnt(tiny: Dataset) -> keras.Model:
    with pytest.MonkeyPatch.context() as patch:
        return learn(tiny, patch)


def learn(data: Dataset, patch: pytest.MonkeyPatch) -> keras.Model | None:
    """A short lesson."""
    for name, value in {"ROUNDS": 3, "STEPS": 40, "SORTING": 2, "BATCH": 32, "OUTLIERS": 300, "FEWEST": 20}.items():
        patch.setattr(novelty, name, value)
    return learn_novelty(data.train, data.test, "float32", seed=1)


def test_as_many_classes_as_a_byte_counts(tiny: Dataset) -> None:
    many = Part(tiny.train.pictures, np.full(len(tiny.train), 255, np.uint8))
    _, labels = novelty.draw_batch(many, tiny.train.pictures, 256, np.random.default_rng(1))
    assert set(labels.tolist()) == {255, 256}


def test_white_paper_is_learnt_as_its_negative(tiny: Dataset) -> None:
    class Learner:
        output_shape = (None, 11)

        def __init__(self) -> None:
            self.seen: list[np.ndarray] = []

        def train_on_batch(self, pictures: np.ndarray, labels: np.ndarray) -> float:
            self.seen.append(pictures)
            return 0.0

    black, white = Learner(), Learner()
    for paper, learner in ((0, black), (255, white)):
        random = np.random.default_rng(1)
        novelty.run_round(learner, tiny.train, tiny.train.pictures, np.uint8(paper), random)
    assert len(black.seen) == novelty.STEPS
    assert all((one == 255 - other).all() for one, other in zip(black.seen, white.seen, strict=True))


def test_score_lies_between_0_and_1(learnt: keras.Model, tiny: Dataset) -> None:
    scores = np.asarray(learnt.predict(tiny.test.pictures, verbose=0))
    assert (scores.shape, scores.dtype) == ((20, 1), np.float32)
    assert (scores >= 0).all()
    assert (scores <= 1).all()


def test_noise_is_less_like_digits_than_digits_are(learnt: keras.Model, tiny: Dataset) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (20, 28, 28, 1), np.uint8)
    assert learnt.predict(noise, verbose=0).mean() > learnt.predict(tiny.test.pictures, verbose=0).mean()


def test_the_same_seed_gives_the_same_network(
    learnt: keras.Model, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = learn(tiny, monkeypatch)
    assert again is not None
    for first, second in zip(learnt.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_written_network_keeps_the_contract(learnt: keras.Model, tiny: Dataset, tmp_path: Path) -> None:
    found = add_novelty(tmp_path, learnt, {"training": tiny.train, "validation": tiny.test, "test": tiny.train})
    network = openvino.Core().read_model(tmp_path / found.network)
    ports = [
        (port.element_type.to_string(), port.partial_shape.to_string()) for port in network.inputs + network.outputs
    ]
    assert ports == [("u8", "[?,28,28,1]"), ("f32", "[?,1]")]
    scores = novelty.score(tmp_path / found.network, tiny.test.pictures)
    np.testing.assert_allclose(scores, learnt.predict(tiny.test.pictures, verbose=0), atol=0.02)
    assert found.flagged["validation"] == (scores > found.threshold).mean() == 0
    assert sum(path.stat().st_size for path in (tmp_path / "novelty").iterdir()) < 1_000_000


@pytest.mark.parametrize("count", [200, 777, 5_000])
def test_threshold_flags_less_than_one_in_a_hundred_and_some(count: int) -> None:
    scores = np.random.default_rng(count).random((count, 1), np.float32)
    share = (scores > choose_threshold(scores)).mean()
    assert 0 < share < 0.01


def test_threshold_flags_none_of_many_that_are_alike() -> None:
    assert choose_threshold(np.full((1_000, 1), 0.25, np.float32)) == 0.25


def test_too_few_validation_pictures_are_told(tiny: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    few = Part(tiny.test.pictures[:5], tiny.test.labels[:5])
    assert learn_novelty(tiny.train, few, "float32", seed=1) is None
    assert "its threshold takes 200 validation pictures, found 5" in capsys.readouterr().out


def test_a_recipe_may_go_without(config: Config, tiny: Dataset) -> None:
    quick = replace(config, recipe=replace(config.recipe, novelty=False))
    assert novelty.provide_novelty(quick, tiny.train, tiny.test) is None


def test_network_of_a_refused_version_is_not_learnt_again(
    learnt: keras.Model, config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(novelty, "learn_novelty", lambda *_: learnt)
    novelty.provide_novelty(config, tiny.train, tiny.test)
    monkeypatch.setattr(novelty, "learn_novelty", lambda *_: None)
    resumed = replace(config, resume=True)
    again = novelty.provide_novelty(resumed, tiny.train, tiny.test)
    assert again is not None
    pictures = tiny.test.pictures
    np.testing.assert_array_equal(again.predict(pictures, verbose=0), learnt.predict(pictures, verbose=0))
    assert novelty.provide_novelty(config, tiny.train, tiny.test) is None  # a new run learns anew
    other = replace(resumed, origins={"pictures": "ab"})
    assert novelty.provide_novelty(other, tiny.train, tiny.test) is None  # and so does one with other pictures
