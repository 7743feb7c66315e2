"""What callers send over a real socket, and how: whole, in pieces, broken off, too much of it, or nothing."""

import json
import os
import re
import select
import signal
import socket
import time
from contextlib import ExitStack, closing
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, parse_headers
from typing import BinaryIO

import pytest

from tests.servers import PATIENCE_S, Server, serving
from tests.service.conftest import SEVEN, png
from training import strokes


def test_head_says_what_get_would_without_the_body(two: Server) -> None:
    with closing(HTTPConnection("127.0.0.1", two.port, timeout=PATIENCE_S)) as caller:
        for path in ("/health/ready", "/", "/v2/health/live"):
            caller.request("GET", path)
            got = caller.getresponse()
            length = len(got.read())
            caller.request("HEAD", path)
            answer = caller.getresponse()
            assert (answer.status, answer.headers["content-length"]) == (200, str(length))
            assert answer.read() == b""


def answer_of(caller: BinaryIO) -> tuple[bytes, dict[str, str], bytes]:
    """The next answer on a connection: its first line, headers and body."""
    line, headers = caller.readline(), dict(parse_headers(caller))
    return line, headers, caller.read(int(headers["content-length"]))


def test_an_answer_in_one_piece_is_the_one_of_asgis_two_messages(two: Server) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Request-ID: n\r\nContent-Length: %d\r\n%b\r\n%b"
    with ExitStack() as stack:
        both = []
        for more in (b"", b"Connection: close\r\n"):  # who ends here is answered the usual way
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S))
            caller.sendall(request % (len(SEVEN), more, SEVEN))
            both.append(answer_of(stack.enter_context(caller.makefile("rb"))))
    for line, headers, content in both:
        assert line == b"HTTP/1.1 200 OK\r\n"
        assert [each for each in headers if each != "connection"] == [
            *("date", "content-type", "content-length", "x-request-id")
        ]
        assert (headers["content-type"], headers["x-request-id"]) == ("application/json", "n")
        assert parsedate_to_datetime(headers["date"]).tzinfo is not None
        assert content == both[0][2]
    assert "connection" not in both[0][1]
    assert both[1][1]["connection"] == "close"


def test_who_sends_several_requests_at_once_is_answered_in_their_order(two: Server) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Request-ID: n%d\r\nContent-Length: %d\r\n\r\n%b"
    files = [png(pixels) for pixels in strokes.golden((28, 28, 1))]
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller, caller.makefile("rb") as file:
        caller.sendall(b"".join(request % (index, len(each), each) for index, each in enumerate(files)))
        for index in range(len(files)):
            _, headers, content = answer_of(file)
            assert headers["x-request-id"] == f"n{index}"
            assert json.loads(content)["predictions"][0]["class_id"] == index


def test_a_slow_body_is_answered_408_and_harms_nobody() -> None:
    with (
        serving("--workers", "1", "--body-s", "0.3") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as slow,
    ):
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        assert server.ask("POST", "/predict", SEVEN)[0] == 200
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_body_that_trickles_in_is_not_waited_for_for_ever() -> None:
    with (
        serving("--workers", "1", "--body-s", "0.5") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as slow,
    ):
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            if select.select([slow], [], [], 0.1)[0]:
                break
            slow.sendall(b"x")
        else:
            raise AssertionError("nobody minds")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with serving("--workers", "1", "--body-s", "0.3") as server, ExitStack() as stack:
        silent, half = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S))
            for _ in range(2)
        )
        half.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert server.ask("POST", "/predict", SEVEN)[0] == 200
        assert silent.recv(4096) == b""
        assert half.recv(4096).startswith(b"HTTP/1.1 408 Request Timeout")
        assert half.recv(4096) == b""


def test_a_second_head_that_does_not_come_is_not_waited_for_either() -> None:
    with (
        serving("--workers", "1", "--body-s", "0.3") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert caller.recv(4096).startswith(b"HTTP/1.1 200")
        caller.sendall(b"GET /health/live HTTP/1.1\r\nHost")
        assert caller.recv(4096).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("line", [b"X-Long: " + b"a" * 4_000_000, b"X-Many: a\r\n" * 400_000], ids=["long", "many"])
def test_a_head_without_end_is_refused(two: Server, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        caller.sendall(line)
        assert caller.recv(4096).startswith(b"HTTP/1.1 431")
    assert two.ask("GET", "/health/live")[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"hello\r\n\r\n",
    ],
    ids=["length", "path", "no request"],
)
def test_what_is_no_http_is_refused_with_problem_details(two: Server, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(head)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


def test_who_speaks_1_0_is_not_told_to_continue(two: Server) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"POST /predict HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
        assert caller.recv(4096).startswith(b"HTTP/1.1 415 ")


def test_trailers_without_end_are_refused_too(two: Server) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        while not select.select([caller], [], [], 0.05)[0]:
            caller.sendall(b"a:b\r\n" * 8_000)
        assert caller.recv(4096).startswith(b"HTTP/1.1 431")


def test_who_broke_off_a_body_and_stays_is_no_failure_of_ours() -> None:
    with (
        serving("--workers", "1", "--body-s", "0.5") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
        assert server.ask("GET", "/health/live")[0] == 200
        caller.sendall(b"ZZ\r\n")
        assert caller.recv(65_536).startswith(b"HTTP/1.1 400")
        assert b"".join(iter(lambda: caller.recv(4096), b"")) == b""
        assert server.metric("convolve_requests_total", 'status="400"') == 1
        server.process.send_signal(signal.SIGINT)
        assert "Traceback" not in server.last_words()


def test_trailers_are_none_of_the_requests_headers(two: Server) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        chunk = b"%x\r\n%b\r\n" % (len(SEVEN), SEVEN)
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        caller.sendall(head + chunk + b"0\r\nX-Request-ID: behind\r\nContent-Encoding: nonsense\r\n\r\n")
        answer = caller.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"behind" not in answer


@pytest.mark.parametrize("path", [b"/predict", b"/nowhere"])
def test_a_body_in_broken_chunks_is_refused_at_once(two: Server, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nmany\r\n" % path)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_that_breaks_off_behind_other_calls_is_refused_in_its_turn(two: Server) -> None:
    whole = b"POST /predict?top=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(SEVEN), SEVEN)
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(whole * 2 + b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n")
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert re.findall(rb"HTTP/1.1 ([0-9]+) ", answer) == [b"200", b"200", b"400"]


@pytest.mark.parametrize("between", [0.0, 0.05], ids=["at once", "in pieces"])
@pytest.mark.parametrize("chunked", [False, True])
def test_who_would_like_another_protocol_is_answered_in_this_one(two: Server, chunked: bool, between: float) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(SEVEN)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SEVEN), SEVEN) if chunked else SEVEN
    upgrade = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ"
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        for piece in (
            b"POST /predict?top=1 HTTP/1.1\r\n%s\r\n%s\r\n\r\n" % (upgrade, framing),
            body,
            b"GET /health/live HTTP/1.1\r\n%s\r\n\r\n" % upgrade,
            b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ):
            caller.sendall(piece)
            time.sleep(between)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert re.findall(rb"HTTP/1.1 ([0-9]+) ", answer) == [b"200", b"200", b"404"]
    assert b'"label":"7"' in answer


def test_callers_who_leave_in_the_middle_of_their_answers_are_no_news() -> None:
    whole = b"POST /predict?top=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(SEVEN), SEVEN)
    with serving("--workers", "1") as server:
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller:
                caller.sendall(whole * 3)
                time.sleep(0.005)
        assert server.ask("POST", "/predict", SEVEN)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)
        assert server.process.stdout is not None
        assert b"Traceback" not in server.process.stdout.read()


@pytest.mark.parametrize("stray", [b"\r\n", b"GET /health/li"], ids=["a line", "half a head"])
def test_who_goes_on_with_nothing_is_not_waited_for(stray: bytes) -> None:
    with (
        serving("--workers", "1", "--body-s", "0.3") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert caller.recv(4096).startswith(b"HTTP/1.1 200")
        caller.sendall(stray)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_a_body_is_not_counted_with_the_next_head() -> None:
    with (
        serving("--workers", "1") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        (worker,) = server.workers() or {server.process.pid}
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-")
        assert server.ask("GET", "/health/live")[0] == 200
        os.kill(worker, signal.SIGSTOP)
        body = b"x" * 90_000
        caller.sendall(b"Length: 90000\r\n\r\n" + body + b"GET /health/live HTTP/1.1\r\nHo")
        os.kill(worker, signal.SIGCONT)
        first = caller.recv(65_536)
        assert first.startswith(b"HTTP/1.1 415")
        caller.sendall(b"st: x\r\n\r\n")
        assert b"HTTP/1.1 200" in first + caller.recv(65_536)


def test_a_large_body_is_no_large_head(two: Server) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        body = b"x" * 1_000_000
        for _ in range(3):
            caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + body)
            assert caller.recv(65_536).startswith(b"HTTP/1.1 415")


def test_a_huge_body_is_refused_before_it_is_sent() -> None:
    with (
        serving("--workers", "1") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as huge,
    ):
        huge.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert huge.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 200000000", b"413 "),
        (b"Transfer-Encoding: chunked", b"400 "),  # what follows is no chunk
        (b"Content-Length: many", b"400 "),
    ],
)
def test_who_is_refused_while_sending_can_send_on_and_then_read_why(two: Server, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % head)
        for _ in range(100):
            caller.sendall(bytes(1_000_000))
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", [b"/predict?model=typo", b"/nowhere", b"/models/mnist/promote"])
def test_who_got_no_leave_to_send_a_body_asks_anew_elsewhere(two: Server, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        caller.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n" % path)
        answer = b"".join(iter(lambda: caller.recv(4096), b""))
    assert re.match(rb"HTTP/1.1 40[134] ", answer)
    assert b"connection: close" in answer.lower()
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        caller.sendall(head % len(SEVEN))
        assert caller.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(SEVEN + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: caller.recv(4096), b"")).count(b"HTTP/1.1 200") == 2


def test_who_is_refused_and_sends_on_for_ever_is_cut_off() -> None:
    with (
        serving("--workers", "1", "--body-s", "0.3") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        cut = False
        while not cut:
            try:
                caller.sendall(bytes(100_000))
            except ConnectionError:
                cut = True
        assert server.metric("convolve_requests_in_flight") == 1  # the one that asks
