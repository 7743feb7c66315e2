"""One process on the socket: uvicorn, with an even share of the callers and an end that loses nobody."""

import asyncio
import copy
import ctypes
import errno
import logging
import socket
import struct
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from service.board import Board
from service.protocol import Protocol
from service.settings import Settings

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
