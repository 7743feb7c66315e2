"""The bare package, installed where nothing else is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import serving
from tests.service.conftest import EXAMPLES, ROOT

pytestmark = pytest.mark.verify

SERVER = {"fastapi", "numpy", "openvino", "pillow", "pydantic", "starlette", "tensorflow", "uvicorn"}


def told(*words: object) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an environment of its own keeps its programs. Building leaves its traces in a copy of the tree."""
    folder = tmp_path_factory.mktemp("package")
    left_out = shutil.ignore_patterns(".*", "models", "build", "*.egg-info")
    shutil.copytree(ROOT, folder / "tree", ignore=left_out)
    told(sys.executable, "-m", "venv", folder / "venv")
    told(folder / "venv/bin/pip", "wheel", "--no-deps", "--wheel-dir", folder / "wheels", folder / "tree")
    told(folder / "venv/bin/pip", "install", *(folder / "wheels").iterdir())
    return folder / "venv/bin"


def test_it_brings_nothing_of_the_server(programs: Path) -> None:
    packages = {line.split("==")[0].lower() for line in told(programs / "pip", "freeze", "--local").splitlines()}
    assert {"httpx2", "rich"} <= packages
    assert not packages & SERVER


def test_the_command_asks_a_server(programs: Path) -> None:
    assert "predict" in told(programs / "convolve", "--help")
    with serving("--workers", "1") as server:
        url = server.address
        assert "7" in told(programs / "convolve", "predict", EXAMPLES / "seven.png", "--url", url).splitlines()[1]
        assert told(programs / "python", "-m", "convolve", "models", "--url", url, "--format", "csv").startswith(
            "name,"
        )
