"""What a server's processes cost: processor time and memory, and what everybody else burns meanwhile."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: orphans of a server come to us, so that its processes are all that descend from here."""
STOP_S = 8
"""Seconds that a server has to end by itself."""


def adopt() -> None:
    """Let orphans of what we start become our children."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def state(process: int) -> tuple[int, str, float]:
    """Parent, state letter and processor seconds so far.

    Raises:
        OSError: It has ended.
    """
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), fields[0], (int(fields[11]) + int(fields[12])) / TICKS


def descendants() -> set[int]:
    """Processes that come from this one, itself left out. One server runs at a time, and tools are waited for."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent, letter, _ = state(int(path.name))
            if letter != "Z":
                children.setdefault(parent, []).append(int(path.name))
    found: set[int] = set()
    ahead = children.get(os.getpid(), [])
    while ahead:
        process = ahead.pop()
        found.add(process)
        ahead += children.get(process, [])
    return found


def seconds(processes: set[int]) -> float:
    """Processor time of those that still run."""
    total = 0.0
    for process in processes:
        with suppress(OSError):
            total += state(process)[2]
    return total


def megabytes(processes: set[int]) -> float:
    """Memory by PSS: what they share is counted once."""
    total = 0
    for process in processes:
        with suppress(OSError):
            rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += next(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total / 1024


def machine_seconds() -> float:
    """Processor time that the whole machine has spent, stolen time included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


@contextmanager
def confined(cores: int | None) -> Iterator[None]:
    """Leave this thread, and what it starts meanwhile, so many of its cores; None is all."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(own)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def start(command: list[str], folder: Path, variables: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a server; what it says goes to `log`.

    Python may keep the bytecode of whoever is started, as it does unless forbidden: else each start would compile ours
    anew, while a peer's came compiled with its package.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, cwd=folder, env={**environment, **variables}, stdout=out, stderr=out, start_new_session=True
        )


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End a server and all that came from it: asked first, then told."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in descendants():
            with suppress(OSError):
                os.kill(process, number)
        if gone(within_s=2):
            break
    server.wait()


def gone(within_s: float) -> bool:
    """Whether nothing of it is left, waiting for a moment."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # orphans that came to us
                pass
        if not descendants():
            return True
        time.sleep(0.05)
    return False
