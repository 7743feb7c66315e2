import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from service.errors import BadManifest
from service.manifest import Manifest
from tests.service.conftest import SHIPPED
from tests.training.conftest import SHAPE, draw_part
from training import train, transfer
from training.config import RECIPES, Config
from training.datasets import Dataset
from training.errors import TrainingError
from training.learner import fold, settle
from training.transfer import Start

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def start() -> Start:
    return transfer.load_start(SHIPPED)


def test_convolutions_are_read_as_numbers(start: Start) -> None:
    assert start.name == "mnist 1"
    assert start.checksum == Manifest.read(SHIPPED).files["variables/variables.data-00000-of-00001"]
    assert [array.shape for layer in start.layers.values() for array in layer] == [
        (3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,),
    ]  # fmt: skip
    assert start.origin != replace(start, freeze=True).origin


def test_learner_begins_with_the_features_of_the_start(start: Start, config: Config, tiny: Dataset) -> None:
    keras.utils.set_random_seed(1)
    recipe = replace(config.recipe, arithmetic="float32")
    learner = transfer.build_from(start, tiny.train.pictures)(recipe, 3)
    assert learner.output_shape == (None, 3)
    pictures = tiny.test.pictures
    (kernel_1, bias_1), (kernel_2, bias_2) = start.layers["conv_1"], start.layers["conv_2"]
    conv = keras.ops.nn.conv
    maps = keras.ops.relu(conv(pictures / np.float32(255), kernel_1) + bias_1)
    expected = np.asarray(keras.ops.relu(keras.ops.max_pool(conv(maps, kernel_2) + bias_2, 2)))
    found = keras.Model(learner.inputs, learner.get_layer("relu_conv_2").output).predict(pictures, verbose=0)
    deviation = np.sqrt(np.asarray(learner.get_layer("norm_conv_2").moving_variance) + 1e-3)
    np.testing.assert_allclose(found * deviation, expected, atol=1e-4)


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_convolutions_stay_and_others_learn(start: Start, config: Config, tiny: Dataset, freeze: bool) -> None:
    build = transfer.build_from(replace(start, freeze=freeze), tiny.train.pictures)
    short = replace(config, recipe=replace(config.recipe, epochs=1))
    network, _ = train.train(short, tiny.train, tiny.validation, build)
    kept = (network.get_layer("conv_1").get_weights()[0] == start.layers["conv_1"][0]).all()
    assert kept == freeze
    learner = build(config.recipe, 10)
    learner.set_weights(learner.get_weights())
    settle(learner, tiny.train.pictures)
    if freeze:  # a second look at the same pictures changes nothing that was frozen
        np.testing.assert_allclose(
            fold(learner).get_layer("conv_2").get_weights()[0],
            fold(build(config.recipe, 10)).get_layer("conv_2").get_weights()[0],
        )


def test_frozen_run_goes_on_as_if_it_had_not_stopped(start: Start, config: Config, tiny: Dataset) -> None:
    build = transfer.build_from(replace(start, freeze=True), tiny.train.pictures)
    first, _ = train.train(config, tiny.train, tiny.validation, build)
    again, _ = train.train(replace(config, resume=True), tiny.train, tiny.validation, build)
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_no_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match=r"manifest.json is missing"):
        transfer.load_start(tmp_path)


def copy_version(folder: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, folder / "1"))


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = copy_version(tmp_path)
    with (folder / "variables/variables.data-00000-of-00001").open("r+b") as file:
        file.write(b"other")
    with pytest.raises(TrainingError, match=r"variables.data-00000-of-00001 is missing or damaged: expected SHA-256"):
        transfer.load_start(folder)


def test_other_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transfer.SHAPES, "conv_2", ((5, 5, 32, 64), (64,)))
    with pytest.raises(TrainingError, match=r"has not the convolutions of the documented network: .*\(5, 5, 32, 64\)"):
        transfer.load_start(SHIPPED)


def test_gain_is_measured_as_far_as_the_set_goes_and_kept(
    start: Start, config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transfer, "SIZES", (2, 5, 100))
    monkeypatch.setattr(transfer, "DRAWS", {2: 2})
    asked = []

    def try_out(own: Config, build: object, few: object, data: Dataset) -> tuple[float, float]:
        asked.append(len(few))
        return len(asked) / 10, 0.5

    monkeypatch.setattr(transfer, "try_out", try_out)
    gain = transfer.measure_gain(config, tiny, start)
    assert gain["from"] == "mnist 1"
    assert asked == [20] * 6 + [50] * 3
    assert [row["pictures"] for row in gain["rows"]] == [2, 5]
    assert list(gain["rows"][0]) == ["pictures", "learning_on", "from_scratch", "frozen"]
    assert gain["rows"][0]["learning_on"] == pytest.approx(0.25)  # the mean of the first draw and the second
    assert gain["test"][1] == {"pictures": 5, "learning_on": 0.5, "from_scratch": 0.5, "frozen": 0.5}
    assert "5 pictures a class: learning on 70.0%, from scratch 80.0%, frozen 90.0%" in capsys.readouterr().err
    assert transfer.measure_gain(replace(config, resume=True), tiny, start) == gain
    assert len(asked) == 9
    json.dumps(gain)


def test_short_runs_are_untaught(config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def learn(own: Config, *_: object) -> tuple[keras.Model, None]:
        asked.append(own.recipe)
        return train.build_learner(own.recipe, 10), None

    monkeypatch.setattr(transfer, "learn", learn)
    record = replace(config, recipe=RECIPES["record"])
    transfer.try_out(record, train.build_learner, draw_part(range(2)), tiny)
    assert [recipe.taught for recipe in asked] == [False]


def test_short_run_leaves_nothing_behind(config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "EPOCHS", 1)
    monkeypatch.setattr(transfer, "STEPS", 1)
    shares = transfer.try_out(config, train.build_learner, draw_part(range(2)), tiny)
    assert all(0 <= share <= 1 for share in shares)
    assert not config.runs.exists()
    assert tiny.train.pictures.shape[1:] == SHAPE
