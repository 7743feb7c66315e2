"""What the command line prints: rows as a table, as CSV or as JSON."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from convolve.answers import Guess

Row = Mapping[str, Any]
"""Names and values: what JSON knows, and guesses. All rows of one output have the same names."""

UNBOUNDED = 10_000
"""Columns of a table that no terminal has to hold: nothing is cut or folded."""


class Output:
    """Takes rows one by one."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self.file = file
        self.columns = columns

    def add(self, row: Row) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Complete what is written; also where an error ends it early."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish()


class Table(Output):
    """For people: some columns of each row."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        super().__init__(file, columns)
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def finish(self) -> None:
        # A column that holds nothing has nothing to say.
        columns = [name for name in self.columns if any(short(row[name]) for row in self.rows)]
        table = RichTable(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in table.columns:
            column.overflow = "fold"
        for row in self.rows:
            table.add_row(*(Text(short(row[name])) for name in columns))
        if self.rows:
            Console(file=self.file, width=None if self.file.isatty() else UNBOUNDED).print(table)


class Csv(Output):
    """For spreadsheets: everything, in a line for each row."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        super().__init__(file, columns)
        self.writer = csv.writer(file, lineterminator="\n")
        self.started = False

    def add(self, row: Row) -> None:
        if not self.started:
            self.writer.writerow(row)
            self.started = True
        self.writer.writerow([flat(value) for value in row.values()])


class Json(Output):
    """For programs: one list, with a line for each row."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        super().__init__(file, columns)
        self.before = "[\n"

    def add(self, row: Row) -> None:
        self.file.write(self.before + json.dumps(row, default=asdict))
        self.before = ",\n"

    def finish(self) -> None:
        self.file.write("[]\n" if self.before == "[\n" else "\n]\n")


FORMATS: dict[str, type[Output]] = {"table": Table, "csv": Csv, "json": Json}


def flat(value: Any) -> Any:
    """What a cell of CSV holds: text and numbers as they are, anything else as JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, default=asdict)


def short(value: Any) -> str:
    """What a person reads in a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Guess):
        return f"{plain(value.label)} {short(value.probability)}"
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(name))} {short(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(short, value))
    return plain(str(value)) if value is not None else ""


def plain(text: str) -> str:
    """Without what a terminal would obey: names of files and words of servers are anybody's."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


@contextmanager
def opened(path: str | None) -> Iterator[TextIO]:
    """A file to write, or stdout, which stays open."""
    if path is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a name that it can not write spoils no table
        try:
            yield sys.stdout
        finally:
            sys.stdout.flush()
    else:
        with open(path, "w", encoding="utf-8", newline="") as file:
            yield file


def say(text: str) -> None:
    """Talk goes to stderr."""
    print(f"convolve: {plain(text)}", file=sys.stderr)
