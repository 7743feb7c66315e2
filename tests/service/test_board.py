"""Workers know of each other who computes, so that one of them may use the cores of all."""

from pathlib import Path

import pytest

from service import board
from service.board import Board
from tests.fakes import on


def test_who_is_the_only_worker_has_all_cores() -> None:
    assert Board().start()


def test_nobody_has_spare_cores_while_another_computes_or_has_just_done_so(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Board()
    second = on(first, 1)
    assert second.start()
    assert not first.start()
    first.stop()
    second.stop()
    assert not first.start()
    monkeypatch.setattr(board, "REST_NS", 0)
    assert first.start()


def test_a_worker_that_ended_while_it_computed_is_not_waited_for_when_it_is_replaced() -> None:
    first = Board()
    on(first, 1).start()
    assert not first.start()
    on(first, 1)
    assert first.start()


def test_the_first_worker_is_one_that_is_still_there() -> None:
    first = Board()
    second, third = on(first, 1), on(first, 2)
    assert (first.first, second.first, third.first) == (True, False, False)
    first.leave()
    assert (second.first, third.first) == (True, False)
    second.leave()
    assert third.first


def test_of_many_callers_an_eighth_more_is_no_matter() -> None:
    first = Board()
    second = on(first, 1)
    second.publish(3)
    assert not first.publish(3)
    assert first.publish(4)
    second.publish(16)
    assert not first.publish(18)
    assert first.publish(19)


def test_a_change_is_everywhere_when_the_same_serves_in_each_worker() -> None:
    first = Board()
    second = on(first, 1)
    total = second.ask()
    first.apply(total, digest=1)
    assert not first.everywhere(total)
    second.apply(total, digest=2)
    assert not first.everywhere(total)
    second.apply(total, digest=1)
    assert first.everywhere(total)
    second.apply(total, digest=2)
    second.leave()
    assert first.everywhere(total)


def test_nobody_leaves_callers_to_a_worker_that_has_left() -> None:
    first = Board()
    second = on(first, 1)
    second.publish(0)
    assert first.publish(3)
    second.leave()
    assert not first.publish(3)


def test_nobody_waits_for_a_worker_that_was_killed(tmp_path: Path) -> None:
    shared = Board()
    locks = [board.claim(tmp_path)[1] for _ in range(3)]
    for slot in (0, 1, 2):
        shared.take(slot)
        shared.apply(0, digest=1)
    shared.take(1)
    shared.apply(shared.ask(), digest=1)
    assert not shared.everywhere(1)
    assert shared.bury(tmp_path) == []
    locks[2].close()
    locks[0].close()
    assert shared.bury(tmp_path) == [0, 2]
    assert shared.everywhere(1)
    assert shared.first
    locks[1].close()
