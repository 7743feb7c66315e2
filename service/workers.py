"""Settings → running processes: one worker for each core, under uvicorn's process manager."""

import ctypes
import fcntl
import functools
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from pathlib import Path

import uvicorn
from pydantic import BaseModel, ConfigDict
from uvicorn._subprocess import subprocess_started
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from service.board import Board, claim
from service.server import Server, configure
from service.settings import Settings

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""Linux's name for it; Python has none."""
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells the metrics' library where the workers count together."""
PREFIX = "convolve-"
"""Of that folder's name."""
HELD = "held.lock"
"""The file in it that is locked as long as somebody counts there."""
UNNEEDED = ("openvino.tools.ovc", "pydantic.v1")
"""What OpenVINO and FastAPI import if it is there: a converter that brings telemetry along, and another Pydantic. They
take a tenth of the start, and nothing here needs them."""
LATER = ConfigDict(defer_build=True)
"""For Pydantic: forms are made ready when they are first used. FastAPI alone has sixty, for the OpenAPI document."""
SLACK_S = 10.0
"""Seconds more than draining and stopping take, after which a worker that has not ended is killed."""
GLANCE_S = 0.2
"""Seconds between two looks at whether the workers have ended, or somebody is tired of waiting for that."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - preferred, as it is there even where the file system is read-only


def serve(settings: Settings) -> None:
    """Answer requests until a signal comes.

    Raises:
        SystemExit: The start failed; the log says why.
    """
    board = Board()
    config = configure(settings, board)
    listener = config.bind_socket()
    if settings.grpc_port is not None:
        check_port(settings.host, settings.grpc_port)
    if settings.feedback is not None:
        check_folder(settings.feedback)
    if settings.processes == 1:
        with suppress(KeyboardInterrupt):  # raised again by uvicorn when it has ended in order
            load()
            Server(config, listener, board, settings.body_s).run()
        return
    with counting_together():
        # uvicorn's manager has no argument for the kind of worker.
        multiprocess.Process = functools.partial(Worker, board, settings.body_s)  # type: ignore[misc, assignment]
        load()  # once, here: the workers are forked, and share it
        manager = Manager(board, settings.drain_s + settings.stop_s + SLACK_S, config, sockets=[listener])
        manager.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in manager.processes):
        sys.exit(STARTUP_FAILURE)


def load() -> None:
    """Import all that answers, and have OpenVINO load its parts meanwhile."""
    for name in UNNEEDED:
        sys.modules[name] = None  # type: ignore[assignment] # so that it is not found
    BaseModel.model_config = LATER
    from service.engines import kernels

    loading = threading.Thread(target=kernels.load)
    loading.start()
    import uvloop  # noqa: F401

    import service.app  # noqa: F401

    loading.join()
    gc.freeze()
    gc.enable()  # it has rested since the first line of __main__


def check_port(host: str, port: int) -> None:
    """See that gRPC can listen there: its library says so in a traceback of each worker only.

    Raises:
        SystemExit: It can not; the log says why.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # and not REUSEPORT, as another server has
        try:
            probe.bind((host, port))
        except OSError as error:
            logger.error("gRPC can not listen on %s, port %d: %s", host, port, error.strerror)
            sys.exit(1)


def check_folder(folder: Path) -> None:
    """See that pictures can be kept there.

    Raises:
        SystemExit: They can not; the log says why.
    """
    try:
        from service.feedback import CLAIMS

        (folder / CLAIMS).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        logger.error("pictures can not be kept in %s: %s", folder, error.strerror)
        sys.exit(STARTUP_FAILURE)


@contextmanager
def counting_together() -> Iterator[None]:
    """A folder for the metrics of all workers, gone afterwards."""
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    sweep(place)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as folder, (Path(folder) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held by the workers as well, as long as one of them lives
        Path(lock.name).rename(Path(folder) / HELD)
        os.environ[FOLDER] = folder
        yield


def sweep(place: Path) -> None:
    """Remove such folders of ours that nobody holds any more: those of servers that were killed."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
                with (folder / HELD).open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)


class Worker(multiprocess.Process):
    """A forked process: what the manager has imported is there at once, and in memory only once."""

    def __init__(self, board: Board, head_s: float, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self.board = board
        self.head_s = head_s
        self.config = config
        (self.listener,) = sockets
        self.manager = os.getpid()
        self.parent_conn, self.child_conn = Pipe()
        self.process = multiprocessing.get_context("fork").Process(  # type: ignore[assignment]
            target=subprocess_started,
            kwargs={"config": config, "target": self.target, "sockets": sockets, "stdin_fileno": None},
        )

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        # The manager's handlers were forked along, and would swallow a signal that comes before uvicorn sets its own.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        follow(self.manager)
        folder = Path(os.environ[FOLDER])
        slot, lock = claim(folder)
        with lock:
            from service.tally import count_in, forget_gauges

            count_in(folder, slot)
            self.board.take(slot)
            for dead in self.board.bury(folder):
                forget_gauges(folder, dead)
            self._server = Server(self.config, self.listener, self.board, self.head_s)
            super().target(sockets)


def follow(manager: int) -> None:
    """End when the manager does, however it ends: nobody would replace this worker, and the port would stay taken."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != manager:
            os.kill(os.getpid(), signal.SIGTERM)


class Manager(multiprocess.Multiprocess):
    """uvicorn's manager: starts the workers, asks them for a sign of life, replaces the dead, passes signals on.

    Args:
        board: What the workers share.
        patience_s: Seconds that a worker has to end; then it is killed.
        config: uvicorn's.
        sockets: The one that all of them listen on.
    """

    def __init__(self, board: Board, patience_s: float, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.board = board
        self.patience_s = patience_s
        self.up = False  # whether a worker has ever been ready

    def keep_subprocess_alive(self) -> None:
        """Replace the dead. Once one has been up, who can not be started now is tried again: the others answer."""
        self.up = self.up or any(worker.process.is_alive() and worker.is_ready(timeout=1) for worker in self.processes)
        for index, worker in enumerate(self.processes):
            if self.signal_queue or self.should_exit.is_set():
                return
            if worker.is_alive(self.config.timeout_worker_healthcheck):
                continue
            worker.kill()  # it may hang
            worker.join()
            if worker.exitcode == STARTUP_FAILURE and not self.up:
                self.should_exit.set()
                return
            self.processes[index] = self.fork() or worker

    def restart_all(self) -> None:
        """Replace the workers one by one, as long as nobody asks for anything else."""
        for index, old in enumerate(self.processes):
            new = None if self.signal_queue else self.fork()
            if new is None:
                return
            if not new.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                new.kill()
                new.join()
                logger.error("a new worker was not ready in time: the others stay")
                return
            self.processes[index] = new
            old.terminate()
            self.wait_for([old])

    def fork(self) -> multiprocess.Process | None:
        """Another worker; None where there is no room for one now."""
        try:
            worker = multiprocess.Process(self.config, self.sockets)
            worker.start()
        except OSError as error:
            logger.error("no worker can be started now: %s", error.strerror)
            return None
        return worker

    def terminate_all(self) -> None:
        self.board.end()
        # The workers close the port when they have drained. Were it still open here, callers would queue up in vain.
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        while self.wait_for(self.processes):  # whoever asks again wants it at once, and so the workers are asked again
            self.signal_queue.clear()
            self.board.end()
            super().terminate_all()

    def wait_for(self, workers: Sequence[multiprocess.Process]) -> bool:
        """Wait until these have ended, and kill those who have not in time.

        Returns:
            Whether a signal came before.
        """
        end = time.monotonic() + self.patience_s
        while waiting := [worker for worker in workers if worker.process.is_alive()]:
            if self.signal_queue:
                return True
            waiting[0].process.join(GLANCE_S)
            if time.monotonic() > end:
                logger.error("workers that do not end are killed: %s", [worker.pid for worker in waiting])
                for worker in waiting:
                    worker.process.kill()
        return False
