"""The state of an unfinished run, one file per run, written whole after each epoch."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from service.files import whole
from training.config import Config
from training.errors import TrainingError

Arrays = list[NDArray[Any]]


@dataclass
class Progress:
    """How far a run has come."""

    curves: list[dict[str, float]] = field(default_factory=list)
    """Per finished epoch: epoch, rate, loss, accuracy, validation_loss, validation_accuracy, seconds."""
    best: Arrays = field(default_factory=list)
    """Weights after the epoch with the lowest validation loss."""

    @property
    def best_epoch(self) -> int:
        """Counted from 1; 0 before the first."""
        losses = [point["validation_loss"] for point in self.curves]
        # A loss that is none any more is no better than any other.
        return 1 + int(np.argmin(np.nan_to_num(losses, nan=np.inf))) if losses else 0

    @property
    def seconds(self) -> float:
        """Time of all epochs, across interruptions."""
        return sum(point["seconds"] for point in self.curves)

    def keep(self, point: dict[str, float], network: keras.Model) -> None:
        """Add a finished epoch, and its weights where they are the best so far."""
        self.curves.append(point)
        if self.best_epoch == len(self.curves):
            self.best = network.get_weights()

    def finished(self, config: Config) -> bool:
        """All epochs done, or the validation loss has stopped falling."""
        done = len(self.curves)
        return done >= config.recipe.epochs or done - self.best_epoch >= config.recipe.patience


def get_variables(network: keras.Model) -> list[keras.Variable]:
    """All that changes while training: weights, positions of the dropout draws, optimizer moments and step."""
    return [*network.variables, *network.optimizer.variables]


def describe(config: Config) -> str:
    """What must be the same for a run to go on as if it had never stopped."""
    return json.dumps({"recipe": asdict(config.recipe), "seed": config.seed, **config.origins}, sort_keys=True)


def find_differences(one: str, other: str) -> tuple[str, str]:
    """Of two descriptions, as JSON, the entries that are not the same."""
    both = [{**run.pop("recipe", {}), **run} for run in (json.loads(one), json.loads(other))]
    names = sorted(name for name in both[0] | both[1] if both[0].get(name) != both[1].get(name))
    first, second = (json.dumps({name: run[name] for name in names if name in run}) for run in both)
    return first, second


def save(config: Config, network: keras.Model, progress: Progress) -> None:
    """Replace the state of this run."""
    arrays: dict[str, Any] = {
        f"variable_{index}": np.asarray(value) for index, value in enumerate(get_variables(network))
    }
    arrays |= {f"best_{index}": value for index, value in enumerate(progress.best)}
    arrays |= {"run": describe(config), "curves": json.dumps(progress.curves)}
    write(config.state, arrays)


def keep_weights(path: Path, config: Config, weights: Arrays) -> None:
    """Write the weights of a finished network of this run, for the case that its version is refused."""
    write(path, {f"weight_{index}": value for index, value in enumerate(weights)} | {"run": describe(config)})


def recall(path: Path, config: Config) -> dict[str, NDArray[Any]] | None:
    """What was kept there, if the run goes on and it is of this very run. Errors as in `read`."""
    if not (config.resume and path.exists()):
        return None
    state = read(path)
    return state if str(state.pop("run", "")) == describe(config) else None


def recall_weights(path: Path, config: Config) -> Arrays | None:
    """Those weights, if the run goes on and they are of this very run."""
    state = recall(path, config)
    return None if state is None else [state[f"weight_{index}"] for index in range(len(state))]


def forget(config: Config) -> None:
    """Remove what was kept of a run that is over, and what can not be read; what lies there of another one stays."""
    config = replace(config, resume=True)
    for path in (config.state, config.gain, config.novelty):
        try:
            others = path.exists() and recall(path, config) is None
        except TrainingError:
            others = False
        if not others:
            path.unlink(missing_ok=True)


def fits(config: Config) -> bool:
    """Whether there is a saved state, sound, and of this very run."""
    try:
        return peek(replace(config, resume=True)) is not None
    except TrainingError:
        return False


def peek(config: Config) -> Progress | None:
    """How far the run has come that is to be gone on with; None where it is not, or there is none.

    Raises:
        TrainingError: The state can not be read, or is that of a run with other knobs.
    """
    if not (config.resume and config.state.exists()):
        return None
    state = read(config.state)
    check(state, config)
    return Progress(json.loads(str(state["curves"])))


def check(state: Mapping[str, Any], config: Config) -> None:
    """Refuse a state that is not one of this very run."""
    run = str(state.get("run", "{}"))
    if run != describe(config):
        expected, found = find_differences(describe(config), run)
        raise TrainingError(
            f"{config.state} is the state of another run: expected {expected}, found {found}; "
            "give the flags and the pictures of that run, or start again without --resume"
        )


def restore(config: Config, network: keras.Model) -> Progress:
    """Put the saved state into a freshly compiled network. Errors as in `peek`."""
    state = read(config.state)
    check(state, config)
    del state["run"]
    for index, variable in enumerate(get_variables(network)):
        variable.assign(state.pop(f"variable_{index}"))
    return Progress(json.loads(str(state.pop("curves"))), [state[f"best_{index}"] for index in range(len(state))])


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace a state file, so that a kill at any moment leaves the old or the new one.

    Raises:
        TrainingError: It can not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise TrainingError(
            f"{path} can not be written ({error.strerror}); mend that, and give the same command with --resume: "
            "what was there before is kept"
        ) from error


def read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a state file; pickles are refused."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} can not be read ({error}); start again without --resume") from None
