"""What operators look at names only what the service counts. The queries themselves run in test_container.py."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.errors import ServiceError
from service.metrics import Metrics
from service.settings import Settings
from tests.conftest import program

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "monitoring"
ALERTS = (MONITORING / "alerts.yml").read_text()
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/convolve.json").read_text())
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
TARGET_LABELS = {"job", "instance"}


def expressions() -> list[str]:
    """Every query of the dashboard, and the alert rules as one text."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]] + [ALERTS]


def metrics() -> list[Any]:
    return [metric for name, metric in vars(Metrics(CollectorRegistry())).items() if name != "registry"]


def series() -> dict[str, set[str]]:
    """Name of each series that the service has, with its labels."""
    found = {}
    for metric in metrics():
        family = metric.describe()[0]
        for ending in ENDINGS[family.type]:
            found[family.name + ending] = {
                *metric._labelnames,
                *(["le"] if ending == "_bucket" else []),
                *TARGET_LABELS,
            }
    return found


def test_queries_name_only_series_and_labels_that_exist() -> None:
    known = series()
    named = set()
    for text in expressions():
        for name, selector in re.findall(r"\b(convolve_\w+)(?:\{([^}]*)\})?", text):
            assert name in known, f"no such series: {name}"
            labels = set(re.findall(r"(\w+)(?==~|!~|!=|=)", re.sub(r'"[^"]*"', "", selector)))
            assert labels <= known[name], f"{name} has no {labels - known[name]}"
            named.add(name)
    for family in (metric.describe()[0].name for metric in metrics()):
        assert any(name.startswith(family) for name in named), f"{family} is shown nowhere"


def test_alerts_name_only_reasons_that_are_counted() -> None:
    reasons = {kind.slug() for kind in ServiceError.family()}
    named = {reason for group in re.findall(r'reason=~?"([^"]+)"', ALERTS) for reason in group.split("|")}
    assert named
    assert named <= reasons


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    rules = ALERTS.split("- alert: ")[1:]
    tests = (MONITORING / "alerts_test.yml").read_text()
    assert len(rules) >= 8
    for rule in rules:
        assert re.search(r"severity: (page|ticket)", rule), rule
        assert "summary:" in rule, rule
        assert "description:" in rule, rule
        assert f'alertname="{rule.split()[0]}"' in tests, "has no test"


@pytest.mark.verify
@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    promtool = program("promtool", "prometheus")
    done = subprocess.run([promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_panels_are_legible(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "prometheus"
    if panel["type"] == "timeseries":
        assert all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_places_of_their_own() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_files_agree_with_each_other_and_with_the_settings() -> None:
    def find(pattern: str, file: str) -> str:
        match = re.search(pattern, (ROOT / file).read_text())
        assert match, f"{file}: {pattern}"
        return match[1]

    settings = Settings.model_fields
    scrape = find(r"scrape_interval: (\S+)", "monitoring/prometheus.yml")
    assert find(r"timeInterval: (\S+)", "monitoring/grafana/datasources/prometheus.yml") == scrape
    assert find(r"uid: (\S+)", "monitoring/grafana/datasources/prometheus.yml") == "prometheus"
    assert find(r'"service:(\d+)"', "monitoring/prometheus.yml") == find(r"CONVOLVE_PORT=(\d+)", "Dockerfile")
    assert float(find(r"stop_grace_period: (\d+)s", "docker-compose.yml")) > (
        settings["drain_s"].default + settings["stop_s"].default
    )
    assert int(find(r"convolve_queue_pictures\) > (\d+)", "monitoring/alerts.yml")) == settings["max_queue"].default / 4


def test_nobody_else_is_told() -> None:
    """OpenVINO would report each start to its makers; with our package imported first, it can not."""
    code = "import service.metrics, openvino.tools.ovc as ovc; print(type(ovc.telemetry).__module__)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
