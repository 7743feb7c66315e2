import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from benchmarks.bodies import LENGTH, Door, Request
from benchmarks.contestants import WORKS, ours
from benchmarks.pictures import draw
from benchmarks.sampler import WrongAnswer, check
from tests.service.conftest import client, first  # noqa: F401 - the service with a shipped model

SEVEN = np.eye(10, dtype=np.float32)[7:8]
ASKED = Request(b"", [7])


def test_takes_the_answer_of_every_dialect() -> None:
    rows = SEVEN.tolist()
    check(ASKED, 200, orjson.dumps({"predictions": rows}))
    check(ASKED, 200, orjson.dumps({"predictions": [{"probabilities": rows[0]}]}))
    check(ASKED, 200, orjson.dumps({"outputs": [{"data": rows[0]}]}))
    check(ASKED, 200, orjson.dumps(rows))
    check(ASKED, 200, SEVEN.tobytes())
    check(ASKED, 200, b"{}" + SEVEN.tobytes(), header_length="2")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        pytest.param(503, orjson.dumps({"predictions": SEVEN.tolist()}), id="status"),
        pytest.param(200, np.eye(10, dtype=np.float32)[8:9].tobytes(), id="class"),
        pytest.param(200, SEVEN.tobytes() * 2, id="shape"),
        pytest.param(200, np.zeros((1, 10), np.float32).tobytes(), id="no probabilities"),
        pytest.param(200, b'{"error": "busy"}', id="error"),
        pytest.param(200, b"", id="nothing"),
    ],
)
def test_refuses_a_wrong_answer(status: int, answer: bytes) -> None:
    with pytest.raises(WrongAnswer):
        check(ASKED, status, answer)


@pytest.mark.parametrize("name", WORKS)
def test_our_own_service_answers_every_work_rightly(client: TestClient, name: str) -> None:  # noqa: F811
    (setup,) = ours().setups
    door: Door = setup.doors[name]
    request = door.request(draw(64)[:8] if WORKS[name].pictures > 1 else draw(64)[:1])
    head, _, body = request.data.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    answer = client.post(door.path, content=body, headers={key: value for key, _, value in lines if key != "Host"})
    check(request, answer.status_code, answer.content, answer.headers.get(LENGTH))
