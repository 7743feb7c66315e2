"""What is tried again, when, and when it is given up. Nobody sleeps: pauses move the script's clock."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest

from convolve import Patience, Problem, Unreachable
from convolve.calls import Call
from convolve.patience import Tries
from tests.convolve.conftest import Connect, Script

GOOD = {"model": "mnist", "version": 1, "predictions": []}


def good() -> httpx2.Response:
    guess = {"class_id": 7, "label": "7", "probability": 1.0}
    prediction = {**guess, "top": [guess], "probabilities": [1.0]}
    return httpx2.Response(200, json={"model": "mnist", "version": 1, "predictions": [prediction]})


def busy(after: str | None = "1", status: int = 503) -> httpx2.Response:
    return httpx2.Response(
        status, headers={} if after is None else {"retry-after": after}, json={"title": "Queue full"}
    )


@pytest.mark.parametrize(
    "outcome",
    [{"status": 503}, {"status": 429}, {"status": 429, "after": None},
     httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.RemoteProtocolError],
    ids=str,
)  # fmt: skip
def test_what_may_pass_is_tried_again(connect: Connect, outcome: Any) -> None:
    script = Script(busy(**outcome) if isinstance(outcome, dict) else outcome, good())
    assert connect(script).predict(b"x").label == "7"
    first, second = script.requests
    assert first.headers["x-request-id"] == second.headers["x-request-id"]
    assert script.bodies == [b"x", b"x"]


@pytest.mark.parametrize(("status", "after"), [(503, None), (504, "1"), (500, "1"), (400, "1")])
def test_what_will_not_pass_is_raised_at_once(connect: Connect, status: int, after: str | None) -> None:
    script = Script(busy(after, status))
    with pytest.raises(Problem) as refused:
        connect(script).predict(b"x")
    assert refused.value.status == status
    assert script.pauses == []


def test_a_time_out_is_not_tried_again(connect: Connect) -> None:
    script = Script(httpx2.ReadTimeout)
    with pytest.raises(Unreachable) as failed:
        connect(script).predict(b"x", request_id="slow-1")
    assert failed.value.request_id == "slow-1"


def test_a_form_is_sent_whole_a_second_time(connect: Connect) -> None:
    two = httpx2.Response(200, json={**GOOD, "predictions": good().json()["predictions"] * 2})
    script = Script(busy(), two)
    assert len(list(connect(script).predict_many([b"one", b"two"]))) == 2
    assert script.bodies[0] == script.bodies[1]
    assert b"one" in script.bodies[1]


def test_pauses_double_up_to_a_limit(connect: Connect) -> None:
    script = Script(*[httpx2.ConnectError] * 6)
    with pytest.raises(Unreachable, match="out of order"):
        connect(script, attempts=6, pause_s=1, longest_pause_s=5).predict(b"x")
    assert script.pauses == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_nobody_comes_back_before_the_time_that_the_server_names(chance: float) -> None:
    tries = Tries(Call(method="GET", path="x", read=lambda _: None), Patience(chance=lambda: chance, clock=lambda: 0))
    pause_s = tries.pause_after(busy("7"))
    assert pause_s is not None
    assert 7 < pause_s < 8


def test_retry_after_may_be_a_date(connect: Connect) -> None:
    script = Script(busy(format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)), good())
    connect(script).predict(b"x")
    assert 10 < script.pauses[0] < 21


def test_a_retry_after_that_says_nothing_is_none(connect: Connect) -> None:
    script = Script(busy("soon"), good())
    connect(script, pause_s=1).predict(b"x")
    assert script.pauses == [1]


def test_who_would_come_too_late_does_not_wait(connect: Connect) -> None:
    script = Script(busy("3600"))
    with pytest.raises(Problem) as refused:
        connect(script, total_s=60).predict(b"x")
    assert refused.value.retry_after_s == 3600
    assert script.pauses == []


def test_the_last_try_has_only_the_time_that_is_left(connect: Connect) -> None:
    script = Script(busy("8"), good())
    connect(script, total_s=10, timeout_s=5, pause_s=1).predict(b"x")
    assert script.timeouts == [5, 1]


def test_many_pictures_have_more_time_than_one(connect: Connect) -> None:
    many = httpx2.Response(200, json={**GOOD, "predictions": good().json()["predictions"] * 40})
    script = Script(good(), many)
    ask = connect(script)
    ask.predict(b"x")
    list(ask.predict_many([b"x"] * 40))
    assert script.timeouts == [15, 40]


def test_who_names_a_time_gets_that_time(connect: Connect) -> None:
    many = httpx2.Response(200, json={**GOOD, "predictions": good().json()["predictions"] * 40})
    script = Script(many, many)
    list(connect(script, timeout_s=2).predict_many([b"x"] * 40))
    list(connect(script, total_s=3).predict_many([b"x"] * 40))
    assert script.timeouts == [2, 3]


def test_what_changes_something_is_not_repeated_when_its_answer_got_lost() -> None:
    request = httpx2.Request("POST", "http://x")
    for repeatable in (True, False):
        call = Call(method="POST", path="x", read=lambda _: None, repeatable=repeatable)
        tries = Tries(call, Patience())
        assert (tries.pause_after(httpx2.ReadError("lost", request=request)) is not None) == repeatable
        assert tries.pause_after(httpx2.ConnectError("refused", request=request)) is not None
