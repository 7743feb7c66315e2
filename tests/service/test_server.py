"""Real processes on a real socket: workers that count together, are replaced, and go down without losing an answer."""

import asyncio
import concurrent.futures
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, parse_headers
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.lifespan.off import LifespanOff

from service import engines
from service import server as servers
from service.board import GONE, Board
from service.manifest import Manifest
from service.settings import Settings
from service.workers import PREFIX, SHARED_MEMORY
from tests.service.conftest import EXAMPLES, ROOT, png
from training import strokes

SEVEN = (EXAMPLES / "seven.png").read_bytes()
PATIENCE_S = 60


class Server:
    """`python -m service` on a free port, perhaps by way of a command that starts it."""

    def __init__(self, *flags: str, environment: dict[str, str] | None = None, by: tuple[str, ...] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [*by, sys.executable, "-m", "service", "--port", str(self.port), *flags],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_until(self, *, ready: bool) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if (self.ask("GET", "/health/ready")[0] == 200) == ready:
                    return
            except OSError:
                if not ready:
                    return
            assert self.process.poll() is None or not ready, self.output()
            time.sleep(0.02)
        raise AssertionError("the server took too long")

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a series over all its labels, or over those with this one."""
        page = self.ask("GET", "/metrics")[1].decode()
        labels = rf"{{[^}}]*{label}[^}}]*}}" if label else r"(?:{[^}]*})?"
        return sum(float(value) for value in re.findall(rf"^{name}{labels} (\S+)$", page, re.MULTILINE))

    def workers(self) -> set[int]:
        """Processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(child) for child in children}

    def kill(self) -> None:
        """Workers would end with the manager, but go on answering for a while."""
        with suppress(OSError):
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
        self.process.kill()

    def last_words(self) -> str:
        """Its output, where it ends by itself."""
        try:
            return self.process.communicate(timeout=PATIENCE_S)[0].decode()
        finally:
            self.kill()

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()


@contextmanager
def serving(*flags: str, **options: Any) -> Iterator[Server]:
    server = Server(*flags, **options)
    with ExitStack() as stack:
        stack.callback(server.process.stdout.close)  # type: ignore[union-attr]
        stack.callback(server.process.wait, PATIENCE_S)
        stack.callback(server.kill)
        server.wait_until(ready=True)
        yield server
        server.process.send_signal(signal.SIGINT)
        server.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def two() -> Iterator[Server]:
    """Two workers."""
    with serving("--workers", "2", "--precision", "f32") as server:
        yield server


def test_64_callers_with_a_thousand_pictures_each_get_their_own_answers(two: Server) -> None:
    folder = ROOT / "models" / "mnist" / "2"
    pixels = np.random.default_rng(11).integers(0, 256, (1000, 28, 28, 1), dtype=np.uint8)
    expected = engines.load("openvino", folder, Manifest.read(folder), 1).predict(pixels).probabilities

    def caller(start: int) -> None:
        connection = HTTPConnection("127.0.0.1", two.port, timeout=PATIENCE_S)
        for index in range(start, 1000, 64):
            connection.request("POST", "/predict?prepare=none", png(pixels[index]), {"x-request-id": f"n{index}"})
            response = connection.getresponse()
            (prediction,) = json.loads(response.read())["predictions"]
            assert response.headers["x-request-id"] == f"n{index}"
            np.testing.assert_allclose(prediction["probabilities"], expected[index], atol=1e-5)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(64) as callers:
        list(callers.map(caller, range(64)))


def test_a_caller_counts_once_from_the_door_to_the_end() -> None:
    async def come_and_go() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as callers:
            listener.setblocking(False)
            config = uvicorn.Config(FastAPI(), lifespan="off")
            server = servers.Server(config, listener, Board(), head_s=PATIENCE_S)
            server.loop, server.lifespan, server.servers = asyncio.get_running_loop(), LifespanOff(config), []
            for _ in range(3):
                callers.enter_context(socket.create_connection(listener.getsockname()))
                assert server.take()
            for _ in range(10):  # turns of the loop, in which they come in
                server.crowded()
                assert server.board.callers[0] == 3
                await asyncio.sleep(0)
            callers.close()
            async with asyncio.timeout(PATIENCE_S):
                while server.board.callers[0]:  # nobody looks: the last to leave has told
                    await asyncio.sleep(0)

            callers.enter_context(socket.create_connection(listener.getsockname()))
            assert server.take()
            await server.shutdown()
            assert not server.server_state.connections
            assert server.board.callers[0] == GONE  # who leaves now tells nobody to come

    asyncio.run(come_and_go())


def test_several_workers_count_together_and_a_replaced_one_goes_on_counting(two: Server) -> None:
    before = two.metric("convolve_predictions_total")
    for _ in range(20):
        assert two.ask("POST", "/predict", SEVEN)[0] == 200
    assert two.metric("convolve_predictions_total") == before + 20
    assert two.metric("convolve_model_loaded", 'model="mnist"') == 1

    old = two.workers()
    assert len(old) == 2
    os.kill(min(old), signal.SIGKILL)
    end = time.monotonic() + PATIENCE_S
    while len(two.workers() - old) < 1:
        assert time.monotonic() < end, "the dead worker was not replaced"
        time.sleep(0.05)
    two.wait_until(ready=True)
    for _ in range(20):
        assert two.ask("POST", "/predict", SEVEN)[0] == 200
    assert two.metric("convolve_predictions_total") == before + 40
    assert two.metric("convolve_requests_in_flight") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_turns_readiness_red_answers_on_and_ends_in_time(workers: str) -> None:
    answers: list[int] = []
    stop = threading.Event()
    with serving("--workers", workers, "--drain-s", "1.5", "--stop-s", "5") as server:

        def caller() -> None:
            while not stop.is_set():
                try:
                    answers.append(server.ask("POST", "/predict", SEVEN)[0])
                except ConnectionRefusedError:
                    return

        callers = [threading.Thread(target=caller) for _ in range(4)]
        for thread in callers:
            thread.start()
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(ready=False)
        status, body = server.ask("GET", "/health/ready")
        assert status == 503
        assert b"going down" in body
        assert server.ask("POST", "/predict", SEVEN)[0] == 200
        assert server.ask("GET", "/health/live")[0] == 200
        server.process.wait(PATIENCE_S)
        stop.set()
        for thread in callers:
            thread.join(PATIENCE_S)
    assert answers
    assert set(answers) == {200}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_sigterm_waits_for_nobody(workers: str) -> None:
    with serving("--workers", workers, "--drain-s", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(ready=False)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)


def test_ctrl_c_twice_ends_in_order() -> None:
    with (
        serving("--workers", "1") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhal")  # is waited for
        server.process.send_signal(signal.SIGINT)
        server.wait_until(ready=False)
        server.process.send_signal(signal.SIGINT)
        assert "Traceback" not in server.last_words()


def test_while_one_worker_is_replaced_the_server_is_ready(two: Server) -> None:
    (leaving, *_) = two.workers()
    os.kill(leaving, signal.SIGTERM)
    end = time.monotonic() + PATIENCE_S
    while leaving in two.workers() or len(two.workers()) < 2:
        assert two.ask("GET", "/health/ready")[0] == 200
        assert two.ask("POST", "/predict", SEVEN)[0] == 200
        assert time.monotonic() < end
    two.wait_until(ready=True)


@pytest.mark.parametrize("late", [False, True])
def test_a_signal_to_the_whole_group_is_one_wish(late: bool) -> None:
    with serving("--workers", "2", "--drain-s", "600") as server:
        workers, manager = server.workers(), server.process.pid
        end = time.monotonic() + PATIENCE_S
        while server.metric("convolve_model_loads_total", 'model="mnist",outcome="loaded"') < 2:  # who starts just ends
            assert time.monotonic() < end
            time.sleep(0.02)
        for process in (manager, *workers) if late else (*workers, manager):
            os.kill(process, signal.SIGTERM)
            if late and process == manager:
                server.wait_until(ready=False)
        server.wait_until(ready=False)
        time.sleep(1)  # in which the manager passes it on
        assert server.ask("POST", "/predict", SEVEN)[0] == 200
        assert len(server.workers()) == 2
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)


def test_what_a_killed_server_leaves_behind_is_removed_by_the_next() -> None:
    def there() -> set[Path]:
        return {path for path in SHARED_MEMORY.glob(f"{PREFIX}*") if path.is_dir()}

    before = there()
    with serving("--workers", "2") as server:
        (left,) = there() - before
        workers = server.workers()
        with serving("--workers", "2"):
            assert left in there()  # somebody counts in it
        server.process.kill()
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            time.sleep(0.02)
    assert left in there()
    with serving("--workers", "2"):
        assert left not in there()


def test_a_worker_that_hangs_ends_itself(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time, service.engines as engines\n"
        "load = engines.load\n"
        "def hanging(*args, **more):\n"
        "    engine = load(*args, **more)\n"
        "    predict = engine.predict\n"
        "    engine.predict = lambda pixels, **more: time.sleep(3600) if pixels[0].all() else predict(pixels, **more)\n"
        "    return engine\n"
        "engines.load = hanging\n"
    )
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with serving("--workers", "2", "--hang-s", "0.5", environment=environment) as server:
        old = server.workers()
        body = json.dumps({"image": [255] * 784}).encode()
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the kernel likes
            server.ask("POST", "/predict", body)
        end = time.monotonic() + PATIENCE_S
        while len(server.workers() - old) < 1:
            assert time.monotonic() < end, "the hanging worker was not replaced"
            time.sleep(0.05)
        assert server.ask("POST", "/predict", SEVEN)[0] == 200


def test_what_serves_brings_no_telemetry_along_and_still_collects_garbage() -> None:
    look = """
import gc, sys
import service.__main__, service.workers
imported = gc.isenabled()
gc.disable()  # as it is when it is run
service.workers.load()
print(imported, gc.isenabled(), *sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    *collects, names = found.stdout.split(maxsplit=2)
    assert collects == ["True", "True"]
    modules = names.split()
    assert {"service.app", "openvino", "uvloop"} <= set(modules)
    assert not [name for name in modules if name.startswith(("openvino_telemetry.", "pydantic.v1."))]


def test_a_port_in_use_ends_with_a_clear_line(two: Server) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "service", "--port", str(two.port), "--workers", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert again.returncode != 0
    assert "Address already in use" in again.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_fails_is_told_by_the_exit_status(workers: str, tmp_path: Path) -> None:
    (tmp_path / ".claims").write_text("where the workers' folder would be")
    failed = subprocess.run(
        [sys.executable, "-m", "service", "--port", "0", "--workers", workers, "--feedback", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert failed.returncode == 3
    assert str(tmp_path) in failed.stderr


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


def test_workers_end_with_their_manager() -> None:
    with serving("--workers", "2", "--drain-s", "0") as server:
        workers = server.workers()
        server.process.kill()
        end = time.monotonic() + PATIENCE_S
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < end, "a worker is still there"
            time.sleep(0.02)


def test_readiness_is_red_while_the_workers_of_a_killed_manager_drain() -> None:
    with serving("--workers", "2", "--drain-s", "2") as server:
        server.process.kill()
        server.wait_until(ready=False)
        assert server.ask("GET", "/health/ready")[0] == 503


def test_a_caller_may_be_silent_for_longer_than_proxies_and_pools_are() -> None:
    assert servers.configure(Settings(), Board()).timeout_keep_alive > 60


def test_a_large_body_is_no_large_head(two: Server) -> None:
    with socket.create_connection(("127.0.0.1", two.port), timeout=PATIENCE_S) as caller:
        body = b"x" * 1_000_000
        for _ in range(3):
            caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + body)
            assert caller.recv(65_536).startswith(b"HTTP/1.1 415")


def test_a_process_that_has_no_room_for_callers_says_so_and_takes_them_later() -> None:
    by = ("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")
    with serving("--workers", "1", "--log-level", "error", by=by) as server:
        callers = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) for _ in range(100)]
        assert server.process.stdout is not None
        while b"nobody new comes in" not in server.process.stdout.readline():
            pass
        for caller in callers:
            caller.close()
        assert server.ask("POST", "/predict", SEVEN)[0] == 200


def test_a_call_that_does_not_end_in_time_is_told_that_the_server_goes() -> None:
    flags = ("--workers", "1", "--drain-s", "0", "--stop-s", "1")
    with (
        serving(*flags) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        while server.metric("convolve_requests_in_flight") < 2:
            time.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        answer = caller.recv(4096)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in answer.lower()
        server.process.wait(PATIENCE_S)
        assert "Traceback" not in server.output()


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


def test_nobody_at_the_end_waits_for_who_was_refused_and_stays() -> None:
    flags = ("--workers", "1", "--drain-s", "0", "--stop-s", "600", "--body-s", "600")
    with (
        serving(*flags) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as caller,
    ):
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert caller.recv(4096).startswith(b"HTTP/1.1 413")
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)


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
