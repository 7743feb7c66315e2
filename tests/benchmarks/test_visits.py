"""Nobody is measured in another's place."""

import itertools
import socket

import pytest

from benchmarks import visits


def test_a_port_at_which_somebody_answers_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(visits, "ports", itertools.count(taken))
        assert visits.free_port() > taken
