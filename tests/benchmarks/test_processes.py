"""What a server may run on."""

import os
import subprocess
import sys

from benchmarks import processes


def test_who_is_confined_has_one_core_and_so_has_what_it_starts() -> None:
    own = os.sched_getaffinity(0)
    with processes.confined(1):
        told = subprocess.check_output([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"])
    assert told == b"1\n"
    assert os.sched_getaffinity(0) == own
    with processes.confined(None):
        assert os.sched_getaffinity(0) == own
