"""One run: wrk sends, a sampler checks, and the processor's time is read before and after."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.bodies import Request
from benchmarks.sampler import Sampler

SCRIPT = Path(__file__).with_name("wrk.lua")
NOISE = 0.15
"""Cores that others may use meanwhile; a run with more is made again."""
TRIES = 3


class BadRun(Exception):
    """A run that has no figures."""


@dataclass(frozen=True)
class Figures:
    """What one run gave."""

    rate: float
    """Requests answered with 200, per second, those of the checker among them."""
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the server's processes per request."""
    others: float
    """Cores that were used by neither server nor load generator."""
    checked: int
    """Answers whose status, shape and class were compared."""

    def row(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def warm_up(port: int, requests: Sequence[Request], callers: int, seconds: int = 1) -> None:
    """Load that nobody looks at."""
    with written(requests) as path:
        wrk(port, path, callers, seconds)


def run(port: int, requests: Sequence[Request], callers: int, seconds: int, *, checked: bool = True) -> Figures:
    """Closed loop: each caller sends the next request when the last is answered.

    Runs while somebody else uses the machine are repeated, up to `TRIES` times in all; the quietest counts.

    Args:
        port: Of the server on 127.0.0.1.
        requests: Sent in rotation.
        callers: Connections.
        seconds: Length of a run.
        checked: False for a server that answers without looking.

    Raises:
        BadRun, WrongAnswer: Not every answer was right.
    """
    best: Figures | None = None
    with written(requests) as path:
        for _ in range(TRIES):
            figures = run_once(port, path, requests if checked else (), callers, seconds)
            if best is None or figures.others < best.others:
                best = figures
            if best.others <= NOISE:
                break
    assert best is not None
    return best


def run_once(port: int, path: Path, samples: Sequence[Request], callers: int, seconds: int) -> Figures:
    servers = processes.descendants()
    own, spent, everybody, began = (
        time.process_time(),
        processes.seconds(servers),
        processes.machine_seconds(),
        time.monotonic(),
    )
    asked = 0
    if samples:
        with Sampler(port, samples) as sampler:
            told, generator = wrk(port, path, callers, seconds)
            # They are answers as others are, of large requests a twentieth; the first was asked before wrk was up.
            asked = max(0, sampler.checked - 1)
    else:
        told, generator = wrk(port, path, callers, seconds)
    elapsed = time.monotonic() - began
    spent = processes.seconds(servers) - spent
    others = processes.machine_seconds() - everybody - spent - generator - (time.process_time() - own)
    if told["refused"] or told["broken"]:
        raise BadRun(f"{told['refused']} refused and {told['broken']} broken of {told['requests']}")
    if not told["requests"]:
        raise BadRun(f"no answer in {seconds} s")
    return Figures(
        rate=(told["requests"] + asked) / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        cpu_us=spent / (told["requests"] + asked) * 1e6,
        others=max(0.0, others / elapsed),
        checked=sampler.checked if samples else 0,
    )


def wrk(port: int, path: Path, callers: int, seconds: int) -> tuple[dict[str, Any], float]:
    """What wrk says, and the processor time it took."""
    command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", "--timeout", "20s", "-s", str(SCRIPT)]
    before = os.times().children_user + os.times().children_system
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        env={**os.environ, "REQUESTS": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    spent = os.times().children_user + os.times().children_system - before
    for line in done.stdout.splitlines():
        if line.startswith("FIGURES "):
            return json.loads(line.removeprefix("FIGURES ")), spent
    raise BadRun(f"wrk failed: {(done.stdout + done.stderr)[-400:]}")


@contextmanager
def written(requests: Sequence[Request]) -> Iterator[Path]:
    """The requests in a file, as wrk.lua reads them: the length of each, a line's end, the bytes."""
    with tempfile.NamedTemporaryFile(prefix="requests-") as file:
        for request in requests:
            file.write(b"%d\n" % len(request.data) + request.data)
        file.flush()
        yield Path(file.name)
