"""Real processes on a real socket: workers that count together, are replaced, and go down without losing an answer."""

import asyncio
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.lifespan.off import LifespanOff
from uvicorn.supervisors import multiprocess

from service import engines
from service import server as servers
from service.board import GONE, Board
from service.manifest import Manifest
from service.settings import Settings
from service.workers import PREFIX, SHARED_MEMORY, Manager
from tests.servers import PATIENCE_S, Server, serving
from tests.service.conftest import ROOT, SEVEN, png


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


class Fake:
    """A worker process that has ended."""

    exitcode = 3

    def __init__(self) -> None:
        self.process = self

    def is_alive(self, timeout: float = 0) -> bool:
        return False

    def kill(self) -> None: ...
    def join(self) -> None: ...


@pytest.mark.parametrize("up", [False, True], ids=["at the start", "later"])
def test_one_worker_that_can_not_be_started_now_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, up: bool
) -> None:
    def no_room(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", lambda *_: None)
        manager = Manager(Board(), 1.0, uvicorn.Config("nothing", workers=1), [])
    manager.up = up
    dead: Any = Fake()
    manager.processes = [dead]
    monkeypatch.setattr(multiprocess, "Process", no_room)
    manager.keep_subprocess_alive()
    assert manager.should_exit.is_set() == (not up)
    assert manager.processes == [dead]
    monkeypatch.setattr(multiprocess, "Process", lambda *_: fresh)
    fresh: Any = Fake()
    fresh.start = lambda: None
    if up:
        manager.keep_subprocess_alive()
        assert manager.processes == [fresh]


@pytest.mark.verify  # it takes as long as a worker has to end
def test_a_worker_that_stands_still_does_not_keep_the_others_from_ending() -> None:
    with serving("--workers", "2", "--drain-s", "0", "--stop-s", "1") as server:
        os.kill(max(server.workers()), signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


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
    with serving("--workers", "2") as server:
        workers = server.workers()
        held = (os.readlink(file) for file in Path(f"/proc/{max(workers)}/fd").iterdir())
        left = next(Path(path).parent for path in held if path.startswith(f"{SHARED_MEMORY}/{PREFIX}"))
        with serving("--workers", "2"):
            assert left.is_dir()  # somebody counts in it
        server.process.kill()
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            time.sleep(0.02)
    with serving("--workers", "2"):
        assert not left.exists()


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
    again = Server("--port", str(two.port), "--workers", "1")
    said = again.last_words()
    assert again.process.returncode
    assert "Address already in use" in said


def test_port_0_is_a_free_one_which_is_told() -> None:
    server = Server("--port", "0", "--workers", "1")
    try:
        assert server.process.stdout is not None
        found = (re.search(rb"http://127\.0\.0\.1:(\d+)", line) for line in server.process.stdout)
        server.port = int(next(filter(None, found))[1])
        server.wait_until(ready=True)
    finally:
        server.kill()
        server.process.communicate()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_fails_is_told_by_the_exit_status(workers: str, tmp_path: Path) -> None:
    (tmp_path / ".claims").write_text("where the workers' folder would be")
    failed = Server("--workers", workers, "--feedback", str(tmp_path))
    said = failed.last_words()
    assert failed.process.returncode == 3
    assert str(tmp_path) in said


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
