"""The clients that people already have, unmodified, each in an environment of its own, against a running server."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import program
from tests.servers import Server, free_port, serving
from tests.service.conftest import EXAMPLES, ROOT, SHIPPED, TOKEN

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".clients"
SCRIPTS = sorted(path.stem for path in HERE.glob("*.py") if path.read_text().startswith("# /// script"))

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """Two workers with a store of their own, and the port of their gRPC."""
    port = free_port()
    store = tmp_path_factory.mktemp("store") / "models"
    shutil.copytree(SHIPPED, store / "mnist" / "1")
    flags = ("--workers", "2", "--grpc-port", str(port), "--models", str(store))
    with serving(*flags, environment={"CONVOLVE_ADMIN_TOKEN": TOKEN}) as server:
        yield server, port


def environment(script: Path) -> Path:
    """The Python that has what the script's head asks for; made once, and anew when the head changes."""
    head = re.match(r"# /// script\n(.*?)# ///\n", script.read_text(), re.DOTALL)
    assert head is not None
    wanted = tomllib.loads(head[1].replace("# ", ""))["dependencies"]
    folder = ENVIRONMENTS / script.stem
    python, stamp = folder / "bin" / "python", folder / "installed.json"
    if not stamp.is_file() or json.loads(stamp.read_text()) != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
        stamp.write_text(json.dumps(wanted))
    return python


@pytest.mark.parametrize("script", SCRIPTS)
def test_client(script: str, server: tuple[Server, int]) -> None:
    path = HERE / f"{script}.py"
    http, grpc = server
    addresses = [http.address, f"127.0.0.1:{grpc}"]
    done = subprocess.run(
        [environment(path), path, *addresses, ROOT],
        env={**os.environ, "CONVOLVE_ADMIN_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def curl(server: tuple[Server, int], path: str, *flags: str) -> object:
    """What curl gets, as the documentation calls it."""
    command = [program("curl", "curl"), "--silent", *flags, f"{server[0].address}{path}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


def test_the_calls_of_tensorflow_servings_documentation_by_curl(server: tuple[Server, int]) -> None:
    assert curl(server, "/v1/models/mnist") == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    b64 = base64.b64encode((EXAMPLES / "seven.png").read_bytes()).decode()
    rows = curl(server, "/v1/models/mnist:predict", "-d", json.dumps({"instances": [{"b64": b64}]}), "-X", "POST")
    assert int(np.argmax(rows["predictions"])) == 7  # type: ignore[index]
    refusal = curl(server, "/v1/models/half:predict", "-d", '{"instances": [1.0,5.0]}', "-X", "POST")
    assert list(refusal) == ["error"]  # type: ignore[call-overload]
