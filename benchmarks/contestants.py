"""Who is measured: how each is started, and through which doors it takes what."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bodies
from benchmarks.bodies import Door
from benchmarks.pictures import ROOT, VERSION

PEERS = Path(__file__).parent / "peers"
VENVS = Path(os.environ.get("PEER_VENVS", Path(__file__).parent / ".venvs"))
INT8 = VERSION / "int8" / "network.xml"

Variables = Mapping[str, str]

US = "convolve"
V2 = "/v2/models/mnist/infer"

LONGER = 4
"""How many times as long a run of large requests lasts: of some 40 in 2 s, several are half answered at the end."""


@dataclass(frozen=True)
class Work:
    """One row of the table."""

    name: str
    title: str
    pictures: int
    """In one request."""
    callers: tuple[int, ...]
    """At a time, each with one connection that stays."""
    bulk: bool = False
    """Whether the engine has so much to do that its own speed is measured beside it."""

    @property
    def length(self) -> int:
        """How many times as long a run lasts."""
        return LONGER if self.bulk else 1


WORKS = {
    work.name: work
    for work in (
        Work("png", "one picture, a PNG file", 1, (1, 32, 64)),
        Work("numbers", "one picture, 784 numbers in JSON", 1, (1, 32, 64)),
        Work("v2-png", "one picture, a PNG file through v2", 1, (32, 64)),
        Work("v2-numbers", "one picture, 784 numbers through v2", 1, (32, 64)),
        Work("many", "64 pictures in one JSON request", 64, (8,)),
        Work("bulk-bytes", "1,024 pictures in one binary request, UINT8", 1024, (4,), bulk=True),
        Work("bulk-floats", "1,024 pictures in one binary request, FP32", 1024, (4,), bulk=True),
    )
}


@dataclass(frozen=True)
class Setup:
    """One way to start a contestant, for some of the works."""

    doors: Mapping[str, Door]
    """By the name of the work."""
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    name: str
    command: tuple[str, ...]
    """With {port}."""
    setups: tuple[Setup, ...]
    folder: Path = PEERS
    limit: bool = False
    """Not a server that one could use: answers without looking."""
    cores: int | None = None
    """On how many it has to make do, together with whoever asks; None is all."""

    @property
    def installed(self) -> bool:
        return Path(self.command[0]).exists()


def ours(name: str = US, *flags: str, python: str = sys.executable) -> Contestant:
    """Ourselves, with the settings as they come and these flags."""
    doors = {
        "png": Door("/predict", bodies.png),
        "numbers": Door("/predict", bodies.images),
        "v2-png": Door(V2, bodies.binary_file),
        "v2-numbers": Door(V2, bodies.tensor),
        "many": Door("/predict", bodies.images),
        "bulk-bytes": Door(V2, bodies.binary_bytes),
        "bulk-floats": Door(V2, bodies.binary_floats),
    }
    command = (python, "-m", "service", "--port", "{port}", "--log-level", "warning", "--drain-s", "0", *flags)
    return Contestant(name, command, (Setup(doors),), folder=ROOT)


def program(environment: str, name: str) -> str:
    """A program in the environment of a peer, or in ours among them."""
    return str(VENVS / environment / "bin" / name)


BESIDE = program("convolve", "python")
"""What runs us among the peers: the Python that they have. Of two builds of it, one may be a seventh slower."""


def among_peers(*flags: str) -> Contestant:
    """Ourselves in an environment like theirs."""
    return ours(US, *flags, python=BESIDE)


def uvicorn(application: str, workers: int) -> tuple[str, ...]:
    address = ("--host", "127.0.0.1", "--port", "{port}", "--workers", str(workers))
    quiet = ("--no-access-log", "--log-level", "warning")
    return (program("plain", "python"), "-m", "uvicorn", application, *address, *quiet)


ONE = {"PEER_THREADS": "1"}
TWO = {"PEER_THREADS": "2"}
"""Threads that compute in each process: two where a request is large, and they do not stand in each other's way."""

NUMBERS = Door("/predict", bodies.instances)
V1 = "/v1/models/mnist:predict"
NUMBERS_V1 = Door(V1, bodies.instances)
NUMBERS_V2 = Door(V2, bodies.tensor)


def bulk(path: str) -> dict[str, Door]:
    """Raw bodies at a path of the peer's own."""
    return {"bulk-bytes": Door(path, bodies.raw_bytes), "bulk-floats": Door(path, bodies.raw_floats)}


PLAIN = Contestant(
    "plain",
    uvicorn("plain:app", 2),
    (
        Setup({"png": Door("/png", bodies.png), "numbers": NUMBERS}, ONE),
        Setup({"many": NUMBERS, **bulk("/raw")}, TWO),
    ),
)

NAMED = (
    Contestant(
        "triton",
        (program("triton", "python"), "triton.py"),
        (
            Setup({"png": Door(V2, bodies.binary_file)}, {**TWO, "PEER_INPUT": "BYTES"}),
            Setup(
                {"numbers": NUMBERS_V2, "many": NUMBERS_V2, "bulk-bytes": Door(V2, bodies.binary_bytes)},
                {**TWO, "PEER_INPUT": "UINT8"},
            ),
            Setup({"bulk-floats": Door(V2, bodies.binary_floats)}, {**TWO, "PEER_INPUT": "FP32"}),
        ),
    ),
    Contestant(
        "kserve",
        (program("kserve", "python"), "kserve_server.py"),
        (
            Setup({"png": Door(V1, bodies.png), "numbers": NUMBERS_V1}, ONE),
            Setup({"many": NUMBERS_V1, **bulk(V1)}, TWO),
        ),
    ),
    Contestant(
        "mlserver",
        (program("mlserver", "python"), "mlserver_runtime.py"),
        (Setup({"png": Door(V2, bodies.base64_file), "numbers": NUMBERS_V2, "many": NUMBERS_V2, **bulk("/raw")}, TWO),),
    ),
    Contestant(
        "litserve",
        (program("litserve", "python"), "litserve_server.py"),
        (
            Setup({"png": Door("/predict", bodies.png)}, {**ONE, "PEER_INPUT": "png"}),
            Setup({"numbers": NUMBERS, "many": NUMBERS}, {**ONE, "PEER_INPUT": "json"}),
            Setup(bulk("/predict"), {**TWO, "PEER_INPUT": "raw"}),
        ),
    ),
    Contestant(
        "bentoml",
        (
            program("bentoml", "bentoml"),
            *("serve", "bentoml_service:Mnist", "--host", "127.0.0.1", "--port", "{port}"),
        ),
        (
            Setup({"png": Door("/x/png", bodies.png), "numbers": NUMBERS}, {**ONE, "BENTOML_DO_NOT_TRACK": "True"}),
            Setup({"many": NUMBERS, **bulk("/x/raw")}, {**TWO, "BENTOML_DO_NOT_TRACK": "True"}),
        ),
    ),
    Contestant(
        "ray",
        (program("ray", "python"), "ray_serve.py"),
        (
            Setup(
                {"png": Door("/png", bodies.png), "numbers": NUMBERS, "many": NUMBERS, **bulk("/raw")},
                {**TWO, "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"},
            ),
        ),
    ),
)
"""The servers with a name, each tuned on this very work."""

NOOPS = (
    Contestant(
        "FastAPI, empty route",
        uvicorn("plain:app", 1),
        (Setup({"numbers": NUMBERS}, {"PEER_STYLE": "noop"}),),
        limit=True,
    ),
    Contestant("ASGI, empty function", uvicorn("bare:app", 1), (Setup({"numbers": NUMBERS}),), limit=True),
)
