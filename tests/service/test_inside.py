"""Looking inside: the numbers are those of Keras, the sums add up, and whoever looks harms nobody."""

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from service import inside
from service.errors import OpaqueNetwork, QueueFull
from service.inside import Microscope
from service.layers import Pair, Reach, read, stack
from tests.fakes import Reader
from tests.service.conftest import BEARER, EXAMPLES, ROOT, SEVEN, SHIPPED, TOKEN, Start, png

NETWORK = "/models/mnist/versions/1/network"
MAPS = {"conv_1": (26, 26, 32), "conv_2": (24, 24, 64), "pool_1": (12, 12, 64)}


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """A safetensors file: its arrays, and its metadata read as JSON."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    facts = {name: json.loads(text) for name, text in header.pop("__metadata__").items()}
    arrays = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        dtype = {"F32": "<f4", "U8": "u1"}[entry["dtype"]]
        arrays[name] = np.frombuffer(data[start + first : start + end], dtype).reshape(entry["shape"])
    return arrays, facts


def look(client: TestClient, picture: bytes = SEVEN) -> dict[str, NDArray[Any]]:
    response = client.post("/inside?format=safetensors", content=picture)
    assert response.status_code == 200, response.text
    return unpack(response.content)[0]


@pytest.fixture(scope="module")
def weights(client: TestClient) -> dict[str, NDArray[Any]]:
    return unpack(client.get(NETWORK, headers={"accept": "application/vnd.safetensors"}).content)[0]


@pytest.mark.tensorflow
@pytest.mark.parametrize("example", ["seven.png", "photo.jpg", "transparent.png", "3.png"])
def test_every_value_is_that_of_keras(client: TestClient, example: str) -> None:
    import keras
    import tensorflow as tf

    from training.network import build_network

    network = build_network()
    network.set_weights([weight.numpy() for weight in tf.saved_model.load(str(SHIPPED)).weights])
    values = look(client, (EXAMPLES / example).read_bytes())
    names = {"scaling": "input", "max_pool": "pool_1", "flatten": "flatten"}
    found = keras.ops.convert_to_tensor(values["seen.pixels"][None])
    compared = 0
    for layer in network.layers:
        name = names.get(layer.name, layer.name)
        if f"{name}.before" in values:
            activation, layer.activation = layer.activation, keras.activations.linear
            found = layer(found)
            np.testing.assert_allclose(values[f"{name}.before"], found[0], rtol=0, atol=1e-4)
            found = activation(found)
        else:
            found = layer(found)
        if name in values:
            np.testing.assert_allclose(values[name], found[0], rtol=0, atol=1e-4)
            compared += values[name].size if name in MAPS else 0
    assert compared == 67_712


def test_json_and_binary_say_the_same(client: TestClient) -> None:
    arrays, facts = unpack(
        client.post("/inside", content=SEVEN, headers={"accept": "application/octet-stream"}).content
    )
    whole = client.post("/inside", content=SEVEN).json()
    predicted = client.post("/predict", content=SEVEN).json()["predictions"][0]
    assert whole["label"] == facts["label"] == predicted["label"] == "7"
    # Predictions may be computed in int8 or bf16; what is shown inside is f32.
    np.testing.assert_allclose(whole["probabilities"], predicted["probabilities"], atol=0.05)
    assert [layer["name"] for layer in whole["layers"]] == [
        "input", "conv_1", "conv_2", "pool_1", "flatten", "fc_1", "fc_2",
    ]  # fmt: skip
    for layer in whole["layers"]:
        assert np.array(layer["values"], np.float32).shape == tuple(layer["shape"])
        assert np.array_equal(np.array(layer["values"], np.float32), arrays[layer["name"]])
        if layer["before"] is not None:
            assert np.array_equal(np.array(layer["before"], np.float32), arrays[f"{layer['name']}.before"])
    assert np.array_equal(np.array(whole["seen"]["pixels"]), arrays["seen.pixels"][:, :, 0])
    assert {name: whole["seen"][name] for name in facts["seen"]} == facts["seen"]
    assert whole["seen"]["inverted"]
    assert whole["seen"]["box"]


def test_the_written_out_sums_are_the_values(client: TestClient, weights: dict[str, NDArray[Any]]) -> None:
    values = look(client)
    random = np.random.default_rng(0)
    for name, below in (("conv_1", "input"), ("conv_2", "conv_1")):
        for _ in range(50):
            row, column, channel = (int(random.integers(size)) for size in MAPS[name])
            patch = values[below][row : row + 3, column : column + 3].astype(float)
            total = (patch * weights[f"{name}.kernel"][..., channel]).sum() + weights[f"{name}.bias"][channel]
            assert values[f"{name}.before"][row, column, channel] == pytest.approx(total, abs=1e-4)
            assert values[name][row, column, channel] == pytest.approx(max(0, total), abs=1e-4)
    boxes = values["conv_2"].reshape(12, 2, 12, 2, 64)
    assert np.array_equal(values["pool_1"], boxes.max(axis=(1, 3)))
    assert np.array_equal(values["flatten"], values["pool_1"].ravel())
    for name, below in (("fc_1", "flatten"), ("fc_2", "fc_1")):
        total = values[below].astype(float) @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]
        np.testing.assert_allclose(values[f"{name}.before"], total, atol=1e-4)
    powers = np.exp(values["fc_2.before"].astype(float) - values["fc_2.before"].max())
    np.testing.assert_allclose(values["fc_2"], powers / powers.sum(), atol=1e-6)


def test_the_network_is_described(client: TestClient) -> None:
    network = client.get(NETWORK).json()
    layers = {layer["name"]: layer for layer in network["layers"]}
    assert network["parameters"] == sum(layer["parameters"] for layer in layers.values()) == 1_199_882
    assert [layers[name]["parameters"] for name in ("conv_1", "conv_2", "fc_1", "fc_2")] == [
        320, 18_496, 1_179_776, 1_290,
    ]  # fmt: skip
    assert "18,494" in layers["conv_2"]["note"]
    assert layers["conv_2"]["counted"] == "((3·3·32) + 1) · 64"
    assert layers["fc_1"]["counted"] == "(9,216 + 1) · 128"
    assert layers["pool_1"]["field"] == {"jump": [2, 2], "size": [6, 6], "start": [0, 0]}
    assert layers["fc_1"]["field"] is None
    assert "weights" not in network


def test_what_lies_outside_of_the_receptive_field_does_not_matter(client: TestClient) -> None:
    """Change the picture outside of a value's field, and the value stays; change it inside, and it moves."""
    fields = {layer["name"]: layer["field"] for layer in client.get(NETWORK).json()["layers"]}
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)

    def values(changed: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        arrays, _ = unpack(client.post("/inside?prepare=none&format=safetensors", content=png(changed)).content)
        assert np.array_equal(arrays["seen.pixels"][:, :, 0], changed)
        return arrays

    before = values(pixels)
    for name, row, column in (("conv_1", 5, 17), ("conv_2", 0, 23), ("pool_1", 11, 4)):
        top, left = (
            fields[name]["start"][axis] + at * fields[name]["jump"][axis] for axis, at in enumerate((row, column))
        )
        inner = np.zeros((28, 28), bool)
        inner[top : top + fields[name]["size"][0], left : left + fields[name]["size"][1]] = True
        outside, within = (values(np.where(where, 255 - pixels, pixels)) for where in (~inner, inner))
        np.testing.assert_allclose(outside[name][row, column], before[name][row, column], atol=1e-5)
        assert np.abs(within[name][row, column] - before[name][row, column]).max() > 0.01


def test_some_layers_only(client: TestClient) -> None:
    whole = client.post("/inside?layers=conv_2,fc_2", content=SEVEN).json()
    assert [layer["name"] for layer in whole["layers"]] == ["conv_2", "fc_2"]
    none = client.post("/inside?layers=none", content=SEVEN).json()
    assert none["layers"] == []
    assert none["seen"] == whole["seen"]


def test_some_weights_only(client: TestClient, weights: dict[str, NDArray[Any]]) -> None:
    found = client.get(NETWORK, params={"weights": "conv_1,fc_1", "unit": "7"}).json()["weights"]
    assert found.keys() == {"conv_1.kernel", "conv_1.bias", "fc_1.kernel", "fc_1.bias"}
    np.testing.assert_allclose(found["conv_1.kernel"], weights["conv_1.kernel"][..., 7])
    np.testing.assert_allclose(found["fc_1.kernel"], weights["fc_1.kernel"][:, 7])
    np.testing.assert_allclose(found["fc_1.bias"], weights["fc_1.bias"][7:8])


def test_occlusion_is_what_predict_says_of_covered_pictures(client: TestClient) -> None:
    answer = client.post("/inside/occlusion?patch=6&stride=3", content=SEVEN).json()
    pixels = np.array(client.post("/inside", content=SEVEN).json()["seen"]["pixels"], np.uint8)
    covered = np.array(answer["covered"])
    assert covered.shape == (10, 10, 10)
    for i, j in ((0, 0), (3, 5), (9, 9)):
        picture = pixels.copy()
        picture[max(0, 3 * i - 3) : 3 * i + 3, max(0, 3 * j - 3) : 3 * j + 3] = 0
        (predicted,) = client.post("/predict", json={"image": picture.tolist()}).json()["predictions"]
        np.testing.assert_allclose(covered[i, j], predicted["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/inside?top=3", 400),
        ("POST", "/inside?format=xml", 400),
        ("POST", "/inside?layers=conv_9", 400),
        ("POST", "/inside?prepare=maybe", 400),
        ("POST", "/inside?version=77", 404),
        ("POST", "/inside?model=nope", 404),
        ("POST", "/inside/occlusion?stride=0", 400),
        ("POST", "/inside/occlusion?patch=1&stride=x", 400),
        ("GET", "/models/mnist/versions/77/network", 404),
        ("GET", "/models/mnist/versions/one/network", 400),
        ("GET", "/models/nope/versions/1/network", 404),
        ("GET", f"{NETWORK}?weights=pool_1", 400),
        ("GET", f"{NETWORK}?weights=conv_1&unit=32", 400),
        ("GET", f"{NETWORK}?weights=conv_1&unit=-1", 400),
    ],
)
def test_wrong_questions(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path, content=SEVEN if method == "POST" else None)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_one_picture_at_a_time(client: TestClient) -> None:
    response = client.post("/inside", json={"images": [[0] * 784, [0] * 784]})
    assert (response.status_code, response.json()["title"]) == (413, "Too many pictures")


def test_fields_of_the_page_beside_the_picture_are_no_pictures(client: TestClient) -> None:
    assert client.post("/inside", data={"note": "hi"}, files={"a": SEVEN}).json()["label"] == "7"


def test_a_version_whose_folder_is_gone_can_not_be_looked_into(start: Start, first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    client = start(models=tmp_path)
    shutil.rmtree(tmp_path / "mnist" / "1")
    assert client.post("/predict", content=SEVEN).status_code == 200
    response = client.post("/inside", content=SEVEN)
    assert response.status_code == 404
    assert "removed" in response.json()["found"]


def test_another_version_under_the_same_number_is_the_one_that_is_shown(
    start: Start, first: Path, tmp_path: Path
) -> None:
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    client = start(models=tmp_path, admin_token=TOKEN)
    before = client.post("/inside", content=SEVEN).json()["probabilities"]
    client.post("/models/mnist/unload", headers=BEARER)
    shutil.rmtree(tmp_path / "mnist" / "1")
    shutil.copytree(ROOT / "models" / "mnist" / "2", tmp_path / "mnist" / "1")
    manifest = json.loads((tmp_path / "mnist" / "1" / "manifest.json").read_text())
    (tmp_path / "mnist" / "1" / "manifest.json").write_text(json.dumps({**manifest, "version": 1}))
    assert client.post("/models/mnist/load", headers=BEARER).status_code == 200
    (answer,) = client.post("/predict", content=SEVEN).json()["predictions"]
    after = client.post("/inside", content=SEVEN).json()["probabilities"]
    np.testing.assert_allclose(after, answer["probabilities"], atol=1e-2)
    assert after != before


def test_files_that_were_replaced_meanwhile_are_not_shown(start: Start, first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    client = start(models=tmp_path, poll_s=3600)
    shutil.copytree(ROOT / "models" / "mnist" / "2", tmp_path / "mnist" / "1", dirs_exist_ok=True)
    response = client.post("/inside", content=SEVEN)
    assert response.status_code == 404
    assert response.json()["found"] == "other files"


def test_a_label_and_the_callers_of_a_canary_are_known(start: Start, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path, dirs_exist_ok=True)
    policy = {"versions": "all", "labels": {"stable": 1}, "canary": {"version": "latest", "share": 0.5}}
    (tmp_path / "mnist" / "policy.json").write_text(json.dumps(policy))
    client = start(models=tmp_path)
    assert client.post("/inside?label=stable", content=SEVEN).json()["version"] == 1
    assert client.post("/inside?label=stable&version=1", content=SEVEN).status_code == 400
    found = set()
    for number in range(16):
        key = {"x-canary-key": f"caller {number}"}
        version = client.post("/predict", content=SEVEN, headers=key).json()["version"]
        assert client.post("/inside", content=SEVEN, headers=key).json()["version"] == version
        found.add(version)
    assert found == {1, 2}


def test_a_short_queue_is_enough_for_an_occlusion(start: Start) -> None:
    client = start(max_queue=100, max_pictures=100)
    assert client.post("/inside/occlusion", content=SEVEN).status_code == 200


def test_switched_off(start: Start) -> None:
    client = start(Reader(), inside=False)
    for path in ("/inside", "/inside/occlusion"):
        assert client.post(path, content=SEVEN).status_code == 404
    assert client.get(NETWORK).status_code == 404
    assert client.post("/predict", content=SEVEN).status_code == 200


def test_nothing_is_read_before_the_first_question(monkeypatch: pytest.MonkeyPatch, start: Start, first: Path) -> None:
    opened: list[Path] = []
    real = inside.layers.read
    monkeypatch.setattr(inside.layers, "read", lambda folder: opened.append(folder) or real(folder))
    client = start(Reader())
    client.post("/predict", content=SEVEN)
    assert not opened
    for _ in range(2):
        client.post("/inside", content=SEVEN)
    assert opened == [first / "mnist" / "1"]


def test_only_a_few_may_wait() -> None:
    async def crowd() -> None:
        go = threading.Event()
        microscope = Microscope()
        asked = [asyncio.ensure_future(microscope.ask(go.wait)) for _ in range(inside.MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await microscope.ask(go.wait)
        go.set()
        assert all(await asyncio.gather(*asked))
        assert await microscope.ask(lambda: "there is room again") == "there is room again"
        microscope.close()

    asyncio.run(crowd())


@pytest.mark.parametrize(
    ("window", "stride", "padding", "expected"),
    [
        ((3, 3), (1, 1), (0, 0), Reach((2, 2), (8, 8), (1, 1))),
        ((2, 2), (2, 2), (0, 0), Reach((4, 4), (6, 6), (1, 1))),
        ((3, 5), (2, 1), (1, 2), Reach((4, 2), (8, 12), (-1, -3))),
    ],
)
def test_reach_grows_layer_by_layer(window: Pair, stride: Pair, padding: Pair, expected: Reach) -> None:
    assert stack(Reach((2, 2), (4, 4), (1, 1)), window, stride, padding) == expected


@pytest.mark.tensorflow
def test_other_sequential_networks(tmp_path: Path) -> None:
    """Padding, strides, means instead of maxima, colours, no bias: all values are those of Keras."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((20, 22, 3), dtype="uint8", name="image"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(4, (3, 5), padding="same", strides=2, activation="relu", name="conv_1"),
            layers.AveragePooling2D(2, name="pool_1"),
            layers.Conv2D(6, 2, use_bias=False, name="conv_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(5, activation="softmax", name="fc_1"),
        ]
    )
    network.export(str(tmp_path), verbose=False)
    opened = inside.Opened(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 22, 3), np.uint8)
    values = opened.look(pixels)
    found = keras.ops.convert_to_tensor(pixels[None])
    for layer in network.layers:
        found = layer(found)
        if layer.name in values:
            np.testing.assert_allclose(values[layer.name], found[0], atol=1e-4)
    first = opened.anatomy.layers[1]
    assert (first.window, first.stride, first.padding) == ((3, 5), (2, 2), (0, 1))
    assert first.reach == Reach((2, 2), (3, 5), (0, -1))
    assert values.keys() == {"input", "conv_1.before", "conv_1", "pool_1", "conv_2", "flatten", "fc_1.before", "fc_1"}


@pytest.mark.tensorflow
def test_a_network_that_forks_is_refused(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 1), dtype="uint8", name="image")
    scaled = layers.Rescaling(1 / 255)(image)
    sides = [layers.Conv2D(2, 3)(scaled), layers.Conv2D(2, 3, activation="relu")(scaled)]
    answer = layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Add()(sides)))
    keras.Model(image, answer).export(str(tmp_path), verbose=False)
    with pytest.raises(OpaqueNetwork, match="can not be looked into"):
        read(tmp_path)
