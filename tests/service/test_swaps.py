"""New versions go live under load: not one answer is lost, wrong, or of a version that should not answer any more."""

import gc
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.servers import PATIENCE_S, Server, serving
from tests.service.conftest import BEARER, EXAMPLES, SEVEN, SHIPPED, TOKEN

PICTURES = [(EXAMPLES / f"{digit}.png", digit) for digit in range(10) if (EXAMPLES / f"{digit}.png").exists()]
CALLERS = 8


class Answer(NamedTuple):
    """One answer: when it was asked for, when it came, and what it says."""

    sent: float
    came: float
    status: int
    version: int
    label: str
    expected: int


class Swap(NamedTuple):
    """A version that went live: from `begun` on it may answer, from `done` on it must."""

    version: int
    begun: float
    done: float


def publish(store: Path, version: int, labels: list[str] | None = None) -> None:
    """One more version, with names for its classes that no other version has; it appears whole."""
    hidden = store / "mnist" / f".{version}.tmp"
    shutil.copytree(SHIPPED, hidden)
    manifest = json.loads((hidden / "manifest.json").read_text())
    manifest |= {"version": version, "labels": labels or [f"{digit} of {version}" for digit in range(10)]}
    (hidden / "manifest.json").write_text(json.dumps(manifest))
    hidden.rename(store / "mnist" / str(version))


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """The caller's own garbage collection, over all these answers, would be taken for a pause of the server."""
    gc.disable()
    yield
    gc.enable()


class Load:
    """Callers who ask one picture after the other."""

    def __init__(self, server: Server) -> None:
        self.port = server.port
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(start,)) for start in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def call(self, turn: int) -> None:
        pictures = [(path.read_bytes(), digit) for path, digit in PICTURES]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        while not self.stop.is_set():
            turn += 1
            data, digit = pictures[turn % len(pictures)]
            sent = time.monotonic()
            try:
                connection.request("POST", "/predict", data)
                response = connection.getresponse()
                body = json.loads(response.read())
            except Exception as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            label = body["predictions"][0]["label"] if response.status == 200 else ""
            self.answers.append(Answer(sent, time.monotonic(), response.status, body.get("version", 0), label, digit))
        connection.close()

    def end(self) -> list[Answer]:
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)
        assert not self.failures
        return self.answers


def change(server: Server, path: str) -> None:
    """An admin call that must succeed."""
    status, body = server.ask("POST", path, headers=BEARER)
    assert status == 200, body


def check_each(answers: list[Answer], swaps: list[Swap]) -> None:
    """Status, class, and a version that was allowed to answer between question and answer."""
    over = [*(swap.done for swap in swaps[1:]), float("inf")]
    for answer in answers:
        assert answer.status == 200
        assert answer.label == f"{answer.expected} of {answer.version}"
        (swap,) = [swap for swap in swaps if swap.version == answer.version]
        assert answer.came >= swap.begun, "a version answered before it was there"
        assert answer.sent <= over[swaps.index(swap)], "a version answered after another one had taken its place"


def slowest(answers: list[Answer]) -> list[float]:
    """The 99th percentile of each second, in milliseconds."""
    if not answers:
        return []
    begin = min(answer.came for answer in answers)
    seconds: dict[int, list[float]] = {}
    for answer in answers:
        seconds.setdefault(int(answer.came - begin), []).append(1000 * (answer.came - answer.sent))
    return [float(np.percentile(times, 99)) for _, times in sorted(seconds.items()) if len(times) > 100]


def speed(answers: list[Answer], quiet: int, swaps: list[Swap]) -> str:
    """What the swaps cost those who called meanwhile: told, not judged, as others share this machine."""
    before, during = slowest(answers[:quiet]), slowest(answers[quiet:])
    took = [swap.done - swap.begun for swap in swaps[1:]]
    return (
        f"p99 of a second: {np.median(before or [0]):.1f} ms before, {np.median(during):.1f} ms during the swaps, and"
        f" {max(during):.1f} ms in the worst second; a swap takes {np.median(took):.2f} s"
    )


def memory(server: Server) -> float:
    """Megabytes that the workers have for themselves."""
    pages = [int(Path(f"/proc/{worker}/statm").read_text().split()[1]) for worker in server.workers()]
    return sum(pages) * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.verify)])
def test_versions_that_go_live_under_load(tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    publish(tmp_path, 1)
    environment = {"CONVOLVE_ADMIN_TOKEN": TOKEN}
    with serving("--workers", "2", "--models", str(tmp_path), environment=environment) as server:
        swaps = [Swap(1, 0, 0)]
        load = Load(server)
        time.sleep(max(2, count / 10))
        quiet = len(load.answers)
        grown = memory(server)
        for version in range(2, count + 2):
            begun = time.monotonic()
            publish(tmp_path, version)
            change(server, "/models/mnist/load")
            swaps.append(Swap(version, begun, time.monotonic()))
            if version == 1 + count // 2:
                grown = memory(server)
        end = memory(server)
        answers = load.end()
        assert server.metric("convolve_model_loaded") == 1
        versions = set(re.findall(rb'version="([0-9]+)"', server.ask("GET", "/metrics")[1]))
        assert versions == {str(count + 1).encode()}, "series of versions that left are still there"
    check_each(answers, swaps)
    assert {answer.version for answer in answers} >= {1, count + 1}
    with capsys.disabled():
        print(f"\n{count} swaps, {CALLERS} callers: {len(answers)} answers, all right; {speed(answers, quiet, swaps)};")
        print(f"the workers have {grown:.0f} MB after half of the swaps, {end:.0f} MB after all")
    assert end < grown * 1.15, "memory grows with every swap"


def test_a_bad_release_is_taken_back_by_itself_in_all_workers(tmp_path: Path) -> None:
    digits = list("0123456789")
    publish(tmp_path, 1, digits)
    publish(tmp_path, 2, digits[::-1])  # every class has another's name: the network is right, the release is not
    rules = {"version": "latest", "share": 0.5, "rollback": {"pictures": 100, "agreement": 0.9}}
    (tmp_path / "mnist" / "policy.json").write_text(json.dumps({"labels": {"stable": 1}, "canary": rules}))
    flags = ("--workers", "2", "--models", str(tmp_path), "--poll-s", "0.2")
    with serving(*flags, environment={"CONVOLVE_ADMIN_TOKEN": TOKEN}) as server:
        end = time.monotonic() + PATIENCE_S
        while json.loads(server.ask("GET", "/models/mnist")[1])["policy"]["never"] != [2]:
            assert time.monotonic() < end
            for _ in range(20):
                assert server.ask("POST", "/predict", SEVEN)[0] == 200
        last = json.loads(server.ask("GET", "/models/mnist/history")[1])["events"][-1]
        assert last["event"] in ("taken back", "unloaded")
        change(server, "/models/mnist/load")  # every worker has looked
        versions = {json.loads(server.ask("POST", "/predict", SEVEN)[1])["version"] for _ in range(100)}
    assert versions == {1}
