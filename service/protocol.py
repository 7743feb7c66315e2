"""One caller's connection: uvicorn's protocol, with limits of our own, and answers that leave in one piece."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service import problems
from service.whole import WHOLE

MAX_HEAD = 64 * 1024
"""Bytes of a request before its body, and behind it, at most; counted from the second piece that arrives."""


class Protocol(HttpToolsProtocol):
    """uvicorn's, but the head and the body of an answer leave together, which is one system call here, and wakes the
    caller once. Who sends a head without end, or none, has to go. Who is refused while still sending gets to read why.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
        loop: AbstractEventLoop,
        head_s: float,
        lose: Callable[[], None],
    ) -> None:
        super().__init__(config, state, app_state, loop)
        self.head_s = head_s
        self.lose = lose
        self.loose = 0  # bytes since a head last began or ended, or some of a body came
        self.goes_on = False  # whether one of these has happened in the piece at hand
        self.in_head = False
        self.passing = False  # whether what is parsed is a head that stands for one which was answered already
        self.patience: asyncio.TimerHandle | None = None
        self.refused = False
        self.lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Cork(transport, self.loop, self.linger))  # type: ignore[arg-type]
        self.patience = self.loop.call_later(self.head_s, self.give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self.relax()
        if self.lingering is not None:
            self.lingering.cancel()
        super().connection_lost(exc)
        self.lose()

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        if self.lingering is not None:
            return
        self.goes_on = False
        self._unset_keepalive_if_required()
        try:
            self.parse(data)
        except HttpParserError:
            self.refuse(400, "the request is not HTTP as it should be", expected="HTTP/1.1, its head as in RFC 9112")
            return
        self.loose = 0 if self.goes_on else self.loose + len(data)
        if self.loose > MAX_HEAD:
            self.refuse(431, "the request's head is too large", expected=f"at most {MAX_HEAD:,} bytes")
        elif self.patience is None and not self.asked:
            self.patience = self.loop.call_later(self.head_s, self.give_up)

    def parse(self, data: bytes) -> None:
        """Who would like another protocol is answered in this one (RFC 9110, section 7.8).

        The parser takes what follows such a head for the other protocol. It is this request's body, though: a head that
        says no more than how long that is lets the parser go on.
        """
        left = memoryview(data)
        while left:
            try:
                self.parser.feed_data(left)
            except HttpParserUpgrade as upgrade:
                left = left[upgrade.args[0] :]
                if self.framing:
                    self.passing = True
                    self.parser.feed_data(b"POST / HTTP/1.1\r\n" + self.framing + b"\r\n")
                    self.passing = False
            else:
                return

    @property
    def framing(self) -> bytes:
        """The headers that say how long the body is; none where there is none."""
        names = (b"content-length", b"transfer-encoding")
        return lines(header for header in self.headers if header[0] in names)

    def whole(self, scope: Scope, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer at once; see `whole.py`.

        Not where a connection ends with its answer, has no room for it, is gone, or has another request's turn.
        """
        cycle = self.cycle
        ends = cycle.disconnected or not cycle.keep_alive
        if cycle.scope is not scope or cycle.response_started or ends or self.flow.write_paused:
            return False
        cycle.response_started = cycle.response_complete = True
        head = lines([*self.server_state.default_headers, *headers])
        self.transport.write(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {WHOLE: {"send": self.whole}}
        self.in_head = self.goes_on = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # else it stands behind the body, and is none of the request's (RFC 9110, section 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.goes_on = True
        self.relax()
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # which has no such answer (RFC 9110, section 10.1.1)
        if not self.passing:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not (self.parser.should_upgrade() and self.framing):  # else its body is still to come
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self.goes_on = True
        super().on_body(body)

    def relax(self) -> None:
        """Wait for no head."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def linger(self) -> bool:
        """Where the caller may still be sending: read on for as long as a body may take, and forget it.

        The system resets a connection that is closed before all of it was read, and who is still sending then may never
        get to read the answer (RFC 9112, section 9.6).

        Returns:
            Whether it does. It does so once.
        """
        answered = self.cycle is not None and self.cycle.response_complete and self.cycle.more_body
        if self.lingering is not None or not (answered or self.refused):
            return False
        self.transport.write_eof()
        self.flow.resume_reading()
        self.lingering = self.loop.call_later(self.head_s, self.transport.close)
        return True

    def give_up(self) -> None:
        """No head has arrived in time."""
        self.patience = None
        if self.in_head:
            expected = f"all of it within {self.head_s:g} s (body_s)"
            self.refuse(408, "the request's head did not arrive in time", expected=expected)
        else:
            self.transport.close()

    def refuse(self, status: int, detail: str, *, expected: str) -> None:
        """Answer a request that has not begun, or whose body breaks off, and close.

        Where others of this caller are being answered, after those: a body that breaks off has its turn then, and what
        has no whole head gets no answer.
        """
        self.relax()
        self.refused = True
        response = problems.plain(status, detail, {"connection": "close"}, expected=expected)
        if self.asked and (self.pipeline or not self.cycle.more_body):
            self.flow.pause_reading()
            self.cycle.keep_alive = False
            if self.pipeline and self.cycle.more_body:
                self.pipeline[0] = (self.cycle, response)  # type: ignore[assignment]
            return
        if self.asked:  # the door counts it
            self.cycle.scope["state"]["refused"] = status
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            self.app_state["shared"].metrics.requests.labels("unknown", status, "", "").inc()
        phrase = HTTPStatus(status).phrase.encode()
        head = lines(response.raw_headers)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase, head, bytes(response.body)))
        self.transport.close()


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class Cork:
    """A transport that gathers what is written in one turn of the loop.

    Args:
        transport: Of the connection.
        loop: Whose turns those are.
        linger: Asked when it is to close: whether that has to wait.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger: Callable[[], bool]
    ) -> None:
        self.transport = transport
        self.loop = loop
        self.linger = linger
        self.held: list[bytes] = []
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        if not self.held:
            self.loop.call_soon(self.flush)
        self.held.append(data)

    def flush(self) -> None:
        held, self.held = self.held, []
        if held and not self.transport.is_closing():  # the caller may have left in this turn
            self.transport.writelines(held)

    def close(self) -> None:
        self.flush()
        self.closed = True
        if self.transport.is_closing() or not self.linger():
            self.transport.close()

    def is_closing(self) -> bool:
        return self.closed or self.transport.is_closing()
