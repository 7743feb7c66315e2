"""Settings → running processes: uvicorn, alone or with its process manager over several workers."""

import copy
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from service.settings import Settings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - preferred, as it is there even where the file system is read-only


def serve(settings: Settings) -> None:
    """Answer requests until a signal comes."""
    config = configure(settings)
    if settings.processes == 1:
        uvicorn.Server(config).run()
        return
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="convolve-", dir=place) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # inherited by the workers: they count together
        Multiprocess(config, sockets=[config.bind_socket()]).run()


def configure(settings: Settings) -> uvicorn.Config:
    """The settings in uvicorn's words."""
    return uvicorn.Config(
        partial(create, settings),
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
        log_level=settings.log_level,
        log_config=logs(settings.log_level),
        timeout_graceful_shutdown=settings.stop_s,
    )


def logs(level: str) -> dict[str, Any]:
    """The form of uvicorn's log lines, for ours as well."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["service"] = {"handlers": ["default"], "level": level.upper(), "propagate": False}
    return config


def create(settings: Settings) -> object:
    """The application; imported here and not above, so that the process that only watches the workers stays small."""
    from service.app import create_app

    return create_app(settings)
