"""The command line: convolve predict, models, promote and so on."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from convolve.answers import Details, Model, Prediction
from convolve.calls import Options
from convolve.client import DEFAULT_URL, Client
from convolve.errors import ConvolveError
from convolve.files import find, picture_of
from convolve.output import FORMATS, Output, Row, opened, say

T = TypeVar("T")

FOUND = "file", "label", "probability", "recognized", "top", "warning", "error"
"""Columns of a table of predictions."""
Command = Callable[[Client, argparse.Namespace, Output], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words of the command line; those of the process if none are given.

    Returns:
        0, 1 where a picture or the call failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    try:
        try:
            flags = parser().parse_args(argv)
            client = Client(flags.url)
        except SystemExit as stop:  # how argparse ends, having said why
            return int(stop.code or 0)
        except ValueError as error:
            say(str(error))
            return 2
        with client:
            return run(client, flags)
    except KeyboardInterrupt:
        return 130


def run(client: Client, flags: argparse.Namespace) -> int:
    """The command, written where it should go."""
    if flags.output is None and sys.stdout is None:
        say("stdout is closed; expected: a place to write to, such as --output FILE")
        return 1
    try:
        with opened(flags.output) as file, FORMATS[flags.format](file, flags.columns) as output:
            failed: int = flags.command(client, flags, output)
            return failed
    except BrokenPipeError:  # `| head` has seen enough; what is left must not fail at exit again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ConvolveError, OSError, UnicodeEncodeError) as error:  # an argument may be anything, and no UTF-8
        say(str(error))
        return 1


def counting(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def version_or_label(text: str) -> int | str:
    return counting(text) if text.isdecimal() else text


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "promote": (
        "let a version answer wherever a call names none",
        {"type": version_or_label, "help": "a number, or a label"},
    ),
    "rollback": ("take back the version on trial, else the one that answers", {}),
    "load": ("let the server look at a model's folder at once", {"type": counting, "nargs": "?"}),
    "unload": ("take a version, or a whole model, out of service", {"type": counting, "nargs": "?"}),
}
"""What changes what serves: its help, and which versions it takes."""
GUARDED = "; the server's admin token is read from CONVOLVE_ADMIN_TOKEN"


def parser() -> argparse.ArgumentParser:
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--url", help=f"where the server is; default: CONVOLVE_URL, else {DEFAULT_URL}")
    every.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    every.add_argument("--output", metavar="FILE", help="where to write; default: stdout")
    top = argparse.ArgumentParser(prog="convolve", description="Ask a Convolve server.", allow_abbrev=False)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, does: str, command: Command, *columns: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, parents=[every], help=does, description=does, allow_abbrev=False)
        one.set_defaults(command=command, columns=columns)
        return one

    one = add("predict", "what pictures show", predict, *FOUND)
    one.add_argument("files", nargs="+", metavar="FILE", help="picture files, folders, patterns; - reads stdin")
    one.add_argument("--model", help="default: the server's")
    one.add_argument("--version", type=counting, help="default: the one that answers")
    one.add_argument("--label", help="the version that is called so, such as previous after a promotion")
    one.add_argument("--top", type=counting, help="how many of the best guesses; default: 3")
    one.add_argument("--prepare", choices=["auto", "none"], help="none sends the pixels of files as they are")
    one.add_argument("--seen", metavar="FOLDER", type=Path, help="write there what the network was given, as PNG files")

    columns = "name", "version", "state", "accuracy", "engine", "precision", "reason"
    add("models", "what the server has", models, *columns)
    one = add("history", "what happened to a model", history, "time", "event", "version", "reason")
    one.add_argument("name", metavar="NAME")

    one = add(
        "feedback", f"keep a picture to train on, where the server does{GUARDED}", feedback, "request_id", "label"
    )
    one.add_argument("request_id", metavar="ID", help="of the answer: request_id in what predict writes as CSV or JSON")
    one.add_argument("label", metavar="LABEL", nargs="?", help="the right class; without it, the picture is flagged")
    one.add_argument("--picture", type=int, default=0, metavar="N", help="which of the request's pictures; default: 0")

    for name, (does, versions) in CHANGES.items():
        does += GUARDED
        one = add(name, does, change, "name", "version", "state", "called", "trial", "reason")
        one.add_argument("name", metavar="NAME")
        if versions:
            one.add_argument("version", metavar="VERSION", **versions)
        one.set_defaults(change=name, versioned=bool(versions))
    return top


def predict(client: Client, flags: argparse.Namespace, output: Output) -> int:
    names = list(find(flags.files))
    if not names:
        say("there are no pictures in that folder")
        return 1
    flags.include = "seen" if flags.seen else None
    options: Any = {name: getattr(flags, name) for name in Options.__optional_keys__}
    answers = client.predict_many(map(picture_of, names), **options)
    failed = 0
    for place, (name, answer) in enumerate(progress(zip(names, answers, strict=True), len(names), flags), start=1):
        failed += isinstance(answer, ConvolveError)
        seen = write_seen(flags.seen / f"{place:04}-{stem_of(name)}.png", answer) if flags.seen else None
        output.add(row(name, answer, seen))
    if failed:
        say(f"{failed:,} of {len(names):,} pictures failed")
    return int(failed > 0)


def stem_of(name: str) -> str:
    """What a file's name begins with, as much of it as leaves room for more."""
    return os.fsdecode(os.fsencode(Path(name).stem)[:200])


def write_seen(path: Path, answer: Prediction | ConvolveError) -> Path | None:
    """Write what the network was given; a picture that failed has nothing."""
    if isinstance(answer, ConvolveError) or answer.seen is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(answer.seen.picture)
    return path


def row(name: str, answer: Prediction | ConvolveError, seen: Path | None) -> Row:
    good = answer if isinstance(answer, Prediction) else None
    return {
        "file": text_of(name),
        "label": good and good.label,
        "probability": good and good.probability,
        "recognized": good and good.recognized,
        "class_id": good and good.class_id,
        "top": good and good.top,
        "model": good and good.model,
        "version": good and good.version,
        "request_id": answer.request_id,
        "picture": good and good.picture,
        "seen": seen and text_of(seen),
        "warning": (good and good.seen and good.seen.warning) or None,
        "error": None if good else text_of(str(answer)),
    }


def text_of(path: str | Path) -> str:
    """A path, or what is said of one, that can be written as UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def progress(answers: Iterable[T], total: int, flags: argparse.Namespace) -> Iterable[T]:
    """A bar on stderr, where somebody sees it, and where lines of data do not run through it."""
    streaming = flags.output is None and flags.format != "table" and sys.stdout.isatty()
    console = Console(stderr=True)
    disabled = streaming or not console.is_terminal
    return track(answers, "asking", total, console=console, transient=True, disable=disabled)


def models(client: Client, flags: argparse.Namespace, output: Output) -> int:
    for model in client.models():
        output.add(asdict(model))
    return 0


def history(client: Client, flags: argparse.Namespace, output: Output) -> int:
    for event in client.history(flags.name):
        output.add(asdict(event))
    return 0


def feedback(client: Client, flags: argparse.Namespace, output: Output) -> int:
    client.feedback(flags.request_id, flags.label, picture=flags.picture)
    output.add({"request_id": flags.request_id, "picture": flags.picture, "label": flags.label})
    return 0


def change(client: Client, flags: argparse.Namespace, output: Output) -> int:
    words = [flags.name, flags.version] if flags.versioned else [flags.name]
    details: Details = getattr(client, flags.change)(*words)
    for model in details.versions:
        output.add(standing(model, details))
    return 0


def standing(model: Model, details: Details) -> Row:
    """What one version does now."""
    trial = details.trial if details.trial and details.trial.version == model.version else None
    return {
        "name": model.name,
        "version": model.version,
        "state": model.state,
        "called": [label for label, version in details.labels.items() if version == model.version],
        "answers": model.version == details.version,
        "trial": trial and trial.mode,
        "share": trial and trial.share,
        "reason": model.reason,
    }
