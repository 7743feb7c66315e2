"""Asks beside the load, and checks each answer: status, shape and class."""

import http.client
import threading
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.bodies import LENGTH, Request, probabilities

PAUSE_S = 0.05
"""Seconds between two questions, at least."""
SHARE = 4
"""And as many times as long as the last took: a fifth of one caller."""
TIMEOUT_S = 20


class WrongAnswer(Exception):
    """An answer is not what the network says. A run with one has no figures."""


class Caller:
    """One connection that stays."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def ask(self, request: Request) -> None:
        """Send one request, and check the answer.

        Raises:
            WrongAnswer: Says what is wrong.
            OSError, http.client.HTTPException: Nobody answers.
        """
        if self.connection.sock is None:
            self.connection.connect()
        self.connection.sock.sendall(request.data)
        response = http.client.HTTPResponse(self.connection.sock, method="POST")
        response.begin()
        answer = response.read()
        if response.will_close:
            self.connection.close()
        check(request, response.status, answer, response.getheader(LENGTH))

    def close(self) -> None:
        self.connection.close()


def check(request: Request, status: int, answer: bytes, header_length: str | None = None) -> None:
    """Compare an answer with what the network says.

    Raises:
        WrongAnswer: Another status, shape or class.
    """
    if status != 200:
        raise WrongAnswer(f"status {status}: {answer[:200]!r}")
    try:
        rows = probabilities(answer, header_length)
    except (ValueError, KeyError, TypeError) as error:
        raise WrongAnswer(f"no probabilities ({error!r}): {answer[:200]!r}") from error
    if rows.shape != (len(request.classes), 10) or not np.allclose(rows.sum(axis=1), 1, atol=0.01):
        raise WrongAnswer(f"{rows.shape} probabilities for {len(request.classes)} pictures: {answer[:200]!r}")
    if (found := rows.argmax(axis=1).tolist()) != request.classes:
        raise WrongAnswer(f"classes {found[:8]} instead of {request.classes[:8]}")


class Sampler:
    """A caller on a thread, for as long as a run lasts: `with Sampler(port, requests) as sampler`.

    After it, `checked` is the number of right answers. Leaving the block raises what was wrong.
    """

    def __init__(self, port: int, requests: Sequence[Request]) -> None:
        self.caller = Caller(port)
        self.requests = requests
        self.checked = 0
        self.error: Exception | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Sampler":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.caller.close()
        if self.error is not None and kind is None:
            raise self.error

    def run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            try:
                self.caller.ask(self.requests[self.checked % len(self.requests)])
            except Exception as error:  # raised to whoever asked for the run
                self.error = error
                return
            self.checked += 1
            self.over.wait(max(PAUSE_S, SHARE * (time.monotonic() - began)))
