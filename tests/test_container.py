"""The images and the compose file, built and run as an operator would, with the classic builder."""

import json
import math
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

pytestmark = pytest.mark.verify

ROOT = Path(__file__).parents[1]
SEVEN = (ROOT / "examples/seven.png").read_bytes()
IMAGE = "convolve-test"
PROJECT = "convolve-test"
LOCKED_UP = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SCRAPE_S = 5
QUIET = {"ConvolveDown", "ConvolveNotReady", "ConvolveErrors"}
"""Alerts whose numbers exist only while something is wrong."""
ASLEEP = {"convolve_compared_total", "convolve_confidence_sum", "convolve_feedback_total"}
"""Series that begin with a trial of a version, or with feedback: neither is there unasked."""


@dataclass(frozen=True)
class Container:
    """One that runs."""

    id: str
    url: str

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id))
        return state

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr


Run = Callable[..., Container]


def docker(*arguments: str, **environment: str) -> str:
    """What docker prints; fails with what it complains of."""
    return command("docker", *arguments, **environment)


def command(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout.strip()


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def status_of(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Containers need an engine that answers."""
    answers = (
        shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )
    if not answers:
        pytest.skip("no container engine here: see what `docker info` says; apt-get install docker.io docker-compose")


@pytest.fixture(scope="module")
def image(engine: None) -> str:
    docker("build", "--target=serve", f"--tag={IMAGE}", ".", DOCKER_BUILDKIT="0")
    return IMAGE


@pytest.fixture(scope="module")
def run(image: str) -> Iterator[Run]:
    """Start a container as strictly as it gets: `run("--network=none")`."""
    started: list[str] = []

    def start(*options: str) -> Container:
        started.append(docker("run", "--detach", *LOCKED_UP, "--publish=127.0.0.1::8000", *options, image))
        url = "" if "--network=none" in options else f"http://{docker('port', started[-1], '8000')}"
        return Container(started[-1], url)

    yield start
    for container in started:
        docker("rm", "--force", "--volumes", container)


@pytest.fixture(scope="module")
def service(run: Run) -> Container:
    container = run()
    wait_until(lambda: status_of(f"{container.url}/health/ready") == 200, 60, "ready")
    return container


def test_it_answers_a_picture(service: Container) -> None:
    answer = httpx.post(f"{service.url}/predict", content=SEVEN)
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "7"


def test_it_is_nobody_in_particular(service: Container) -> None:
    assert docker("exec", service.id, "id", "-u") == "10001"
    user = docker("image", "inspect", "--format", "{{.Config.User}}", IMAGE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_it_writes_nothing(service: Container) -> None:
    assert docker("diff", service.id) == ""


def test_all_workers_count_together(service: Container) -> None:
    """The folder that they share lies in memory, since nothing else can be written."""
    assert docker("exec", service.id, "ls", "/dev/shm").startswith("convolve-")
    for _ in range(20):
        httpx.get(f"{service.url}/health/live")
    pages = [httpx.get(f"{service.url}/metrics").text for _ in range(20)]  # from one worker or another
    assert {re.search(r'requests_total{.*"/health/live".*} (.*)', page)[1] for page in pages} == {"20.0"}  # type: ignore[index]


def test_it_becomes_healthy(service: Container) -> None:
    wait_until(lambda: service.state()["Health"]["Status"] == "healthy", 30, "healthy")


def test_it_needs_no_network_and_calls_nobody(run: Run) -> None:
    container = run("--network=none")
    wait_until(lambda: container.state()["Health"]["Status"] == "healthy", 60, "healthy")
    assert "WARNING" not in container.logs()


def test_what_can_not_be_written_is_a_clear_no(run: Run) -> None:
    token = "a token of 16 letters, or more"
    container = run(f"--env=CONVOLVE_ADMIN_TOKEN={token}")
    wait_until(lambda: status_of(f"{container.url}/health/ready") == 200, 60, "ready")
    headers = {"Authorization": f"Bearer {token}"}
    refused = httpx.post(f"{container.url}/models/mnist/unload", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:convolve:problem:read-only-store")
    assert httpx.post(f"{container.url}/models/mnist/load", headers=headers, timeout=60).status_code == 200
    assert httpx.post(f"{container.url}/predict", content=SEVEN).status_code == 200


def test_without_a_model_it_is_up_and_not_healthy(run: Run) -> None:
    container = run("--tmpfs=/app/models")
    wait_until(lambda: status_of(f"{container.url}/health/live") == 200, 60, "live")
    assert status_of(f"{container.url}/health/ready") == 503
    probe = docker("image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", IMAGE)
    asked = subprocess.run(["docker", "exec", container.id, *json.loads(probe)[1:]], capture_output=True, check=False)
    assert asked.returncode == 1


def test_the_image_holds_what_serves_and_nothing_else(image: str) -> None:
    find = (
        "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'training', 'tests') if u.find_spec(n)])"
    )
    assert docker("run", "--rm", image, "python", "-c", find) == "[]"
    assert docker("run", "--rm", image, "ls", "/app").split() == ["examples", "models", "service"]
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) < 400e6


def test_stopped_it_drains_and_ends_cleanly(run: Run) -> None:
    container = run()
    predict, ready = f"{container.url}/predict", f"{container.url}/health/ready"
    wait_until(lambda: status_of(ready) == 200, 60, "ready")
    started = time.monotonic()
    stop = threading.Thread(target=docker, args=("stop", container.id))
    stop.start()
    wait_until(lambda: status_of(ready) == 503, 2, "readiness is red")
    assert httpx.post(predict, content=SEVEN).status_code == 200
    stop.join()
    assert time.monotonic() - started < 9.5, "was killed after docker's 10 s"
    assert container.state()["ExitCode"] == 0


# Prometheus, beside the service, as compose starts them


def compose(*arguments: str) -> str:
    """docker-compose 1.29 or 2, whichever is there. Ports are free ones."""
    program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    ports = {"PORT": "0", "PROMETHEUS_PORT": "0", "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
    return command(*program, f"--project-name={PROJECT}", *arguments, **ports)


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression yields now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@pytest.fixture(scope="module")
def prometheus(image: str) -> Iterator[Prometheus]:
    """Prometheus, after some seconds of every kind of request."""
    try:
        compose("up", "--detach", "--build", "service", "prometheus")
        service = f"http://{compose('port', 'service', '8000')}"
        prometheus = Prometheus(f"http://{compose('port', 'prometheus', '9090')}")
        wait_until(lambda: status_of(f"{service}/health/ready") == 200, 60, "ready")
        ask_for_everything(service, seconds=6 * SCRAPE_S)
        yield prometheus
    finally:
        compose("down", "--volumes")


def ask_for_everything(service: str, seconds: float) -> None:
    """A mix of good and bad calls. Rates need a series in two scrapes, and calls between them."""
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=service) as client:
        while time.monotonic() < deadline:
            for picture in sorted((ROOT / "examples").iterdir()):
                client.post("/predict", content=picture.read_bytes())
            client.post("/predict", json={"images": [[[0] * 28] * 28] * 50})
            client.post("/predict", content=b"not a picture")
            for path in ("/", "/models", "/health/ready", "/metrics", "/nowhere"):
                client.get(path)
            time.sleep(0.1)


def test_prometheus_scrapes(prometheus: Prometheus) -> None:
    assert [result["value"][1] for result in prometheus.query('up{job="convolve"}')] == ["1"]
    wrong = prometheus.query('convolve_requests_total{route="/predict", status="415"}')
    assert sum(float(result["value"][1]) for result in wrong) > 0


def dashboard_queries() -> list[Any]:
    dashboard = json.loads((ROOT / "monitoring/grafana/dashboards/convolve.json").read_text())
    queries = [
        pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    variable = dashboard["templating"]["list"][0]["definition"]
    return [*queries, pytest.param(re.sub(r"label_values\((.*), \w+\)", r"\1", variable), id="variable")]


@pytest.mark.parametrize("expression", dashboard_queries())
def test_every_panel_shows_something(prometheus: Prometheus, expression: str) -> None:
    expression = expression.replace("$__rate_interval", f"{4 * SCRAPE_S}s").replace("$instance", ".*")
    assert "$" not in expression
    results = prometheus.query(expression)
    shown = any(math.isfinite(float(result["value"][1])) for result in results)
    assert shown != any(series in expression for series in ASLEEP), f"{expression}: {results}"


def test_alerts_have_numbers_and_none_is_raised(prometheus: Prometheus) -> None:
    groups = httpx.get(f"{prometheus.url}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == (ROOT / "monitoring/alerts.yml").read_text().count("- alert:")
    for rule in rules:
        assert rule["health"] == "ok", rule
        assert bool(prometheus.query(re.sub(r" > [0-9.]+", "", rule["query"]))) == (rule["name"] not in QUIET), rule
    assert {rule["name"] for rule in rules if rule["state"] == "firing"} == set()


# Training


@pytest.mark.mnist
def test_the_training_image_publishes_a_version(mnist_folder: Path, tmp_path: Path) -> None:
    """For any user, on a read-only file system, without a network."""
    docker("build", "--target=train", f"--tag={IMAGE}-train", ".", DOCKER_BUILDKIT="0")
    tmp_path.chmod(0o777)
    mounts = (f"--volume={tmp_path}:/app/models", f"--volume={mnist_folder.resolve()}:/data:ro")
    options = ("--rm", *LOCKED_UP, "--tmpfs=/tmp", "--volume=/app/runs", "--network=none", "--user=4321:4321", *mounts)
    said = docker("run", *options, "--env=CONVOLVE_DATA=/data", f"{IMAGE}-train", "--epochs=1")
    assert said.splitlines()[-1] == "models/mnist/1"
    assert {"saved_model.pb", "manifest.json", "report.json"} <= {
        path.name for path in (tmp_path / "mnist/1").iterdir()
    }
