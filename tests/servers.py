"""The service in processes of its own, as its users run it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60


class Server:
    """`python -m service` on a free port, perhaps by way of a command that starts it."""

    def __init__(self, *flags: str, environment: dict[str, str] | None = None, by: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
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


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
