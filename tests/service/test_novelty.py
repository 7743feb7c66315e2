"""A version that can tell what is unlike its training set says so of each picture; one that can not, says nothing."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from service import engines
from service.errors import BadVersion
from service.manifest import Manifest
from tests.fakes import Store, Wary, picture, tell_novelty
from tests.service.conftest import SHIPPED, Start

DARK, LIGHT = np.zeros((28, 28, 1), np.uint8), np.full((28, 28, 1), 255, np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped version, for which bright pictures are not digits."""
    folder = tmp_path_factory.mktemp("models") / "mnist" / "1"
    shutil.copytree(SHIPPED, folder)
    tell_novelty(folder, 0.5)
    return folder


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (21, 28, 28, 1), dtype=np.uint8)


def serve(store: Store, start: Start) -> TestClient:
    """A version for which pictures from 501 on are not like its training set."""
    tell_novelty(store.add(1), 0.5)
    store.engines["mnist/1"] = Wary()
    return start(models=store.root)


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_the_engine_scores_every_picture_in_the_same_call(
    folder: Path, pictures: NDArray[np.uint8], precision: str
) -> None:
    engine = engines.load("openvino", folder, Manifest.read(folder), 1, precision)
    plain = engines.load("openvino", SHIPPED, Manifest.read(SHIPPED), 1, precision)
    answers = engine.predict(pictures)
    assert engine.precision == plain.precision
    np.testing.assert_array_equal(answers.probabilities, plain.predict(pictures).probabilities)
    assert answers.novelty is not None
    np.testing.assert_allclose(answers.novelty, pictures.mean(axis=(1, 2, 3)) / 255, atol=1e-3)
    assert plain.predict(pictures).novelty is None


@pytest.mark.tensorflow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs TensorFlow")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorFlow's own
def test_tensorflow_scores_the_same(folder: Path, pictures: NDArray[np.uint8]) -> None:
    manifest = Manifest.read(folder)
    found, expected = (engines.load(name, folder, manifest, 1).predict(pictures) for name in ("tensorflow", "openvino"))
    assert found.novelty is not None
    assert expected.novelty is not None
    np.testing.assert_allclose(found.novelty, expected.novelty, atol=1e-6)


def test_a_large_network_is_compiled_once_for_any_batch_and_scores_as_well(
    folder: Path, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engines.openvino.SMALL", 0)
    answers = engines.load("openvino", folder, Manifest.read(folder), 1).predict(pictures)
    assert answers.novelty is not None
    np.testing.assert_allclose(answers.novelty, pictures.mean(axis=(1, 2, 3)) / 255, atol=1e-5)


def test_a_novelty_network_of_another_shape_is_refused_with_the_reason(tmp_path: Path, start: Start) -> None:
    shutil.copytree(SHIPPED, tmp_path / "mnist" / "1")
    tell_novelty(tmp_path / "mnist" / "1", 0.5, axes=(2, 3))
    with pytest.raises(BadVersion, match="novelty network"):
        engines.load("openvino", tmp_path / "mnist" / "1", Manifest.read(tmp_path / "mnist" / "1"), 1)
    (model,) = start(models=tmp_path).get("/models").json()["models"]
    assert model["state"] == "refused"
    assert "novelty: u8 [?,28,28,1] → f32 [?,1]" in model["reason"]


def test_a_version_whose_novelty_network_is_damaged_is_refused(folder: Path, tmp_path: Path, start: Start) -> None:
    shutil.copytree(folder, tmp_path / "mnist" / "1")
    (tmp_path / "mnist" / "1" / "novelty" / "network.bin").write_bytes(b"")
    (model,) = start(models=tmp_path).get("/models").json()["models"]
    assert model["state"] == "refused"


def test_each_prediction_says_whether_the_picture_is_recognized_and_still_lists_its_guesses(
    store: Store, start: Start
) -> None:
    client = serve(store, start)
    answer = client.post("/predict", json={"images": [picture(n).tolist() for n in (5, 500, 501, 999)]}).json()
    assert [each["recognized"] for each in answer["predictions"]] == [True, True, False, False]
    assert [each["label"] for each in answer["predictions"]] == ["5", "0", "1", "9"]
    assert all(len(each["top"]) == 3 for each in answer["predictions"])


def test_a_version_that_can_not_tell_says_nothing_of_it(client: TestClient) -> None:
    answer = client.post("/predict", json={"image": DARK.tolist()}).json()
    assert "recognized" not in answer["predictions"][0]
    assert "novelty" not in next(each for each in client.get("/models").json()["models"] if each["version"] == 1)
    assert 'convolve_unrecognized_total{model="mnist",version="1"}' not in client.get("/metrics").text


def test_unrecognized_pictures_are_counted_from_zero_on(store: Store, start: Start) -> None:
    client = serve(store, start)
    series = 'convolve_unrecognized_total{model="mnist",version="1"}'
    assert f"{series} 0.0" in client.get("/metrics").text
    client.post("/predict", json={"images": [picture(n).tolist() for n in (5, 501, 999)]})
    assert f"{series} 2.0" in client.get("/metrics").text


def test_models_says_where_the_line_is(store: Store, start: Start) -> None:
    (model,) = serve(store, start).get("/models").json()["models"]
    assert model["novelty"] == {"threshold": 0.5, "flagged": {"validation": 0.01}}


class TestOpenInference:
    def ask(self, client: TestClient, *outputs: str, **parameters: bool) -> dict[str, dict[str, object]]:
        pixels = np.stack([picture(5), picture(501)])
        asked = {
            "inputs": [{"name": "image", "shape": [2, 784], "datatype": "UINT8", "data": pixels.ravel().tolist()}],
            "parameters": parameters,
        }
        if outputs:
            asked["outputs"] = [{"name": name} for name in outputs]
        answer = client.post("/v2/models/mnist/infer", json=asked)
        assert answer.status_code == 200, answer.text
        return {each["name"]: each for each in answer.json()["outputs"]}

    def test_who_asks_for_nothing_gets_what_a_version_without_it_tells(self, store: Store, start: Start) -> None:
        assert list(self.ask(serve(store, start))) == ["probabilities"]

    def test_scores_are_outputs_to_be_asked_for(self, store: Store, start: Start) -> None:
        client = serve(store, start)
        found = self.ask(client, "recognized", "probabilities", "novelty")
        assert list(found) == ["recognized", "probabilities", "novelty"]
        assert found["recognized"] == {"name": "recognized", "datatype": "BOOL", "shape": [2, 1], "data": [True, False]}
        assert found["novelty"]["data"] == pytest.approx([0.005, 0.501])
        listed = {each["name"]: each for each in client.get("/v2/models/mnist").json()["outputs"]}
        assert listed["novelty"] == {"name": "novelty", "datatype": "FP32", "shape": [-1, 1]}
        assert listed["recognized"] == {"name": "recognized", "datatype": "BOOL", "shape": [-1, 1]}

    @pytest.mark.parametrize("outputs", [["novelty", "novelty"], ["scores"], [{}]])
    def test_other_outputs_are_refused_with_those_that_there_are(
        self, store: Store, start: Start, outputs: list[object]
    ) -> None:
        asked = {
            "inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [0] * 784}],
            "outputs": [{"name": name} for name in outputs],
        }
        answer = serve(store, start).post("/v2/models/mnist/infer", json=asked)
        assert answer.status_code == 400
        assert "'probabilities', 'novelty', 'recognized'" in answer.json()["error"]

    def test_classes_are_those_of_the_probabilities(self, store: Store, start: Start) -> None:
        asked = {
            "inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [0] * 784}],
            "outputs": [{"name": "novelty", "parameters": {"classification": 1}}],
        }
        assert serve(store, start).post("/v2/models/mnist/infer", json=asked).status_code == 400

    def test_binary_outputs_follow_each_other(self, store: Store, start: Start) -> None:
        stranger = picture(501).ravel().tolist()
        asked = {
            "inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": stranger}],
            "outputs": [{"name": "recognized"}, {"name": "probabilities"}, {"name": "novelty"}],
            "parameters": {"binary_data_output": True},
        }
        answer = serve(store, start).post("/v2/models/mnist/infer", json=asked)
        length = int(answer.headers["inference-header-content-length"])
        binary = answer.content[length:]
        assert binary[0] == 0
        assert np.frombuffer(binary[1:41], np.float32).argmax() == 1
        assert np.frombuffer(binary[41:], np.float32)[0] == pytest.approx(0.501)


def test_the_other_dialects_rows_stay_as_they_are(store: Store, start: Start) -> None:
    answer = serve(store, start).post("/v1/models/mnist:predict", json={"instances": [picture(501).tolist()]}).json()
    assert list(answer) == ["predictions"]
    assert len(answer["predictions"][0]) == 10
