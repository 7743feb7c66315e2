"""Nobody is measured in another's place."""

import itertools
import os
import socket
import subprocess
import sys

import pytest

from benchmarks import processes, visits


def test_a_port_at_which_somebody_answers_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(visits, "ports", itertools.count(taken))
        assert visits.free_port() > taken


def test_who_is_confined_has_one_core_and_so_has_what_it_starts() -> None:
    own = os.sched_getaffinity(0)
    with processes.confined(1):
        told = subprocess.check_output([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"])
    assert told == b"1\n"
    assert os.sched_getaffinity(0) == own
    with processes.confined(None):
        assert os.sched_getaffinity(0) == own
