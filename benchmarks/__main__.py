"""python -m benchmarks [alone | peers | best | precisions | growth | render]: what the README's figures come from."""

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import growth, machine, processes, report, runs
from benchmarks.contestants import BESIDE
from benchmarks.visits import Row

Measure = Callable[[int, int], Iterator[Row]]

MEASURES: dict[str, tuple[Measure, int, int]] = {
    "alone": (runs.alone, 3, 2),
    "peers": (runs.peers, 2, 2),
    "best": (runs.best, 5, 2),
    "precisions": (runs.precisions, 1, 2),
    "growth": (growth.measure, 3, 2),
}
"""What can be measured, with its rounds and the seconds of a run."""


def main(argv: Sequence[str]) -> int:
    """Measure and write down. Returns 1 if a run had to be left out, 2 if something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*MEASURES, "render"], default="alone")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of one run")
    parser.add_argument(
        "--short", action="store_true", help="one round of 1-second runs: whether all works, not how well"
    )
    asked = parser.parse_args(argv)
    if not shutil.which("wrk"):
        print("wrk is missing, which sends the requests: apt-get install wrk", file=sys.stderr)
        return 2
    processes.adopt()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers end with us, however we are asked to
    failed = False
    for what in asked.what if isinstance(asked.what, list) else [asked.what]:
        if what == "render":
            continue
        measure, rounds, seconds = MEASURES[what]
        if asked.short:
            rounds, seconds = 1, 1
        with_peers = what in ("peers", "best", "precisions")
        if with_peers and not Path(BESIDE).exists():
            print(f"{BESIDE} is missing, which we run in beside the peers: make bench-peers", file=sys.stderr)
            return 2
        rows = [machine.describe(f"python -m benchmarks {what}", with_peers=with_peers)]
        for row in measure(asked.rounds or rounds, asked.seconds or seconds):
            print(json.dumps(row, ensure_ascii=False), flush=True)
            rows.append(row)
        report.save(what, rows)
        failed |= any("failure" in row for row in rows)
    report.render()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
