"""Where and with what figures were taken."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import openvino

from benchmarks.contestants import BESIDE, program
from benchmarks.pictures import VERSION
from benchmarks.visits import Row
from service.engines.openvino import choose
from service.manifest import Manifest

OURS = ("fastapi", "uvicorn", "uvloop", "openvino", "numpy", "pillow", "orjson")
PEERS = {
    "triton": "nvidia-pytriton",
    "kserve": "kserve",
    "mlserver": "mlserver",
    "litserve": "litserve",
    "bentoml": "bentoml",
    "ray": "ray",
    "plain": "fastapi",
}
"""Environment of each peer, and the package that it stands for."""


def describe(command: str, *, with_peers: bool) -> Row:
    """A row that says how the other rows came about."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    python = BESIDE if with_peers else sys.executable
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "kind": "machine",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": command,
        "machine": f"{len(os.sched_getaffinity(0))} cores of {processor}, {memory:.0f} GB, Linux {platform.release()}",
        "precision": choose("auto", Manifest.read(VERSION), capabilities),
        "versions": {
            "python": told(python, "import platform; print(platform.python_version())"),
            **{name: importlib.metadata.version(name) for name in OURS},
        },
        "peers": peers() if with_peers else {},
    }


def peers() -> dict[str, str]:
    """Versions in the peers' environments."""
    found = {}
    for environment, package in PEERS.items():
        python = program(environment, "python")
        if Path(python).exists():
            found[package] = told(python, f"import importlib.metadata as m; print(m.version({package!r}))")
    return found


def told(python: str, ask: str) -> str:
    """What a program prints in an environment."""
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
