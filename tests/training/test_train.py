import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.conftest import make_config
from training import calibrate, checkpoint, train
from training.checkpoint import Arrays, Progress
from training.config import Config
from training.datasets import Dataset, Part, Pixels
from training.errors import TrainingError
from training.learner import build_learner, fold

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).parents[2]

# A run in a process of its own that ends as by kill -9, while the state of its third epoch is being written.
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.conftest import draw_part, make_config
from training.train import train

fsync, calls = os.fsync, []

def fsync_twice(handle):
    calls.append(handle)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

os.fsync = fsync_twice
train(make_config(Path(sys.argv[1])), draw_part(range(6)), draw_part(range(6, 8)))
"""


@pytest.fixture(scope="module")
def whole(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Arrays, Progress]:
    """Weights and curves of a run that nothing interrupted."""
    network, progress = train.train(make_config(tmp_path_factory.mktemp("whole")), tiny.train, tiny.test)
    return network.get_weights(), progress


def assert_same(found: Arrays, expected: Arrays) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def stop_after(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Have Ctrl-C come as soon as this epoch is saved."""
    save = checkpoint.save

    def save_and_stop(config: Config, network: object, progress: Progress) -> None:
        save(config, network, progress)
        if len(progress.curves) == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)


def test_a_loss_that_is_none_any_more_is_never_the_best() -> None:
    losses = (0.5, 0.3, float("nan"), float("nan"))
    assert Progress([{"validation_loss": loss} for loss in losses]).best_epoch == 2
    assert Progress([{"validation_loss": float("nan")}] * 2).best_epoch == 1


def test_same_seed_same_weights(whole: tuple[Arrays, Progress], config: Config, tiny: Dataset) -> None:
    network, progress = train.train(config, tiny.train, tiny.test)
    assert_same(network.get_weights(), whole[0])
    assert progress.best_epoch == whole[1].best_epoch


def test_taught_run_keeps_its_teacher_for_the_next_seed(
    config: Config, tiny: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "LEAST_STEPS", 1)
    taught = replace(config, recipe=replace(config.recipe, taught=True, epochs=2))
    first, progress = train.train(taught, tiny.train, tiny.test)
    assert len(progress.curves) == 2
    states = {path.name for path in taught.state.parent.iterdir()}
    assert states == {taught.state.name, "teacher-1.npz"}
    capsys.readouterr()
    second, _ = train.train(replace(taught, seed=2), tiny.train, tiny.test)
    assert capsys.readouterr().err.count("validation: loss") == 2  # the student's epochs only
    assert any((one != other).any() for one, other in zip(first.get_weights(), second.get_weights(), strict=True))


def test_teacher_of_a_run_is_kept_where_it_can_not_go_on(
    config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "train_teacher", lambda *_: pytest.fail("a teacher is trained"))
    other = replace(config, recipe=replace(config.recipe, epochs=1))
    train.train(other, tiny.train, tiny.test)
    taught = replace(config, resume=True, recipe=replace(config.recipe, taught=True))
    with pytest.raises(TrainingError, match="state of another run"):
        train.train(taught, tiny.train, tiny.test)


def test_finished_run_needs_no_teacher(config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "train_teacher", lambda *_: Teacher(3))
    taught = replace(config, recipe=replace(config.recipe, taught=True, epochs=1))
    first, _ = train.train(taught, tiny.train, tiny.test)
    monkeypatch.setattr(train, "train_teacher", lambda *_: pytest.fail("a teacher is trained"))
    again, _ = train.train(replace(taught, resume=True), tiny.train, tiny.test)
    assert_same(again.get_weights(), first.get_weights())


def test_damaged_state_of_the_teacher_fits_no_run(config: Config) -> None:
    config.state.parent.mkdir(parents=True)
    config.state.write_bytes(b"no archive")
    assert not checkpoint.fits(config)


def test_an_epoch_of_the_teacher_is_an_epoch_that_is_kept(config: Config) -> None:
    taught = replace(config, recipe=replace(config.recipe, taught=True))
    state = taught.teacher.state
    state.parent.mkdir(parents=True)
    assert not taught.begun()
    state.touch()
    assert taught.begun()
    assert not config.begun()
    assert not taught.begun(since=state.stat().st_mtime + 1), "it is another run's"


def test_other_seed_other_weights(whole: tuple[Arrays, Progress], config: Config, tiny: Dataset) -> None:
    short = replace(config, seed=2, recipe=replace(config.recipe, epochs=1))
    network, _ = train.train(short, tiny.train, tiny.test)
    assert any((one != other).any() for one, other in zip(network.get_weights(), whole[0], strict=True))


def test_run_that_was_stopped_goes_on_as_if_it_had_not(
    whole: tuple[Arrays, Progress], config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train.train(config, tiny.train, tiny.test)
    network, progress = train.train(replace(config, resume=True), tiny.train, tiny.test)
    assert_same(network.get_weights(), whole[0])
    for found, expected in zip(progress.curves, whole[1].curves, strict=True):
        assert found | {"seconds": 0} == expected | {"seconds": 0}


def test_run_that_was_killed_goes_on_from_its_last_whole_epoch(
    whole: tuple[Arrays, Progress], config: Config, tiny: Dataset, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    network, _ = train.train(replace(config, resume=True), tiny.train, tiny.test)
    assert_same(network.get_weights(), whole[0])


def test_finished_run_is_not_trained_again(config: Config, tiny: Dataset, capfd: pytest.CaptureFixture[str]) -> None:
    short = replace(config, recipe=replace(config.recipe, epochs=1))
    first, _ = train.train(short, tiny.train, tiny.test)
    capfd.readouterr()
    again, _ = train.train(replace(short, resume=True), tiny.train, tiny.test)
    assert "Epoch" not in capfd.readouterr().out
    assert_same(again.get_weights(), first.get_weights())


def test_state_of_another_run_is_refused(config: Config, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train.train(config, tiny.train, tiny.test)
    other = replace(config, resume=True, recipe=replace(config.recipe, epochs=5))
    with pytest.raises(TrainingError, match=r'state of another run: expected {"epochs": 5}, found {"epochs": 4}; give'):
        train.train(other, tiny.train, tiny.test)
    other = replace(config, resume=True, origins={"pictures": "ab12"})
    with pytest.raises(TrainingError, match=r'another run: expected {"pictures": "ab12"}, found {}; give'):
        train.train(other, tiny.train, tiny.test)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_damaged_state_is_named(config: Config, tiny: Dataset, content: bytes) -> None:
    config.state.parent.mkdir(parents=True)
    config.state.write_bytes(content)
    with pytest.raises(TrainingError, match=r"standard-1\.npz can not be read .*without --resume"):
        train.train(replace(config, resume=True), tiny.train, tiny.test)


def test_stops_when_validation_loss_has_stopped_falling(config: Config) -> None:
    patient = replace(config, recipe=replace(config.recipe, epochs=50, patience=3))
    losses = [0.5, 0.3, 0.4, 0.31, 0.3]
    progress = Progress([{"validation_loss": loss} for loss in losses[:-1]])
    assert not progress.finished(patient)
    progress.curves.append({"validation_loss": losses[-1]})
    assert progress.finished(patient)
    assert progress.best_epoch == 2


def test_weights_of_the_best_epoch_are_kept(whole: tuple[Arrays, Progress], config: Config) -> None:
    weights, progress = whole
    learner = build_learner(config.recipe, 10)
    learner.set_weights(progress.best)
    assert_same(weights, fold(learner).get_weights())
    losses = [point["validation_loss"] for point in progress.curves]
    assert losses[progress.best_epoch - 1] == min(losses)


def test_white_paper_goes_on_beyond_the_edge(config: Config, tiny: Dataset) -> None:
    negative = Part(255 - tiny.train.pictures, tiny.train.labels)
    assert (tiny.train.paper, negative.paper) == (0, 255)
    batches = (train.draw_batches(part, config, 1) for part in (tiny.train, negative))
    for (light, _), (dark, _) in zip(*batches, strict=True):
        np.testing.assert_array_equal(light, 255 - dark)


def test_small_set_is_gone_over_several_times_an_epoch(config: Config, tiny: Dataset) -> None:
    twice = replace(config, recipe=replace(config.recipe, rounds=2))
    labels = [label for _, labels in train.draw_batches(tiny.train, twice, 1) for label in labels]
    assert np.bincount(labels).tolist() == [12] * 10
    assert train.count_steps(tiny.train, twice.recipe) == 8


def test_every_epoch_has_all_pictures_once_in_an_order_of_its_own(config: Config, tiny: Dataset) -> None:
    orders = [
        [label for _, labels in train.draw_batches(tiny.train, config, epoch) for label in labels] for epoch in (1, 2)
    ]
    assert orders[0] != orders[1]
    assert np.bincount(orders[0]).tolist() == np.bincount(orders[1]).tolist() == [6] * 10


class Pupil:
    """Remembers the batches that it was given."""

    output_shape = (None, 10)

    def __init__(self) -> None:
        self.batches: list[tuple[Pixels, NDArray[np.float32]]] = []

    def train_on_batch(self, pictures: Pixels, wanted: NDArray[np.float32], *, return_dict: bool) -> dict[str, float]:
        assert return_dict
        self.batches.append((pictures, wanted))
        return {"loss": 1.0, "accuracy": 0.5}


class Teacher:
    """Answers always the same."""

    def __init__(self, answer: int) -> None:
        self.answer = np.eye(10, dtype=np.float32)[answer]

    def predict_on_batch(self, pictures: Pixels) -> NDArray[np.float32]:
        return np.tile(self.answer, (len(pictures), 1))


@pytest.mark.parametrize("taught", [False, True])
def test_an_empty_picture_is_wanted_of_every_class_alike(config: Config, tiny: Dataset, taught: bool) -> None:
    part = Part(255 - tiny.train.pictures, tiny.train.labels)
    blank = replace(config, recipe=replace(config.recipe, blank=6))
    teacher = Teacher(3) if taught else None
    pupil = Pupil()
    for epoch in (1, 2, 3, 4):  # of four steps each
        train.run_epoch(pupil, part, blank, epoch, teacher)
    empty = [((pictures[0] == 255).all(), (wanted == 0.1).all(axis=1).tolist()) for pictures, wanted in pupil.batches]
    assert [whole for whole, _ in empty] == ([False] * 5 + [True]) * 2 + [False] * 4
    for whole, alike in empty:
        assert alike == [whole] + [False] * (len(alike) - 1)


def test_loss_is_that_of_the_temperature_that_is_folded_in(tiny: Dataset) -> None:
    class Sure:
        """Right about all but one, and as sure of that."""

        def predict(self, pictures: Pixels, **_: object) -> NDArray[np.float32]:
            answers = np.eye(10, dtype=np.float32)[tiny.test.labels] * 0.9999 + 0.00001
            answers[0] = np.roll(answers[0], 1)
            return answers

    loss, accuracy = train.measure(Sure(), tiny.test)
    assert accuracy == 1 - 1 / len(tiny.test)
    assert loss < calibrate.cross_entropy(Sure().predict(tiny.test.pictures), tiny.test.labels) * 0.8
