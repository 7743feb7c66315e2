"""Both clients before the real service: every form of a picture, every kind of answer."""

import gzip
import io
from array import array
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from convolve import BadAnswer, Client, ConvolveError, Guess, Prediction, Problem, Unreachable, Unreadable
from service.batcher import Batcher
from service.errors import QueueFull
from tests.convolve.conftest import Connect, Script, Through
from tests.fakes import Failing, Reader, Store, Wary, picture, tell_novelty
from tests.servers import serving
from tests.service.conftest import EXAMPLES, Start

SEVEN = EXAMPLES / "seven.png"


@pytest.fixture
def through(client: TestClient) -> Through:
    return Through(client)


@pytest.fixture
def ask(connect: Connect, through: Through) -> Any:
    return connect(through)


class TestPredict:
    def test_the_answer_is_a_value(self, ask: Any) -> None:
        answer: Prediction = ask.predict(SEVEN, request_id="order-66")
        assert (answer.label, answer.class_id, answer.model, answer.request_id) == ("7", 7, "mnist", "order-66")
        assert answer.top[0] == Guess(7, "7", answer.probability)
        assert len(answer.top) == 3
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert hash(answer)

    @pytest.mark.parametrize(
        "form",
        [str, lambda path: path, Path.read_bytes, lambda path: bytearray(path.read_bytes()),
         lambda path: memoryview(path.read_bytes()), lambda path: io.BytesIO(path.read_bytes())],
        ids=["text", "path", "bytes", "bytearray", "memoryview", "file"],
    )  # fmt: skip
    def test_files_come_in_many_forms(self, ask: Any, form: Any) -> None:
        assert ask.predict(form(SEVEN)).label == "7"

    @pytest.mark.parametrize(
        "form",
        [lambda pixels: pixels, lambda pixels: pixels.tolist(), lambda pixels: list(pixels[..., 0]),
         lambda pixels: array("B", pixels.ravel().tolist()), lambda pixels: pixels.astype(float)],
        ids=["NumPy", "lists", "rows of NumPy", "array", "floats"],
    )  # fmt: skip
    def test_pixels_come_in_many_forms(self, connect: Connect, start: Start, form: Any) -> None:
        ask = connect(Through(start(Reader())))
        assert ask.predict(form(picture(255))).class_id == 5

    def test_what_the_network_was_given_comes_along_where_asked_for(self, ask: Any) -> None:
        assert ask.predict(SEVEN).seen is None
        answer = ask.predict(EXAMPLES / "photo.jpg", include="seen")
        assert answer.seen.picture.startswith(b"\x89PNG")
        assert answer.seen.inverted
        assert answer.seen.warning == ""
        assert hash(answer)
        assert "blank" in ask.predict([[0] * 28] * 28, include="seen").seen.warning

    def test_an_answer_says_whether_the_picture_is_recognized(
        self, ask: Any, connect: Connect, store: Store, start: Start
    ) -> None:
        assert ask.predict(SEVEN).recognized is None  # a version that can not tell
        tell_novelty(store.add(1), 0.5)
        store.engines["mnist/1"] = Wary()
        wary = connect(Through(start(models=store.root)))
        answers = wary.predict_many([picture(5).tolist(), picture(600).tolist()], include="seen")
        assert [(answer.recognized, round(answer.seen.novelty, 3)) for answer in answers] == [
            (True, 0.005),
            (False, 0.6),
        ]

    def test_options_reach_the_server(self, ask: Any, through: Through) -> None:
        answer = ask.predict(SEVEN, model="mnist", version=1, top=1, prepare="auto", label=None)
        assert len(answer.top) == 1
        assert dict(through.requests[0].url.params) == {
            "model": "mnist", "version": "1", "top": "1", "prepare": "auto"
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("sent", "status", "kind"),
        [(b"%PDF-1.7", 415, "unsupported-picture"), ([[1, 2]], 400, "wrong-shape"), (b"", 400, "empty-body"),
         (np.zeros((28, 28)) + 0.5, 400, "wrong-shape")],
        ids=["PDF", "shape", "empty", "fractions"],
    )  # fmt: skip
    def test_a_refusal_says_what_the_server_says(self, ask: Any, sent: Any, status: int, kind: str) -> None:
        with pytest.raises(Problem) as refused:
            ask.predict(sent, request_id="bad-1")
        problem = refused.value
        assert (problem.status, problem.kind, problem.request_id) == (status, kind, "bad-1")
        assert problem.detail in str(problem)
        assert f"expected: {problem.expected}" in str(problem)

    def test_an_unknown_model(self, ask: Any) -> None:
        with pytest.raises(Problem, match="nope"):
            ask.predict(SEVEN, model="nope")

    @pytest.mark.parametrize(
        "sent",
        ["no/such/file.png", EXAMPLES, 7, None, io.StringIO("x"), [float("nan")], [object()], "a\0b", {"a": 1}],
        ids=str,
    )
    def test_what_can_not_be_sent_is_not(self, ask: Any, through: Through, sent: Any) -> None:
        with pytest.raises(Unreadable):
            ask.predict(sent)
        assert not through.requests

    def test_a_file_that_comes_in_pieces_is_read_to_its_end(self, ask: Any) -> None:
        class Pipe(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(100)

        assert ask.predict(Pipe(SEVEN.read_bytes())).label == "7"

    def test_an_unknown_option_is_wrong_usage(self, ask: Any, through: Through) -> None:
        with pytest.raises(Problem, match="unknown parameter"):
            ask.predict(SEVEN, modle="mnist")


class TestPredictMany:
    @pytest.mark.parametrize("limits", [{"max_pictures": 6}, {"max_body_bytes": 6_000}], ids=str)
    def test_a_server_that_takes_fewer_at_once_is_asked_more_often(
        self, connect: Connect, start: Start, limits: dict[str, int]
    ) -> None:
        many = connect(Through(start(Reader(), **limits))).predict_many(picture(n) for n in range(25))
        assert [each.class_id for each in many] == [n % 10 for n in range(25)]

    def test_a_picture_that_is_too_large_spoils_only_itself(self, connect: Connect, start: Start) -> None:
        through = Through(start(Reader(), max_body_bytes=6_000))
        first, large, last = connect(through).predict_many([picture(1), np.zeros((280, 280), np.uint8), picture(2)])
        assert (first.class_id, large.status, last.class_id) == (1, 413, 2)

    def test_files_that_read_text_or_are_closed_spoil_only_themselves(
        self, connect: Connect, start: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "closed").write_bytes(b"")
        with (EXAMPLES / "seven.png").open() as text, (tmp_path / "closed").open("rb") as closed:
            closed.close()
            many = connect(Through(start(Reader()))).predict_many([text, closed, picture(3)])
            reads_text, is_closed, last = many
        assert "mode 'rb'" in str(reads_text)
        assert "closed" in str(is_closed)
        assert last.class_id == 3

    def test_order_is_kept_over_requests_and_kinds(self, connect: Connect, start: Start) -> None:
        through = Through(start(Reader()))
        many = connect(through).predict_many((picture(n) for n in range(25)), chunk=10)
        assert [each.class_id for each in many] == [n % 10 for n in range(25)]
        assert len(through.requests) == 3

    def test_files_travel_as_one_form_without_their_names(self, ask: Any, through: Through) -> None:
        answers = list(ask.predict_many(EXAMPLES / f"{digit}.png" for digit in (4, 0, 9)))
        assert [answer.label for answer in answers] == ["4", "0", "9"]
        (request,) = through.requests
        assert request.headers["content-type"].startswith("multipart/form-data")
        assert b"examples" not in request.content
        assert b".png" not in request.content
        assert {answer.request_id for answer in answers} == {request.headers["x-request-id"]}

    def test_files_and_pixels_travel_together(self, ask: Any, through: Through) -> None:
        answers = list(ask.predict_many([SEVEN, np.zeros((28, 28), np.uint8), SEVEN]))
        assert [answer.label for answer in answers][::2] == ["7", "7"]
        assert len(through.requests) == 1

    @pytest.mark.parametrize("chunk", [1, 2, 64])
    def test_a_bad_picture_spoils_only_itself(self, ask: Any, chunk: int) -> None:
        pictures = [SEVEN, b"%PDF", "no/such/file", [[1]], SEVEN]
        first, pdf, missing, shape, last = ask.predict_many(pictures, chunk=chunk)
        assert (first.label, last.label) == ("7", "7")
        assert isinstance(pdf, Problem)
        assert pdf.status == 415
        assert isinstance(missing, Unreadable)
        assert isinstance(shape, Problem)
        assert shape.kind == "wrong-shape"

    @pytest.mark.parametrize("cut", [slice(-9), slice(20)], ids=["cut short", "cut shorter"])
    def test_a_file_object_that_fails_spoils_only_itself(self, ask: Any, cut: slice) -> None:
        packed = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(SEVEN.read_bytes())[cut]))
        first, broken, last = ask.predict_many([SEVEN, packed, SEVEN])
        assert (first.label, last.label) == ("7", "7")
        assert isinstance(broken, Unreadable)

    def test_nothing_is_asked_where_nothing_can_be_sent(self, ask: Any, through: Through) -> None:
        assert [type(each) for each in ask.predict_many(["no/such/file"])] == [Unreadable]
        assert list(ask.predict_many([])) == []
        assert not through.requests

    def test_large_pictures_go_in_requests_of_their_own(self, connect: Connect) -> None:
        script = Script(*[httpx2.Response(413, json={"title": "Body too large"}) for _ in range(2)])
        answers = list(connect(script).predict_many([bytes(5 * 1024 * 1024)] * 2))
        assert [answer.status for answer in answers] == [413, 413]
        assert all(len(body) < 6 * 1024 * 1024 for body in script.bodies)

    @pytest.mark.parametrize("chunk", [1, 64])
    @pytest.mark.parametrize("options", [{"model": "nope"}, {"top": 0}], ids=str)
    def test_what_concerns_the_whole_call_is_raised(self, ask: Any, chunk: int, options: Any) -> None:
        with pytest.raises(Problem):
            list(ask.predict_many([SEVEN, SEVEN], chunk=chunk, **options))

    def test_a_failure_of_the_server_is_raised(self, connect: Connect, start: Start) -> None:
        ask = connect(Through(start(Failing())))
        with pytest.raises(Problem) as refused:
            list(ask.predict_many([picture(1), picture(666)]))
        assert refused.value.status == 500
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize("one", ["seven.png", b"abc", SEVEN], ids=["text", "bytes", "path"])
    def test_one_picture_is_not_many(self, ask: Any, one: Any) -> None:
        with pytest.raises(TypeError, match="predict"):
            list(ask.predict_many(one))

    def test_pictures_are_read_when_their_turn_has_come(self, connect: Connect, start: Start) -> None:
        taken = []

        def pictures() -> Any:
            for number in range(100):
                taken.append(number)
                yield picture(number)

        many = connect(Through(start(Reader()))).predict_many(pictures(), chunk=4)
        assert next(many).class_id == 0
        assert len(taken) <= 5


class TestOthers:
    def test_models(self, ask: Any) -> None:
        (model,) = [each for each in ask.models() if each.state == "serving"]
        assert (model.name, model.labels, model.engine) == ("mnist", tuple("0123456789"), "openvino")
        assert model.accuracy["test"] >= 0.994

    def test_ready(self, ask: Any, connect: Connect, start: Start, tmp_path: Path) -> None:
        assert ask.ready() is True
        empty = Through(start(models=tmp_path))
        assert connect(empty).ready() is False
        assert len(empty.requests) == 1, "red is an answer, not a reason to ask again"


class TestStrangers:
    """Something else than Convolve answers."""

    @pytest.mark.parametrize(
        "body", [b"<html>", b"[]", b'{"model": "x"}', b'{"models": [{}]}', b'{"models": 3}', b"\xff", b"null"]
    )
    def test_an_answer_of_another_kind(self, connect: Connect, body: bytes) -> None:
        with pytest.raises(BadAnswer, match="not as Convolve"):
            connect(Script(httpx2.Response(200, content=body))).models()

    def test_fewer_answers_than_pictures(self, connect: Connect) -> None:
        answer = {"model": "mnist", "version": 1, "predictions": []}
        with pytest.raises(BadAnswer, match="0 answers to 2"):
            list(connect(Script(httpx2.Response(200, json=answer))).predict_many([SEVEN, SEVEN]))

    @pytest.mark.parametrize("content", [b"<html>Bad Gateway", b"[1]", b"{}", b'{"title": null}'])
    def test_a_refusal_in_a_foreign_form(self, connect: Connect, content: bytes) -> None:
        with pytest.raises(Problem, match="502 Bad Gateway") as refused:
            connect(Script(httpx2.Response(502, content=content))).models()
        assert (refused.value.status, refused.value.kind) == (502, "")

    def test_a_redirection_is_not_followed(self, connect: Connect) -> None:
        script = Script(httpx2.Response(307, headers={"location": "http://elsewhere/"}))
        with pytest.raises(Problem, match="307"):
            connect(script).models()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://[::1", "x"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"not .*URL"):
        Client(url)


@pytest.mark.parametrize("value", ["a\nb", "ключ"])
def test_what_is_no_header(value: str) -> None:
    for name in ("token", "canary_key"):
        with pytest.raises(ValueError, match=f"the {name} has signs that no header takes"):
            Client(**{name: value})
    with Client() as client, pytest.raises(ValueError, match="the request_id has signs"):
        client.predict(b"x", request_id=value)


def test_a_chunk_is_one_picture_at_least() -> None:
    with Client() as client, pytest.raises(ValueError, match="at least 1, found 0"):
        next(client.predict_many([b"x"], chunk=0))


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_URL", "http://127.0.0.1:1")
    with Client() as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        client.ready()


def test_a_server_below_a_path(connect: Connect) -> None:
    script = Script(httpx2.Response(200, json={"models": []}))
    with Client("https://example.test/convolve", transport=script) as client:
        assert client.models() == ()
    assert str(script.requests[0].url) == "https://example.test/convolve/models"


@pytest.mark.parametrize("content", [b"<html>Who are you?</html>", b"{}", b"[" * 100_000])
def test_a_page_in_between_is_no_good_answer(content: bytes) -> None:
    script = Script(*(httpx2.Response(200, content=content) for _ in range(2)))
    with Client("https://example.test", transport=script, token="x" * 16) as client:
        with pytest.raises(BadAnswer):
            client.ready()
        with pytest.raises(BadAnswer):
            client.feedback("a request", "7")


@pytest.mark.parametrize(
    "outcome", [httpx2.ReadTimeout, httpx2.Response(200, content=b"x"), httpx2.Response(502)], ids=str
)
def test_a_password_in_the_address_is_not_told(outcome: Any) -> None:
    with (
        Client("https://someone:secret@example.test", transport=Script(outcome)) as client,
        pytest.raises(ConvolveError, match=r"https://example\.test/models") as failed,
    ):
        client.models()
    assert "secret" not in str(failed.value)


def test_over_a_real_socket() -> None:
    with serving("--workers", "1") as server, Client(server.address) as client:
        assert client.ready()
        assert client.predict(SEVEN).label == "7"
        found = [answer.label for answer in client.predict_many([EXAMPLES / f"{n % 10}.png" for n in range(150)])]
        assert found == [str(n % 10) for n in range(150)]


def test_a_full_queue_is_waited_for(connect: Connect, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real refusal of the real service, and the pause that it asks for."""
    submit, refusals = Batcher.submit, iter([QueueFull("full", retry_after_s=7), QueueFull("full", retry_after_s=3)])

    def full_at_first(batcher: Batcher, pixels: Any) -> Any:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        return submit(batcher, pixels)

    monkeypatch.setattr(Batcher, "submit", full_at_first)
    through = Through(start(Reader()))
    assert connect(through, attempts=3, pause_s=1).predict(picture(4)).class_id == 4
    assert through.pauses == [8, 5]
