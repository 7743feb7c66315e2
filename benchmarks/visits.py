"""Start a server, put every work before it, write down what came out."""

import http.client
import itertools
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load, processes
from benchmarks.bodies import Request
from benchmarks.contestants import WORKS, Contestant, Setup
from benchmarks.pictures import VERSION, draw
from benchmarks.sampler import Caller, WrongAnswer

START_S = 90
DIFFERENT = {1: 64, 64: 8, 1024: 1}
"""Different requests in rotation, by the pictures in each."""

Row = dict[str, Any]
Plan = Mapping[str, tuple[int, ...]]
"""Callers, by the name of the work."""

LOGS = Path(tempfile.gettempdir()) / "convolve-benchmarks"
ports = itertools.count(18200, 10)
"""A new one for each start: an old one may still be held."""


@contextmanager
def serving(contestant: Contestant, setup: Setup, first: Request) -> Iterator[tuple[int, float]]:
    """A running server: its port, and the seconds from start to the first right answer.

    Raises:
        BadRun: It does not come up.
        WrongAnswer: Its first answer is wrong.
    """
    port = free_port()
    command = [part.format(port=port) for part in contestant.command]
    LOGS.mkdir(exist_ok=True)
    log = LOGS / f"{contestant.name}.log"
    variables = {"PEER_PORT": str(port), "PEER_MODEL": str(VERSION), **setup.variables}
    began = time.monotonic()
    server = processes.start(command, contestant.folder, variables, log)
    try:
        while not answers(port, first, checked=not contestant.limit):
            if server.poll() is not None or time.monotonic() - began > START_S:
                raise load.BadRun(f"{contestant.name} did not come up; see {log}")
            time.sleep(0.005)
        yield port, time.monotonic() - began
    finally:
        processes.stop(server)


def free_port() -> int:
    """The next port at which nobody answers: else the figures would be those of whoever does."""
    while True:
        port = next(ports)
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)):
                return port


def answers(port: int, request: Request, *, checked: bool) -> bool:
    """Whether somebody answers there; rightly, where that is checked and it says 200."""
    caller = Caller(port)
    try:
        caller.ask(request)
    except WrongAnswer as error:
        if checked and not str(error).startswith(("status 4", "status 5")):
            raise
        return not checked
    except (OSError, http.client.HTTPException):
        return False
    finally:
        caller.close()
    return True


def visit(contestant: Contestant, plan: Plan, seconds: int, **more: Any) -> Iterator[Row]:
    """Rows of one contestant: every start, every run, and memory after the first kind of load.

    A run with a wrong answer gives a row with `failure` in place of figures.
    """
    for setup in contestant.setups:
        works = [name for name in plan if name in setup.doors]
        if not works:
            continue
        about = {"contestant": contestant.name, **more}
        try:
            yield from stay(contestant, setup, {name: plan[name] for name in works}, seconds, about)
        except (load.BadRun, WrongAnswer) as error:
            print(contestant.name, error, file=sys.stderr)
            yield {"kind": "failure", **about, "works": works, "failure": str(error)}


def stay(contestant: Contestant, setup: Setup, plan: Plan, seconds: int, about: Row) -> Iterator[Row]:
    """The rows of one start."""
    sent = {name: requests(setup, name) for name in plan}
    first = next(iter(plan))
    with serving(contestant, setup, sent[first][0]) as (port, started):
        yield {"kind": "start", **about, "work": first, "seconds": round(started, 3)}
        for name, callers in plan.items():
            load.warm_up(port, sent[name], callers[-1])
            for count in callers:
                row = {"kind": "run", **about, "work": name, "callers": count, "pictures": WORKS[name].pictures}
                try:
                    lasting = seconds * WORKS[name].length
                    figures = load.run(port, sent[name], count, lasting, checked=not contestant.limit)
                except (load.BadRun, WrongAnswer) as error:
                    yield {**row, "failure": str(error)}
                else:
                    yield {**row, "bytes": len(sent[name][0].data), **figures.row()}
            if name == first:
                megabytes = processes.megabytes(processes.descendants())
                yield {"kind": "memory", **about, "work": name, "megabytes": round(megabytes, 1)}


def requests(setup: Setup, name: str) -> list[Request]:
    """What is sent for a work."""
    each = WORKS[name].pictures
    count = DIFFERENT[each]
    return setup.doors[name].requests(draw(each * count), each, count)
