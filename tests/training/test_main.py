import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from service.manifest import Manifest
from training import __main__ as command
from training import checkpoint, sources, strokes
from training import export as command_export
from training.checkpoint import Progress
from training.config import RECIPES, Config
from training.datasets import Dataset
from training.errors import TrainingError

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def small(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command, on a set and with a recipe that are done in a moment, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONVOLVE_DATA", raising=False)
    monkeypatch.delenv("CONVOLVE_MODELS", raising=False)
    monkeypatch.setattr(command, "load", lambda *_: tiny)
    monkeypatch.setattr(command, "LEAST_STEPS", 8)
    monkeypatch.setitem(RECIPES, "standard", replace(RECIPES["standard"], epochs=2, batch=20))


def test_run_ends_with_a_version_and_its_folder_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["--name", "digits", "--seed", "3"]) == 0
    said = capsys.readouterr()
    assert said.out == "models/digits/1\n"
    for word in ("Epoch 1/2", "validation: loss", "test: ", "validation in each arithmetic: f32 "):
        assert word in said.err
    manifest = Manifest.read(tmp_path / "models/digits/1")
    assert manifest.training["seed"] == 3
    assert manifest.training["epochs"] == 2
    assert manifest.training["data"]["training"] == 60
    assert manifest.gate["passed"]
    assert manifest.gate["latency"]["one_ms"] > 0
    assert 0.1 < manifest.training["temperature"] < 8
    page = (tmp_path / "models/digits/1/report.html").read_text()
    assert page.count('alt="Test picture') == page.count("read as <b")  # these pictures may be shown
    assert list((tmp_path / "runs/digits").iterdir()) == []


def test_interrupted_run_says_how_to_go_on_and_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save = checkpoint.save

    def save_and_stop(config: Config, network: object, progress: Progress) -> None:
        save(config, network, progress)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_stop)
        assert command.main(["--name", "digits"]) == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert "Finished epochs are kept" in said.err
    assert said.err.endswith("Go on with: python -m training --name digits --resume\n")
    assert not (tmp_path / "models/digits/1").exists()

    assert command.main(["--name", "digits", "--resume"]) == 0
    said = capsys.readouterr()
    assert "Going on from runs/digits/standard-1.npz" in said.err
    assert "Epoch 1/2" not in said.err
    assert said.out == "models/digits/1\n"


def test_what_is_kept_of_another_run_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that differ in more than the file's name says, the one that ends takes its own along only."""
    publish, state = command_export.publish, tmp_path / "runs/digits/standard-1.npz"

    def other_run_saves(*given: object, **named: object) -> Path:
        checkpoint.write(state, {"run": "{}", "curves": "[]"})
        return publish(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(command_export, "publish", other_run_saves)
    assert command.main(["--name", "digits"]) == 0
    assert list((tmp_path / "runs/digits").iterdir()) == [state]


def test_what_was_kept_of_a_run_goes_with_it_and_so_does_what_can_not_be_read(tmp_path: Path) -> None:
    run = Config(RECIPES["quick"], "quick", "digits", 1, None, tmp_path, runs=tmp_path)
    other = replace(run, origins={"pictures": "others"})
    for path in (run.state, run.gain, run.novelty):
        checkpoint.keep_weights(path, run, [])
    checkpoint.forget(other)
    assert len(list((tmp_path / "digits").iterdir())) == 3
    run.gain.write_bytes(b"damaged")
    checkpoint.forget(run)
    assert list((tmp_path / "digits").iterdir()) == []


def test_state_that_can_not_be_written_says_where_and_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(TrainingError, match=r"runs/digits/1.npz can not be written \(.*\); mend that, and .* --resume"):
        checkpoint.write(tmp_path / "runs/digits/1.npz", {})


def test_curves_are_written_for_tensorboard_where_asked(tmp_path: Path) -> None:
    assert command.main(["--name", "digits", "--epochs", "1", "--tensorboard", "logs"]) == 0
    (file,) = (tmp_path / "logs/digits/standard-1").iterdir()
    written = file.read_bytes()
    for name in (b"loss", b"accuracy", b"validation_loss", b"validation_accuracy", b"rate", b"seconds"):
        assert name in written


@pytest.mark.parametrize(("place", "flags"), [("logs", ["--tensorboard", "logs"]), ("runs", [])])
def test_what_can_not_be_written_is_told_before_the_run(
    place: str, flags: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / place).write_text("a file")
    assert command.main(["--name", "digits", *flags]) == 1
    said = capsys.readouterr().err
    assert f"error: {place}" in said
    assert "can not be written" in said
    assert "Epoch" not in said


def test_a_model_of_other_classes_is_not_added_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny: Dataset, tmp_path: Path
) -> None:
    assert command.main(["--name", "digits", "--epochs", "1"]) == 0
    other = replace(tiny, classes=tuple("abcdefghij"), shareable=True)
    monkeypatch.setattr(command, "load", lambda *_: other)
    assert command.main(["--name", "digits", "--epochs", "1"]) == 1
    assert "expected 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; found a, b, c" in capsys.readouterr().err
    assert command.main(["--name", "digits", "--epochs", "1", "--force"]) == 0
    first, second = (Manifest.read(tmp_path / f"models/digits/{version}") for version in (1, 2))
    assert second.labels == other.classes
    assert first.training["recipe"]["flag"] == RECIPES["standard"].flag
    assert second.training["recipe"]["flag"] == 0, "a b is no 1"
    monkeypatch.setattr(command, "load", lambda *_: replace(tiny, preparation="fit"))
    assert command.main(["--name", "clothes", "--epochs", "1"]) == 0
    third = Manifest.read(tmp_path / "models/clothes/1")
    assert third.training["recipe"]["flag"] == 0, "numbers stand for the names of trousers and shirts"


def test_refused_version_is_published_by_force_without_training_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forced = {"passed": False, "forced": True, "latency": {"precision": "f32"}}

    def judge(*_: object, force: bool) -> dict[str, object]:
        if not force:
            raise TrainingError("not published: validation accuracy")
        return forced

    monkeypatch.setattr("training.export.judge", judge)
    assert command.main(["--name", "digits"]) == 1
    assert "error: not published: validation accuracy" in capsys.readouterr().err
    assert not (tmp_path / "models/digits").exists()

    assert command.main(["--name", "digits", "--resume", "--force"]) == 0
    assert "Epoch" not in capsys.readouterr().err
    assert Manifest.read(tmp_path / "models/digits/1").gate == forced
    assert list((tmp_path / "runs/digits").iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--freeze"],
        ["--prepare", "sharpened"],
        ["--epochs", "0"],
        ["--epochs", "51"],
        ["--epochs", "many"],
        ["--seed", "-1"],
        ["--name", "../elsewhere"],
        ["--name", "n" * 65],
        ["--recipe", "unknown"],
        ["--speed", "1"],
    ],
)
def test_wrong_usage_is_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(flags) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert flags[0] in said.err


def test_failure_is_1_and_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Dataset:
        raise TrainingError("the file is truncated: expected 76 bytes, found 66")

    monkeypatch.setattr(command, "load", fail)
    assert command.main([]) == 1
    assert capsys.readouterr().err == "error: the file is truncated: expected 76 bytes, found 66\n"


def test_help_says_where_defaults_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "CONVOLVE_DATA" in said
    assert "CONVOLVE_MODELS" in said


def test_environment_stands_behind_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_DATA", "pictures")
    monkeypatch.setenv("CONVOLVE_MODELS", "versions")
    config = command.read_flags(["--models", "elsewhere", "--epochs", "7"])
    assert (config.data, config.models) == (Path("pictures"), Path("elsewhere"))
    assert config.recipe.epochs == 7


def test_seed_does_not_change_the_validation_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for digit in (3, 7):
        (tmp_path / "digits" / str(digit)).mkdir(parents=True)
        for hand in range(10):
            strokes.draw(digit, size=(28, 28), seed=hand).save(tmp_path / "digits" / str(digit) / f"{hand}.png")
    monkeypatch.setattr(command, "load", sources.load)
    seen = []

    def look(_: Config, __: object, validation: object, ___: object) -> None:
        seen.append(hashlib.sha256(validation.pictures.tobytes()).hexdigest())
        raise TrainingError("seen enough")

    monkeypatch.setattr("training.train.train", look)
    flags = ["--data", str(tmp_path / "digits"), "--name", "digits"]
    assert [command.main([*flags, "--seed", seed]) for seed in ("1", "2")] == [1, 1]
    assert len(seen) == 2
    assert seen[0] == seen[1]
