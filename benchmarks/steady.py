"""Open loop: requests leave at a fixed rate, whether the last is answered or not.

A closed loop hides waiting: a caller who waits sends nothing. Here each request has its time, and its latency counts
from that time, not from when it really left (the "coordinated omission" of most load generators). Run as a process of
its own: `python -m benchmarks.steady PORT FILE RATE SECONDS`.

It is one Python thread around epoll(7), good for some ten thousand requests a second with answers that fit into one
read. What it is late itself is within the latencies, and is told beside them.
"""

import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

CALLERS = 64
"""Connections; where all wait, the next request waits too, and its latency grows."""


def measure(port: int, path: Path, rate: float, seconds: float) -> dict[str, float]:
    """`send` in a process of its own, with the processor time that it took as `cpu_s`."""
    command = [sys.executable, "-m", "benchmarks.steady", str(port), str(path), str(rate), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def send(port: int, requests: list[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Send at `rate` per second, spread evenly.

    Returns:
        `rate` that was really answered, `p50_ms`, `p99_ms` and `max_ms` from the time that was due, `late_p99_ms` that
        the sender was late itself, and `refused`: answers without the status 200.
    """
    with ExitStack() as stack:
        callers = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CALLERS)]
        for caller in callers:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready = stack.enter_context(select.epoll())
        for caller in callers:
            ready.register(caller, select.EPOLLIN)
        return keep_sending(callers, ready, requests, rate, int(rate * seconds))


def keep_sending(
    callers: list[socket.socket], ready: select.epoll, requests: list[bytes], rate: float, total: int
) -> dict[str, float]:
    """`send`, over these connections, which `ready` tells of."""
    idle, due_of = deque(callers), dict.fromkeys(callers, 0.0)
    by_number = {caller.fileno(): caller for caller in callers}
    latencies: list[float] = []
    lateness: list[float] = []
    refused, count = 0, 0
    began = time.perf_counter()
    while len(latencies) < total:
        now = time.perf_counter()
        due = began + count / rate
        while count < total and due <= now and idle:
            caller = idle.popleft()
            caller.sendall(requests[count % len(requests)])
            due_of[caller] = due
            lateness.append(now - due)
            count += 1
            due = began + count / rate
        waiting = count < total and bool(idle)
        # epoll(7) waits for whole milliseconds, in which six requests can be due, select(2) for as long as is said.
        select.select([ready], [], [], max(0.0, due - time.perf_counter()) if waiting else 1)
        answered = ready.poll(0)
        now = time.perf_counter()
        for caller in (by_number[number] for number, _ in answered):
            refused += not whole(caller).startswith(b"HTTP/1.1 200")
            latencies.append(now - due_of[caller])
            idle.append(caller)
    latencies.sort()
    lateness.sort()
    return {
        "rate": total / (time.perf_counter() - began),
        "p50_ms": latencies[total // 2] * 1e3,
        "p99_ms": latencies[total * 99 // 100] * 1e3,
        "max_ms": latencies[-1] * 1e3,
        "late_p99_ms": lateness[total * 99 // 100] * 1e3,
        "refused": refused,
        "cpu_s": time.process_time(),
    }


def whole(caller: socket.socket) -> bytes:
    """One answer. Its end is where its Content-Length says."""
    answer = caller.recv(65536)
    while True:
        head, found, body = answer.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(body) >= length:
                return answer
        more = caller.recv(65536)
        if not more:
            raise ConnectionError("the server hung up")
        answer += more


def read(path: Path) -> list[bytes]:
    """The requests in a file such as wrk.lua reads."""
    data, requests = path.read_bytes(), []
    while data:
        length, _, data = data.partition(b"\n")
        requests.append(data[: int(length)])
        data = data[int(length) :]
    return requests


if __name__ == "__main__":
    _, port, path, rate, seconds = sys.argv
    gc.disable()  # a pause of ours would be taken for the server's
    json.dump(send(int(port), read(Path(path)), float(rate), float(seconds)), sys.stdout)
