"""python -m service: flags → Settings → uvicorn."""

import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

from service.settings import PREFIX, Settings, unknown_variables

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - preferred, as it is there even where the file system is read-only


def main(argv: Sequence[str]) -> int:
    """Serve until a signal comes. Returns 2 for wrong usage."""
    try:
        settings = Settings.parse(argv)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(map(str, problem["loc"])) or "settings"
            print(f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}): {problem['msg']}", file=sys.stderr)
        return 2
    for name in unknown_variables(os.environ):
        print(f"warning: nobody reads the variable {name}; see python -m service --help", file=sys.stderr)
    config = configure(settings)
    if settings.processes == 1:
        uvicorn.Server(config).run()
        return 0
    with tempfile.TemporaryDirectory(
        prefix="convolve-", dir=SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    ) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


def configure(settings: Settings) -> uvicorn.Config:
    """Uvicorn with these settings."""
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
        timeout_graceful_shutdown=settings.stop_s,
    )


def create(settings: Settings) -> object:
    """The application; imported here and not above, so that the process that only watches the workers stays small."""
    from service.app import create_app

    return create_app(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
