"""What the README shows works as it stands there."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from convolve import Client
from convolve.command import main
from tests.servers import serving
from tests.service.conftest import EXAMPLES, ROOT, SHIPPED, TOKEN

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with two versions and no policy, as they are shipped: the second answers."""
    models = tmp_path_factory.mktemp("store") / "models"
    for version in (1, 2):
        folder = models / "mnist" / str(version)
        shutil.copytree(SHIPPED, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    environment = {"CONVOLVE_ADMIN_TOKEN": TOKEN}
    flags = ("--workers", "1", "--models", str(models), "--feedback", str(models.parent / "kept"))
    with serving(*flags, environment=environment) as server:
        yield server.address


@pytest.fixture(autouse=True)
def here(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CONVOLVE_URL", url)
    monkeypatch.setenv("CONVOLVE_ADMIN_TOKEN", TOKEN)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
def test_python(block: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block.replace("http://127.0.0.1:8000", url), {})
    said = capsys.readouterr().out
    assert "7" in said
    assert "Problem" not in said


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if "convolve " in line[:9]]
)
def test_command(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    with Client() as client:
        client.predict("examples/seven.png", request_id="ID")
    assert main(shlex.split(line, comments=True)[1:]) == 0
