"""One process on the socket: uvicorn, with an even share of the callers and an end that loses nobody."""

import asyncio
import copy
import ctypes
import errno
import logging
import socket
import struct
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade
from starlette.types import Scope
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service import problems
from service.board import Board
from service.settings import Settings
from service.whole import WHOLE

logger = logging.getLogger(__name__)

PATIENCE_S = 0.02
"""Seconds for which a worker with more callers than another leaves new ones to the other, which may be in the middle of
a batch, or without a core. Then, for as long again, it takes them all the same."""
GLANCE_S = 0.001
"""Seconds between two looks at whether it still has more; the loop knows no shorter ones."""
SO_ATTACH_FILTER = 26
"""Linux's name for it; Python has none."""
HANDSHAKE_S = 0.01
"""Seconds in which a connection that had begun is made."""
BREATH_S = 1.0
"""Seconds until the next look at the door, when there is no room for another caller in this process."""
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
MAX_HEAD = 64 * 1024
"""Bytes of a request before its body, and behind it, at most; counted from the second piece that arrives."""
KEEP_ALIVE_S = 75
"""Seconds that a caller may be silent between two requests. Who asks again in the very moment in which we hang up loses
the request: uvicorn's 5 s meet whoever asks every 5 s, while 75 s outlast the minute of most proxies and pools."""
GRACE_S = 0.2
"""Seconds in which a caller who was accepted just before the port closed can send the request."""
HASTE_S = 1.0
"""Seconds for the application to end in order where somebody has asked twice; uvicorn would give it none."""


class Server(uvicorn.Server):
    """uvicorn's server, with a listener of our own.

    Workers that share a socket usually take what they can get, so that one of them may end up with all callers. Here
    each takes them only while no other has fewer.

    Args:
        config: See `configure`.
        listener: Bound, and shared with the other workers.
        board: Where the workers tell each other how many callers they have.
        head_s: Seconds in which a caller must have sent what stands before a request's body.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, board: Board, head_s: float) -> None:
        super().__init__(config)
        self.listener = listener
        self.board = board
        self.head_s = head_s
        self.shut = False  # whether nobody new comes in any more
        self.until = 0.0  # when this wait for another worker ends
        self.arriving: dict[asyncio.Task[Any], asyncio.Protocol] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.listener.setblocking(False)
        self.listener.listen(self.config.backlog)
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.listener, self.accept)

    def accept(self) -> None:
        """Take callers until a worker has fewer, and leave the next to that one, for a moment."""
        if self.crowded():
            now = self.loop.time()
            if now > self.until + PATIENCE_S:
                self.until = now + PATIENCE_S
            if now < self.until:
                self.loop.remove_reader(self.listener)
                self.loop.call_later(GLANCE_S, self.resume)
                return
        else:
            self.until = 0.0
        # All that wait, if need be: a turn of the loop takes as long as a batch, and a crowd may come at once.
        while self.take() and not self.crowded():
            pass

    def crowded(self) -> bool:
        """Whether another worker has fewer callers; the others are told how many are here."""
        here = self.server_state.connections
        # Who has just come in is one of both for a turn of the loop.
        return self.board.publish(len(here) + sum(each not in here for each in self.arriving.values()))

    def lose(self) -> None:
        """A caller has left. The others are told at once: whoever comes next goes where fewer are."""
        if not self.shut:
            self.crowded()

    def take(self) -> bool:
        """Take one caller, if one is there."""
        try:
            caller, _ = self.listener.accept()
        except OSError as error:  # another worker was quicker, or the caller has left
            if error.errno in NO_ROOM:
                logger.error("nobody new comes in for %g s: %s", BREATH_S, error.strerror)
                self.loop.remove_reader(self.listener)
                self.loop.call_later(BREATH_S, self.resume)
            return False
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = self.protocol()
        arrival = self.loop.create_task(self.loop.connect_accepted_socket(lambda: protocol, caller))
        self.arriving[arrival] = protocol
        arrival.add_done_callback(self.arriving.pop)
        return True

    def resume(self) -> None:
        if not self.should_exit:
            self.loop.add_reader(self.listener, self.accept)

    def protocol(self) -> asyncio.Protocol:
        """What answers one caller."""
        return Protocol(self.config, self.server_state, self.lifespan.state, self.loop, self.head_s, self.lose)

    async def on_tick(self, counter: int) -> bool:
        self.crowded()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop.remove_reader(self.listener)
        if self.config.workers == 1:  # several share it, and one of them may only be replaced
            turn_away(self.listener)
            await asyncio.sleep(HANDSHAKE_S)
        while self.take():  # whoever waits at the door comes in before it closes
            pass
        self.listener.close()
        self.shut = True
        self.board.shut()
        await asyncio.sleep(GRACE_S)
        await super().shutdown(sockets=[])
        if self.force_exit:
            with suppress(TimeoutError):
                async with asyncio.timeout(HASTE_S):
                    await self.lifespan.shutdown()


def turn_away(listener: socket.socket) -> None:
    """Let nobody new come to a port that is about to close, while whoever is on the way still arrives.

    Who is at the door when it closes is reset, and may have sent a request already. On Linux, a filter drops the first
    packet of each new connection: the caller's system sends it once more, and then the port is closed.
    """
    if sys.platform != "linux":
        return
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x30, 0, 0, 13),  # the flags of the TCP header …
            (0x54, 0, 0, 0x12),  # … of them SYN and ACK …
            (0x15, 0, 1, 0x02),  # … if that is SYN alone:
            (0x06, 0, 0, 0),  # nothing of this packet,
            (0x06, 0, 0, 0xFFFF),  # else all of it
        )
    )
    instructions = ctypes.create_string_buffer(program)
    with suppress(OSError):  # where that is forbidden, the door closes a little less gently
        listener.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
        )


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
        if self.asked:  # the door counts it, as one whose caller has left
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


def configure(settings: Settings, board: Board) -> uvicorn.Config:
    """The settings in uvicorn's words, and what the workers share."""
    return uvicorn.Config(
        partial(create, settings, board),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,  # the metrics count every request; a line for each would cost a tenth of the speed
        server_header=False,
        proxy_headers=False,  # nothing here depends on who the caller is
        log_level=settings.log_level,
        log_config=logs(settings.log_level),
        timeout_graceful_shutdown=settings.stop_s,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


def logs(level: str) -> dict[str, Any]:
    """The form of uvicorn's log lines, for ours as well."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["service"] = {"handlers": ["default"], "level": level.upper(), "propagate": False}
    config["loggers"]["python_multipart"] = {"level": "CRITICAL"}  # a form that is malformed is its caller's matter
    return config


def create(settings: Settings, board: Board) -> object:
    """The application."""
    from service.app import create_app

    return create_app(settings, board)
