"""The bare engine, in processes of its own."""

import pytest

from benchmarks.ceiling import ALONE, BOTH, measure


@pytest.mark.parametrize("networks", [ALONE, BOTH])
def test_the_bare_engine_computes_in_two_processes(networks: str) -> None:
    assert measure(networks, "f32", 2, 1, 16, 0.1) > 0
