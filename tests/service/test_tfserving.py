"""TensorFlow Serving's REST interface, as its api_rest.md has it."""

import base64
import gzip
import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.fakes import Failing, Reader, Store, answer_to, picture
from tests.service.conftest import SEVEN, Start

B64 = {"b64": base64.b64encode(SEVEN).decode()}
PREDICT = "/v1/models/mnist:predict"
CLASSIFY = "/v1/models/mnist:classify"


def refused(response: Any, status: int, *words: str) -> None:
    """An error in this dialect's form, with these words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    for word in words:
        assert word in response.json()["error"]


def rows(response: Any, key: str = "predictions") -> Any:
    assert response.status_code == 200, response.text
    assert list(response.json()) == [key]
    return response.json()[key]


class TestPredict:
    def test_a_picture_file_is_answered_as_by_our_own_route(self, client: TestClient) -> None:
        (own,) = client.post("/predict", content=SEVEN).json()["predictions"]
        assert rows(client.post(PREDICT, json={"instances": [B64]})) == [own["probabilities"]]

    @pytest.mark.parametrize("place", ["", "/versions/1"])
    @pytest.mark.parametrize(
        "instance",
        [B64, {"image": B64}, B64["b64"], "data:image/png;base64," + B64["b64"]],
        ids=["b64", "named", "text", "URL"],
    )
    def test_a_file_comes_in_many_forms(self, client: TestClient, instance: Any, place: str) -> None:
        answer = rows(client.post(f"/v1/models/mnist{place}:predict", json={"instances": [instance] * 2}))
        assert [int(np.argmax(row)) for row in answer] == [7, 7]

    @pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1)], ids=str)
    @pytest.mark.parametrize("kind", [int, float])
    def test_rows_and_columns_of_pixels_keep_their_order(self, start: Start, shape: Any, kind: Any) -> None:
        client = start(Reader())
        numbers = [3, 300, 65535]
        pixels = [picture(number).reshape(shape).astype(kind).tolist() for number in numbers]
        expected = [answer_to(number).tolist() for number in numbers]
        for body, key in (
            ({"instances": pixels}, "predictions"),
            ({"instances": [{"image": each} for each in pixels]}, "predictions"),
            ({"inputs": pixels}, "outputs"),
            ({"inputs": {"image": pixels}, "signature_name": "serving_default"}, "outputs"),
            ({"instances": pixels, "inputs": None, "signature_name": None}, "predictions"),
        ):
            np.testing.assert_allclose(rows(client.post(PREDICT, json=body), key), expected, rtol=1e-6)

    def test_one_file_may_be_a_column_alone(self, client: TestClient) -> None:
        assert np.argmax(rows(client.post(PREDICT, json={"inputs": B64}), "outputs")) == 7

    def test_a_compressed_body_is_read(self, client: TestClient) -> None:
        body = gzip.compress(json.dumps({"instances": [B64]}).encode())
        assert rows(client.post(PREDICT, content=body, headers={"content-encoding": "gzip"}))

    def test_fractions_are_refused_with_the_cure_and_taken_by_a_model_whose_policy_says_so(
        self, start: Start, store: Store
    ) -> None:
        store.add(1)
        client = start(models=store.root)
        unit = (picture(1234) / 255).tolist()
        refused(client.post(PREDICT, json={"instances": [unit]}), 400, "round(255 * x)", "float_pixels: unit", "0.0")
        store.policy({"float_pixels": "unit"})
        client = start(models=store.root)
        answer = rows(client.post(PREDICT, json={"instances": [unit, (picture(1234) / np.float32(255)).tolist()]}))
        np.testing.assert_allclose(answer, [answer_to(1234)] * 2, rtol=1e-6)
        refused(client.post(PREDICT, json={"instances": [picture(1234).tolist()]}), 400, "float_pixels: unit")
        refused(client.post(PREDICT, json={"instances": [[0.5] * 784]}), 400, "0.5", "divided by 255")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"7",
            b"{}",
            b'{"instances": [], "inputs": []}',
            b'{"instances": []}',
            b'{"instances": 7}',
            b'{"instances": [7]}',
            b'{"instances": [null]}',
            b'{"instances": [{}]}',
            b'{"instances": [{"picture": [1]}]}',
            b'{"instances": [{"b64": 7}]}',
            b'{"instances": [{"b64": "?"}]}',
            b'{"instances": [{"b64": ""}]}',
            b'{"instances": [{"b64": "AAAA", "image": 1}]}',
            b'{"instances": [[]]}',
            b'{"instances": [[[1, 2], [3]]]}',
            b'{"instances": [[' + b"true," * 783 + b"true]]}",
            b'{"instances": [[' + b"NaN," * 783 + b"NaN]]}",
            b'{"instances": [[1e999]]}',
            b'{"instances": [["' + b"9" * 10_000 + b'"]]}',
            b'{"instances": ' + b"[" * 100_000,
            b'{"instances": ["\\ud800"]}',
            b'{"instances": ["\\u0000"]}',
            b'{"inputs": {"x": [1]}}',
            b'{"inputs": {"image": 7}}',
            b'{"instances": [[0]], "signature_name": "other"}',
            b'{"instances": [[0]], "signature_name": 7}',
            b'{"instances": [[0]], "signature_name": ["serving_default"]}',
        ],
        ids=lambda body: body[:40].decode(),
    )
    def test_what_can_not_be_used_is_refused_in_one_line(self, client: TestClient, body: bytes) -> None:
        response = client.post(PREDICT, content=body)
        assert response.status_code in (400, 415)
        refused(response, response.status_code)

    def test_the_refusal_names_the_bad_one_among_many(self, client: TestClient) -> None:
        refused(client.post(PREDICT, json={"instances": [B64, [1, 2, 3]]}), 400, "picture 1", "784", "3")

    def test_caps(self, start: Start) -> None:
        client = start(Reader(), max_pictures=2, max_body_bytes=100_000)
        refused(client.post(PREDICT, json={"instances": [B64] * 3}), 413, "at most 2", "3")
        for field in ("instances", "inputs"):  # told by their number, before anybody looks at each of them
            refused(client.post(PREDICT, json={field: [{}] * 20_000}), 413, "at most 2", "20,000")
        refused(client.post(CLASSIFY, json={"examples": [[]] * 20_000}), 413, "at most 2", "20,000")
        refused(client.post(PREDICT, content=b"x" * 100_001), 413, "100,000")
        behind = gzip.compress(json.dumps({"instances": [B64]}).encode()) + b"more"
        refused(client.post(PREDICT, content=behind, headers={"content-encoding": "gzip"}), 400, "not whole")
        bomb = gzip.compress(bytes(1_000_000))
        refused(client.post(PREDICT, content=bomb, headers={"content-encoding": "gzip"}), 413, "100,000")

    def test_a_full_queue_says_when_to_come_back(self, start: Start) -> None:
        client = start(Reader())
        client.app_state["shared"].registry.get("mnist", None).batcher.max_queue = 0
        response = client.post(PREDICT, json={"instances": [picture(1).tolist()]})
        refused(response, 503, "waiting")
        assert int(response.headers["retry-after"]) >= 1

    def test_a_network_that_fails_says_nothing_of_its_insides(self, start: Start) -> None:
        response = start(Failing()).post(PREDICT, json={"instances": [picture(666).tolist()]})
        refused(response, 500)
        assert "secret" not in response.text


class TestClassify:
    def test_every_class_with_its_probability(self, client: TestClient) -> None:
        body = {"examples": [{"image": B64, "caption": "a seven"}, {"image": [B64]}]}
        answer = client.post(CLASSIFY, json=body)
        assert answer.status_code == 200
        assert answer.json()["result"] == answer.json()["results"]
        (own,) = client.post("/predict", content=SEVEN).json()["predictions"]
        pairs = [[str(digit), probability] for digit, probability in enumerate(own["probabilities"])]
        assert answer.json()["result"] == [pairs, pairs]

    def test_a_context_is_shared_by_all_examples(self, client: TestClient) -> None:
        answer = client.post(CLASSIFY, json={"context": {"image": B64}, "examples": [{}, {"caption": "x"}]})
        assert [max(pairs, key=lambda pair: pair[1])[0] for pairs in answer.json()["result"]] == ["7", "7"]

    def test_fields_that_are_null_are_none(self, client: TestClient) -> None:
        body = {"signature_name": None, "context": None, "examples": [{"image": B64}]}
        assert client.post(CLASSIFY, json=body).status_code == 200

    def test_pixels_are_a_feature_too(self, start: Start) -> None:
        answer = start(Reader()).post(CLASSIFY, json={"examples": [{"image": picture(3).ravel().tolist()}]})
        assert answer.json()["result"][0][3] == ["3", 1.0]

    @pytest.mark.parametrize(
        ("body", "word"),
        [
            ({}, "examples"),
            ({"examples": []}, "empty"),
            ({"examples": {}}, "list"),
            ({"examples": [7]}, "object"),
            ({"examples": [{}]}, "image"),
            ({"examples": [{"caption": "x"}]}, "caption"),
            ({"examples": [{"image": {"x": 1}}]}, "b64"),
            ({"examples": [{"image": B64}], "context": []}, "object"),
            ({"examples": [{"image": B64}], "context": {"image": B64}}, "context"),
            ({"examples": [{"image": B64}], "signature_name": "x"}, "serving_default"),
        ],
        ids=str,
    )
    def test_refusals(self, client: TestClient, body: Any, word: str) -> None:
        refused(client.post(CLASSIFY, json=body), 400, word)

    def test_regress_says_that_there_is_nothing_to_regress(self, client: TestClient) -> None:
        body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}]}
        refused(client.post("/v1/models/mnist:regress", json=body), 400, "not a regression model", ":predict")


class TestModels:
    @pytest.mark.parametrize("path", ["", "/versions/1"])
    def test_status(self, client: TestClient, path: str) -> None:
        fine = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        assert client.get(f"/v1/models/mnist{path}").json() == {"model_version_status": [fine]}

    def test_the_list_that_it_never_had(self, client: TestClient) -> None:
        (model,) = client.get("/v1/models").json()["models"]
        assert model["name"] == "mnist"
        assert model["model_version_status"] == client.get("/v1/models/mnist").json()["model_version_status"]

    def test_a_refused_version_says_why(self, start: Start, tmp_path: Any) -> None:
        (tmp_path / "mnist" / "3").mkdir(parents=True)
        client = start(models=tmp_path)
        (status,) = client.get("/v1/models/mnist/versions/3").json()["model_version_status"]
        assert status["state"] == "END"
        assert status["status"]["error_code"] == "FAILED_PRECONDITION"
        assert "manifest" in status["status"]["error_message"]
        assert str(tmp_path) not in status["status"]["error_message"]
        refused(client.post("/v1/models/mnist/versions/3:predict", json={}), 404)

    @pytest.mark.parametrize("path", ["", "/versions/1"])
    def test_metadata(self, client: TestClient, path: str) -> None:
        answer = client.get(f"/v1/models/mnist{path}/metadata").json()
        assert answer["model_spec"] == {"name": "mnist", "signature_name": "", "version": "1"}
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        image = signature["inputs"]["image"]
        assert image["dtype"] == "DT_UINT8"
        assert [each["size"] for each in image["tensor_shape"]["dim"]] == ["-1", "28", "28", "1"]
        output = signature["outputs"]["probabilities"]
        assert [each["size"] for each in output["tensor_shape"]["dim"]] == ["-1", "10"]

    @pytest.mark.parametrize("verb", ["", "/metadata", ":predict", ":classify", ":regress"])
    @pytest.mark.parametrize(
        ("place", "status"),
        [
            ("nope", 404),
            ("mnist/versions/99", 404),
            ("mnist/versions/" + "9" * 40, 400),
            ("mnist/versions/one", 400),
            ("mnist/labels/nope", 404),
            ("m" * 10_000, 404),
            ("%2e%2e%2fetc", 404),
            ("mni%00st", 404),
            ("mnist%0d%0aX: y", 404),
            ("ｍnist", 404),
        ],
    )
    def test_what_is_not_there(self, client: TestClient, place: str, status: int, verb: str) -> None:
        method = "POST" if verb.startswith(":") else "GET"
        response = client.request(method, f"/v1/models/{place}{verb}")
        assert response.status_code in (404, status)
        refused(response, response.status_code)

    def test_a_wrong_method_or_route_is_answered_in_the_same_form_and_names_the_right_ones(
        self, client: TestClient
    ) -> None:
        refused(client.get(PREDICT), 405, ":predict")
        assert client.get(PREDICT).headers["allow"] == "POST"
        refused(client.post("/v1/models/mnist"), 405)
        refused(client.post("/v1/models/mnist:guess", json={}), 404, ":predict")
        refused(client.get("/v1/nothing"), 404)
