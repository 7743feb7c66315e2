"""What the README says is what the code does."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.metrics import Metrics
from service.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, README, re.MULTILINE)


def test_every_setting_stands_there_with_its_default() -> None:
    assert dict(rows(r"^\| `CONVOLVE_(\w+)` \| `([^`]*)` \|")) == {
        name.upper(): str(field.default) for name, field in Settings.model_fields.items()
    }


def test_every_series_stands_there_with_its_labels() -> None:
    registry = CollectorRegistry()
    series = [each for each in vars(Metrics(registry)).values() if each is not registry]
    assert dict(rows(r"^\| `(convolve_\w+)` \| ([^|]*?) ?\|")) == {
        each.describe()[0].name + ("_total" if each.describe()[0].type == "counter" else ""): ", ".join(
            each._labelnames
        )
        for each in series
    }


def test_every_file_that_is_named_is_there() -> None:
    for path in re.findall(r"(?<!/)@?((?:examples|docs|models/mnist)/[\w./]+\w)", README):
        assert (ROOT / path).exists(), path


def test_the_map_names_every_module() -> None:
    for package in ("convolve", "service", "training"):
        part = re.search(rf"^{package}/ .*\n(?:  .*\n)+", README, re.MULTILINE)
        assert part
        for path in (ROOT / package).rglob("*.py"):
            assert path.name in part[0] or path.name == "__init__.py", path


def test_what_it_asks_and_shows_is_the_version_that_serves() -> None:
    newest = max(int(folder.name) for folder in (ROOT / "models" / "mnist").glob("[0-9]*"))
    assert set(re.findall(r"versions/(\d+)/network", README)) == {str(newest)}
    assert re.findall(r'^  "version": (\d+),', README, re.MULTILINE) == [str(newest)]
