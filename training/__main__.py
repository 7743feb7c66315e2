"""python -m training: flags → Config → the steps."""

import argparse
import contextlib
import functools
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from service.errors import ServiceError
from service.manifest import NAME, NAMED, Manifest
from training.config import DIGITS, LEAST_STEPS, MAX_EPOCHS, RECIPES, Config, Recipe, choose_arithmetic, suit
from training.datasets import Dataset
from training.errors import TrainingError
from training.gate import tell_apart
from training.report.comparison import find_before
from training.report.figures import Figures, measure_figures
from training.sources import load

DESCRIPTION = "Train the documented network, on MNIST or on pictures of your own."
TOLD = 20
"""Pictures that are left out and named on the way, at most."""


def main(argv: list[str] | None = None) -> int:
    """Train a network and publish it. Prints the folder of the new version.

    Args:
        argv: Flags; those of the process if none are given.

    Returns:
        0, 1 for failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        config = read_flags(argv)
    except SystemExit as stop:  # how argparse ends, having said why
        return int(stop.code or 0)
    began = time.time()
    try:
        # Bars of Keras, of downloads and of quantizing go to stdout, which is for the result alone.
        with contextlib.redirect_stdout(sys.stderr):
            version = run(config)
    except KeyboardInterrupt:
        kept = config.begun(0 if config.resume else began)
        say(f"\nStopped. {'Finished epochs are kept' if kept else 'No epoch was finished yet'}.")
        flags = [flag for flag in argv if flag != "--resume"] + ["--resume"] * kept
        say(f"Go on with: python -m training {shlex.join(flags)}")
        return 130
    except (TrainingError, ServiceError, OSError) as error:
        say(f"error: {error}")
        return 1
    finally:
        with contextlib.suppress(OSError):  # where there is a version in it, or none of it at all
            (config.models / config.name).rmdir()
    print(version)
    return 0


def read_flags(argv: list[str]) -> Config:
    """Flags, and the environment behind them, as one Config."""
    parser = build_parser()
    flags = parser.parse_args(argv)
    if flags.freeze and flags.start is None:
        parser.error("--freeze needs --from: there is nothing to freeze")
    recipe = RECIPES[flags.recipe]
    return Config(
        recipe=replace(recipe, epochs=flags.epochs or recipe.epochs, arithmetic=choose_arithmetic()),
        recipe_name=flags.recipe,
        name=flags.name,
        seed=flags.seed,
        data=flags.data,
        preparation=flags.prepare,
        start=flags.start,
        freeze=flags.freeze,
        models=flags.models,
        resume=flags.resume,
        force=flags.force,
        tensorboard=flags.tensorboard,
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=DESCRIPTION)
    data = os.environ.get("CONVOLVE_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(data) if data else None,
        metavar="DIR",
        help="what to learn from: a folder of pictures for each class, feedback that the service kept, or the four "
        "files of MNIST or of a set in its form, gzipped or not (CONVOLVE_DATA; default: download MNIST)",
    )
    parser.add_argument(
        "--prepare",
        choices=("fit", "centred"),
        help="pictures of your own are scaled to fit, or cropped to the ink and centred as MNIST is (default: fit)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="VERSION",
        help="folder of a trained version, such as models/mnist/1: its convolutions are the start",
    )
    parser.add_argument("--freeze", action="store_true", help="with --from: its convolutions stay as they are")
    parser.add_argument("--name", type=read_name, default="mnist", help="name of the model (default: %(default)s)")
    parser.add_argument(
        "--models",
        type=Path,
        default=Path(os.environ.get("CONVOLVE_MODELS") or "models"),
        metavar="DIR",
        help="where the finished version goes, as NAME/NUMBER (CONVOLVE_MODELS; default: models)",
    )
    parser.add_argument("--recipe", choices=RECIPES, default="standard", help="see training/config.py")
    parser.add_argument("--seed", type=read_number(0, 2**32 - 1), default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--epochs", type=read_number(1, MAX_EPOCHS), metavar="N", help=f"1 to {MAX_EPOCHS} (default: the recipe's)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch of such a run")
    parser.add_argument("--force", action="store_true", help="publish it even if it does not pass the gate")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write the curves there, for TensorBoard")
    return parser


def read_name(text: str) -> str:
    """A model's name, which becomes a folder and a part of addresses."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected {NAMED}, found {text!r}")
    return text


def read_number(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, found {text!r}")
        return int(text)

    return read


def run(config: Config) -> Path:
    """Data, network, fit, evaluate, save. Returns the folder of the new version."""
    # TensorFlow takes seconds to import, so that wrong flags and bad folders are told before.
    data = load(config.data, config.name, config.preparation, config.models)
    tell_data(data)
    with hush():
        from training import checkpoint, export
        from training.calibrate import calibrate
        from training.learner import build_learner
        from training.novelty import provide_novelty
        from training.report.page import pick_worst
        from training.train import train
        from training.transfer import build_from, load_start, measure_gain
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns that each settling is a new function, as it is

    start = load_start(config.start, freeze=config.freeze) if config.start else None
    origins = data.digests | {"preparation": data.preparation} | (start.origin if start else {})
    config = replace(config, recipe=adapt(config.recipe, data), origins=origins)
    folder = export.open_folder(config.models / config.name, "--models")
    check_classes(folder, data, force=config.force)
    export.open_folder(config.state.parent, "the folder that you start from")
    if config.tensorboard:
        export.open_folder(config.tensorboard, "--tensorboard")
    tell_state(config)
    build = build_from(start, data.train.pictures) if start else build_learner
    network, progress = train(config, data.train, data.validation, build)
    temperature = calibrate(network, data.validation)
    parts = {"validation": data.validation, "test": data.test}
    predict = functools.partial(network.predict, batch_size=500, verbose=0)
    figures = measure_figures(predict, parts, data.classes, temperature)
    tell_figures(figures, data)
    novelty = provide_novelty(config, data.train, data.validation)
    manifest = export.describe(config, data, network, progress, figures)
    report = export.report(progress, figures, data)
    if start:
        manifest = replace(manifest, training={**manifest.training, "start": start.name, "frozen": start.freeze})
        report |= {"transfer": measure_gain(config, data, start)}
    pictures = pick_worst(report, data.test) if data.shareable else None
    parts |= {"training": data.train}
    version = export.publish(folder, network, manifest, report, parts, pictures, novelty, force=config.force)
    checkpoint.forget(config)
    tell_arithmetic(Manifest.read(version))
    return version


def adapt(recipe: Recipe, data: Dataset) -> Recipe:
    """The recipe, for so many pictures and what they show."""
    recipe = suit(recipe, len(data.train), LEAST_STEPS)
    if data.classes != DIGITS or data.preparation != "centred":  # numbers may stand for names, as of clothes
        recipe = replace(recipe, flag=0.0)
    return recipe


def check_classes(folder: Path, data: Dataset, *, force: bool) -> None:
    """Refuse to add a version to a model that tells other classes: who asks for it by name would be surprised.

    Raises:
        TrainingError: They differ, and it is not forced.
    """
    before = find_before(folder)
    try:
        labels = Manifest.read(before).labels if before and not force else data.classes
    except ServiceError:  # damaged: the gate says so
        return
    if labels != data.classes:
        expected, found = tell_apart(labels, data.classes)
        raise TrainingError(
            f"{folder} is a model of {len(labels)} other classes: expected {expected}; found {found}; "
            "give yours a name of its own with --name, or say --force"
        )


def tell_data(data: Dataset) -> None:
    """Say what was found, and what of it is left out."""
    sizes = f"{len(data.train):,} to learn from, {len(data.validation):,} to choose by, {len(data.test):,} to test"
    say(f"{data.name}: {len(data.classes)} classes, {sizes}.")
    for picture, why in data.left_out[:TOLD]:
        say(f"  left out: {picture}: {why}")
    if len(data.left_out) > TOLD:
        say(f"  and {len(data.left_out) - TOLD:,} more: see report.json.")


def tell_state(config: Config) -> None:
    """Say what becomes of an earlier run, or of the wish to go on with one."""
    if config.resume and not config.begun():
        say(f"Nothing to go on from at {config.state}: starting from the beginning.")
    elif config.state.exists():
        say(f"Going on from {config.state}." if config.resume else f"Starting anew, over {config.state} (no --resume).")


def tell_figures(figures: Figures, data: Dataset) -> None:
    """Say how good it is, and where that is worth nothing."""
    for name, measured in {"validation": figures.validation, "test": figures.test}.items():
        say(f"{name}: {measured.accuracy:.2%} of {measured.pictures:,}, loss {measured.loss:.4f}")
    guessing = np.bincount(data.validation.labels).max() / len(data.validation)
    if figures.validation.accuracy <= guessing:
        say(f"Careful: this is no better than naming the commonest class always, {guessing:.2%} right of validation")


def tell_arithmetic(manifest: Manifest) -> None:
    """Say what each arithmetic costs, and which one the service takes on this machine."""
    right = ", ".join(f"{name} {cost.validation:.2%}" for name, cost in manifest.precisions.items())
    say(f"validation in each arithmetic: {right}; serves in {manifest.gate['latency']['precision']} here.")


@contextlib.contextmanager
def hush() -> Iterator[None]:
    """Inside, nothing reaches stderr: while TensorFlow loads, it greets there whatever its log level is set to."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing half written is left behind then either
    sys.exit(main())
