"""The service in this process, with the shipped model or with a fake network."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service import engines
from service.app import create_app
from service.engines import Engine
from service.settings import Settings
from tests.fakes import Store
from tests.servers import ROOT, Server, serving

SHIPPED = ROOT / "models" / "mnist" / "1"
"""The first version that comes with the service; most of what is promised of any is tried with it."""
EXAMPLES = ROOT / "examples"
SEVEN = (EXAMPLES / "seven.png").read_bytes()
TOKEN = "a token of 16 letters, or more"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Start = Callable[..., TestClient]


def png(pixels: NDArray[Any], **options: Any) -> bytes:
    """A picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose networks are fakes, with nothing in it."""
    store = Store(tmp_path / "models")
    store.root.mkdir()
    monkeypatch.setattr(engines, "load", store.load)
    return store


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the first shipped version alone: one that serves, and tells no strange pictures."""
    root = tmp_path_factory.mktemp("first")
    shutil.copytree(SHIPPED, root / "mnist" / "1")
    return root


@pytest.fixture(scope="session")
def client(first: Path) -> Iterator[TestClient]:
    """The service with the first shipped version and the settings as they come."""
    with TestClient(create_app(Settings(models=first)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def exact(first: Path) -> Iterator[TestClient]:
    """The same, computing in f32: its answers are the recorded ones to the fifth digit."""
    app = create_app(Settings(models=first, precision="f32"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, first: Path) -> Iterator[Start]:
    """Start a service of one's own: `start(engine, max_queue=2)`. The engine takes the place of the shipped network."""
    with ExitStack() as stack:

        def start(engine: Engine | None = None, **settings: Any) -> TestClient:
            if engine is not None:
                monkeypatch.setattr(engines, "load", lambda *_, **__: engine)
                monkeypatch.setattr("service.serving.prove", lambda *_: None)
                monkeypatch.setattr("service.history.History.kept", lambda *_: False)  # it was none of its
            app = create_app(Settings(**{"models": first, **settings}))
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield start


@pytest.fixture(scope="module")
def two() -> Iterator[Server]:
    """Two workers."""
    with serving("--workers", "2", "--precision", "f32") as server:
        yield server
