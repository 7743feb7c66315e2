"""What the network knows arrives at the caller: files through HTTP are read exactly like the arrays."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from service import engines
from service.app import create_app
from service.manifest import Manifest
from service.settings import Settings
from tests.servers import serving
from tests.service.conftest import ROOT, png

pytestmark = pytest.mark.mnist


def idx(folder: Path, name: str, header: int) -> NDArray[np.uint8]:
    plain = folder / name
    data = plain.read_bytes() if plain.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=header)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """The service as it is shipped: the newest version answers."""
    with TestClient(create_app(Settings(models=ROOT / "models"))) as client:
        yield client


@pytest.fixture(scope="module")
def pictures(mnist_folder: Path) -> NDArray[np.uint8]:
    return idx(mnist_folder, "t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1)


@pytest.fixture(scope="module")
def labels(mnist_folder: Path) -> NDArray[np.uint8]:
    return idx(mnist_folder, "t10k-labels-idx1-ubyte", 8)


@pytest.fixture(scope="module")
def expected(pictures: NDArray[np.uint8], client: TestClient) -> NDArray[np.float32]:
    """The serving network's answers to the arrays."""
    (serving,) = [each for each in client.get("/models").json()["models"] if each["state"] == "serving"]
    folder = ROOT / "models" / "mnist" / str(serving["version"])
    engine = engines.load("openvino", folder, Manifest.read(folder), 1, serving["precision"])
    return engine.predict(pictures).probabilities


def test_the_recorded_accuracy_is_the_measured_one(
    client: TestClient, expected: NDArray[np.float32], labels: NDArray[np.uint8]
) -> None:
    (serving,) = [each for each in client.get("/models").json()["models"] if each["state"] == "serving"]
    manifest = Manifest.read(ROOT / "models" / "mnist" / str(serving["version"]))
    recorded = manifest.precisions[serving["precision"]].test
    assert (expected.argmax(axis=1) == labels).mean() == pytest.approx(recorded, abs=1e-9)
    assert manifest.precisions["f32"].test == manifest.accuracy["test"]


def test_ten_thousand_png_files_one_by_one(pictures: NDArray[np.uint8], expected: NDArray[np.float32]) -> None:
    found = np.empty((10_000, 11))

    def caller(first: int) -> None:
        with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
            for index in range(first, 10_000, 4):
                connection.request("POST", "/predict", png(pictures[index]))
                (prediction,) = json.loads(connection.getresponse().read())["predictions"]
                found[index] = [prediction["class_id"], *prediction["probabilities"]]

    with serving("--workers", "1") as server, ThreadPoolExecutor(4) as callers:
        list(callers.map(caller, range(4)))
    np.testing.assert_array_equal(found[:, 0], expected.argmax(axis=1))
    np.testing.assert_allclose(found[:, 1:], expected, atol=1e-5)


def test_ten_thousand_png_files_in_hundreds(
    client: TestClient, pictures: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    for start in range(0, 10_000, 100):
        files = [("file", ("digit.png", png(picture), "image/png")) for picture in pictures[start : start + 100]]
        predictions = client.post("/predict", files=files).json()["predictions"]
        found = np.array([each["probabilities"] for each in predictions])
        np.testing.assert_array_equal(found.argmax(axis=1), expected[start : start + 100].argmax(axis=1))
        np.testing.assert_allclose(found, expected[start : start + 100], atol=1e-5)
