"""Servers that are up together and take turns within seconds: a machine's speed drifts from minute to minute."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks import ceiling, load, processes
from benchmarks.bodies import Request
from benchmarks.contestants import WORKS, Contestant, Setup
from benchmarks.sampler import WrongAnswer
from benchmarks.visits import Row, requests, serving

OWN = "v2-"
"""Begins the works that we alone have doors for: the others take the same pictures in the words that suit them best."""

Side = tuple[Contestant, tuple[int, ...]]
"""Who takes part, and with how many callers."""


class Up(NamedTuple):
    """A server that is up and warm."""

    contestant: Contestant
    callers: tuple[int, ...]
    port: int
    sent: list[Request]


def take_turns(work: str, sides: Sequence[Side], rounds: int, seconds: int) -> Iterator[Row]:
    """Rows of one work, without processor time and memory, in which those who wait would be counted along.

    Where the work is bulk, the bare engine takes its turn in each round, too.

    Args:
        work: Its name.
        sides: Everybody runs once in each round.
        rounds: With each number of callers.
        seconds: Of a run.
    """
    with ExitStack() as stack:
        up: list[Up] = []
        for contestant, callers in sides:
            try:
                up.append(bring_up(stack, contestant, callers, work))
            except (load.BadRun, WrongAnswer) as error:
                print(work, error, file=sys.stderr)
                yield {"kind": "failure", "contestant": contestant.name, "work": work, "failure": str(error)}
                return
        counts = sorted({count for _, callers in sides for count in callers})
        for count, number in itertools.product(counts, range(rounds)):
            yield from (run(each, work, number, count, seconds) for each in up if count in each.callers)
            if WORKS[work].bulk:
                yield from ceilings(work, number, seconds)


def bring_up(stack: ExitStack, contestant: Contestant, callers: tuple[int, ...], work: str) -> Up:
    """Start a server for a work, as long as the stack lasts, and warm it up. Errors as in `serving`."""
    setup, name = door(contestant, work)
    sent = requests(setup, name)
    with processes.confined(contestant.cores):
        port, _ = stack.enter_context(serving(contestant, setup, sent[0]))
        load.warm_up(port, sent, max(callers))
    return Up(contestant, callers, port, sent)


def run(side: Up, work: str, number: int, callers: int, seconds: int) -> Row:
    """The row of one turn."""
    with processes.confined(side.contestant.cores):
        found = figures(side.port, side.sent, callers, seconds * WORKS[work].length)
    about = {"kind": "run", "contestant": side.contestant.name, "round": number, "work": work}
    return {**about, "callers": callers, "pictures": WORKS[work].pictures, **found}


def start_in_turns(contestants: Sequence[Contestant], rounds: int) -> Iterator[Row]:
    """Rows of starts, each up to the first right answer to a PNG file."""
    for number, contestant in itertools.product(range(rounds), contestants):
        setup, name = door(contestant, "png")
        with serving(contestant, setup, requests(setup, name)[0]) as (_, seconds):
            row = {"kind": "start", "contestant": contestant.name, "round": number, "work": "png"}
            yield {**row, "seconds": round(seconds, 3)}


def ceilings(work: str, number: int, seconds: int) -> Iterator[Row]:
    """The bare engine at our default precision, in each of the ways to use all cores, with one network and with both.

    Args:
        work: In whose turns.
        number: Of the round.
        seconds: Of a run.
    """
    for networks, way in itertools.product((ceiling.ALONE, ceiling.BOTH), ceiling.WAYS):
        row = {"kind": "ceiling", "round": number, "work": work, "networks": networks, "way": way}
        yield {**row, "rate": round(ceiling.measure(networks, "auto", *way, seconds))}


def door(contestant: Contestant, work: str) -> tuple[Setup, str]:
    """How a contestant is started for a work, and by which name it takes it."""
    return next(
        (setup, name) for name in (work, work.removeprefix(OWN)) for setup in contestant.setups if name in setup.doors
    )


def figures(port: int, sent: Sequence[Request], callers: int, seconds: int) -> Row:
    """Those of one run, or why it has none."""
    try:
        row = load.run(port, sent, callers, seconds).row()
    except (load.BadRun, WrongAnswer) as error:
        return {"failure": str(error)}
    del row["cpu_us"]
    return {"bytes": len(sent[0].data), **row}
