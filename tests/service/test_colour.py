"""Not only digits: a colour network of 96 × 96, as Keras itself exports it, beside the shipped model."""

import base64
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from service.app import create_app
from service.manifest import Golden, Input, Manifest, digest
from service.settings import Settings
from tests.service.conftest import EXAMPLES, SHIPPED, png

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow to make the network"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # TensorFlow's own
]

SHAPE = (96, 96, 3)
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


def sheet(name: str, height: int = 96, width: int = 96) -> NDArray[np.uint8]:
    """A picture of one colour."""
    return np.broadcast_to(np.array(COLOURS[name], np.uint8), (height, width, 3)).copy()


def export(folder: Path) -> None:
    """A network that tells three colours apart, with nothing in it that we made but the manifest."""
    import keras

    network = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8", name="image"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(3, 3, strides=4, activation="relu", use_bias=False),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", use_bias=False),
        ]
    )
    centre = np.zeros((3, 3, 3, 3), np.float32)
    centre[1, 1] = np.eye(3)
    network.set_weights([centre, 8 * np.eye(3, dtype=np.float32)])
    network.export(folder, verbose=False)
    golden = np.stack([sheet(name) for name in COLOURS])
    answers = np.asarray(network(golden))
    files = [path for path in folder.rglob("*") if path.is_file()]
    Manifest(
        name="colours",
        version=1,
        created="2026-01-01T00:00:00+00:00",
        input=Input("image", SHAPE, preparation="fit"),
        output="output_0",
        labels=tuple(COLOURS),
        parameters=network.count_params(),
        accuracy={},
        golden=tuple(Golden(one.tobytes(), tuple(map(float, row))) for one, row in zip(golden, answers, strict=True)),
        files={path.relative_to(folder).as_posix(): digest(path) for path in files},
    ).write(folder)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    store = tmp_path_factory.mktemp("models")
    shutil.copytree(SHIPPED, store / "mnist" / "1")
    (store / "colours").mkdir()
    export(store / "colours" / "1")
    with TestClient(create_app(Settings(models=store)), raise_server_exceptions=False) as client:
        yield client


def test_both_models_serve_with_their_own_labels(client: TestClient) -> None:
    models = {each["name"]: each for each in client.get("/models").json()["models"]}
    assert {name: each["state"] for name, each in models.items()} == {"mnist": "serving", "colours": "serving"}
    assert models["colours"]["labels"] == list(COLOURS)
    assert models["colours"]["input"]["shape"] == list(SHAPE)


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("size", [(96, 96), (40, 200), (300, 100)])
def test_a_picture_of_any_size_gets_its_colour(client: TestClient, name: str, size: tuple[int, int]) -> None:
    answer = client.post("/predict?model=colours", content=png(sheet(name, *size))).json()
    assert (answer["model"], answer["predictions"][0]["label"]) == ("colours", name)
    assert answer["predictions"][0]["probability"] > 0.9


def test_pixels_and_the_other_dialects(client: TestClient) -> None:
    pixels = sheet("blue")
    (answer,) = client.post("/predict?model=colours", json={"image": pixels.tolist()}).json()["predictions"]
    assert answer["label"] == "blue"
    text = base64.b64encode(png(pixels)).decode()
    rows = client.post("/v1/models/colours:predict", json={"instances": [{"b64": text}]}).json()["predictions"]
    assert int(np.argmax(rows[0])) == 2
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *SHAPE], "data": pixels.reshape(-1).tolist()}
    (output,) = client.post("/v2/models/colours/infer", json={"inputs": [tensor]}).json()["outputs"]
    np.testing.assert_allclose(output["data"], rows[0], atol=1e-5)


def test_a_wrong_shape_names_the_right_one(client: TestClient) -> None:
    problem = client.post("/predict?model=colours", json={"image": [[0] * 28] * 28}).json()
    assert "96 × 96 × 3" in problem["expected"]


def test_the_digits_are_read_as_before(client: TestClient) -> None:
    answer = client.post("/predict", content=(EXAMPLES / "seven.png").read_bytes()).json()
    assert (answer["model"], answer["predictions"][0]["label"]) == ("mnist", "7")
