"""What is measured: one function for each of the command's words. Each gives rows as they come."""

import dataclasses
import itertools
from collections.abc import Iterator

from benchmarks import load, report, steady, tables
from benchmarks.contestants import INT8, NAMED, NOOPS, PLAIN, US, WORKS, Contestant, among_peers, ours
from benchmarks.turns import start_in_turns, take_turns
from benchmarks.visits import Plan, Row, requests, serving, visit

WHOLE: Plan = {name: work.callers for name, work in WORKS.items()}
SINGLE: Plan = {"png": (32, 64), "numbers": (32, 64)}
PRECISIONS = ("bf16", "f32", "int8")
OPEN_SHARE = 0.7
"""Part of what we can do at most that the open loop asks for."""
STARTS = 3
"""For each round of `best`: a start takes a second."""
SPREAD = 10
"""Runs in a row, each with new connections."""


def alone(rounds: int, seconds: int) -> Iterator[Row]:
    """The table for us, and us against ourselves in turns: without batches, with less to run on, in each precision."""
    variants = (
        (ours(), {**WHOLE, "png": (1, 8, 32, 64)}),
        (ours("without batching", "--max-batch", "1"), {"png": (1, 8, 32, 64), "many": (8,)}),
        (ours("one worker", "--workers", "1"), {"png": (1, 32, 64), "bulk-bytes": (4,)}),
        (dataclasses.replace(ours(tables.ONE_CORE), cores=1), {"png": (1, 32, 64), "bulk-bytes": (4,)}),
        *((ours(name, "--precision", name), SINGLE) for name in PRECISIONS),
    )
    yield from visit(ours(), {"png": (32,)}, seconds)
    for work in WORKS:
        sides = [(variant, plan[work]) for variant, plan in variants if work in plan]
        yield from take_turns(work, sides, rounds, seconds)
    for noop in NOOPS:
        if noop.installed:
            yield from visit(noop, {"numbers": (32,)}, seconds)
    yield from in_a_row(ours(), seconds)


def peers(rounds: int, seconds: int) -> Iterator[Row]:
    """Everybody, in turn, so that all see the same drift of the machine."""
    everybody = (among_peers(), PLAIN, *NAMED)
    for number in range(rounds):
        for contestant in everybody:
            yield from visit(contestant, WHOLE, seconds, round=number)
        for noop in NOOPS:
            yield from visit(noop, {"numbers": (32,)}, seconds, round=number)
    yield from in_a_row(among_peers(), seconds)


def best(rounds: int, seconds: int) -> Iterator[Row]:
    """Ourselves, whoever of the peers did best by the last `peers`, and the plain server, in turns."""
    known = report.read("peers")
    quickest = tables.starts(known).best
    yield from start_in_turns(
        [among_peers(), *(peer for peer in NAMED if peer.name == quickest), PLAIN], STARTS * rounds
    )
    for work in WORKS.values():
        names = {tables.rates(known, work, callers).best for callers in work.callers}
        sides = [among_peers(), *(peer for peer in NAMED if peer.name in names), PLAIN]
        yield from take_turns(work.name, [(side, work.callers) for side in sides], rounds, seconds)


def precisions(rounds: int, seconds: int) -> Iterator[Row]:
    """Everybody in the same arithmetic, once for each."""
    for number, precision in itertools.product(range(rounds), PRECISIONS):
        for contestant in (among_peers(), PLAIN, *NAMED):
            fixed = in_precision(contestant, precision)
            yield from visit(fixed, SINGLE, seconds, round=number, precision=precision)


def in_precision(contestant: Contestant, precision: str) -> Contestant:
    """The same, computing in this arithmetic. Peers get int8 as what it is: another network."""
    if contestant.name == US:
        return among_peers("--precision", precision)
    own = {"PEER_MODEL": str(INT8)} if precision == "int8" else {"PEER_PRECISION": precision}
    setups = (dataclasses.replace(setup, variables={**setup.variables, **own}) for setup in contestant.setups)
    return dataclasses.replace(contestant, setups=tuple(setups))


def in_a_row(contestant: Contestant, seconds: int) -> Iterator[Row]:
    """Ten runs at 32 callers, each with connections of its own, and then the open loop."""
    (setup,) = contestant.setups
    sent = requests(setup, "png")
    with serving(contestant, setup, sent[0]) as (port, _):
        load.warm_up(port, sent, 32)
        rates = []
        for number in range(SPREAD):
            figures = load.run(port, sent, 32, seconds)
            rates.append(figures.rate)
            yield {"kind": "spread", "round": number, **figures.row()}
        rate = OPEN_SHARE * max(rates)
        with load.written(sent) as path:
            figures_open = steady.measure(port, path, rate, 2 * seconds)
        yield {"kind": "open", "asked": round(rate), **{name: round(value, 3) for name, value in figures_open.items()}}
