"""The Open Inference Protocol, version 2, and its extensions."""

import base64
import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from service.api import openinference
from service.errors import BadBody
from service.inference import Wanted
from service.manifest import Input, Manifest
from tests.fakes import Reader, Store, answer_to, picture
from tests.service.conftest import EXAMPLES, SEVEN, Start, png

INFER = "/v2/models/mnist/infer"
NUMERIC = {
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
NUMBERS = [3, 300, 4321]
PICTURES = np.stack([picture(number) for number in NUMBERS])
EXPECTED = np.stack([answer_to(number) for number in NUMBERS])


def tensor(datatype: str = "UINT8", shape: Any = (3, 28, 28, 1), **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": datatype, "shape": list(shape), **more}


def post(client: TestClient, body: Any, binary: bytes = b"", length: str | None = None, path: str = INFER) -> Any:
    """Ask in JSON, with binary data behind it if there are any."""
    header = json.dumps(body).encode()
    if not binary and length is None:
        return client.post(path, content=header)
    headers = {"inference-header-content-length": length or str(len(header))}
    return client.post(path, content=header + binary, headers=headers)


def packed(data: bytes, datatype: str = "UINT8", shape: Any = (3, 28, 28, 1)) -> dict[str, Any]:
    """A request whose input follows as binary."""
    return {"inputs": [tensor(datatype, shape, parameters={"binary_data_size": len(data)})]}


def elements(*files: bytes) -> bytes:
    """A BYTES tensor in binary."""
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


def split(response: Any) -> tuple[Any, bytes]:
    """The JSON of an answer, and the binary data behind it."""
    assert response.status_code == 200, response.text
    length = int(response.headers.get("inference-header-content-length", len(response.content)))
    return json.loads(response.content[:length]), response.content[length:]


def rows(response: Any) -> NDArray[np.float32]:
    """Probabilities of an answer in JSON or in binary."""
    header, binary = split(response)
    (only,) = header["outputs"]
    assert (only["name"], only["datatype"]) == ("probabilities", "FP32")
    if "data" in only:
        return np.float32(only["data"]).reshape(only["shape"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert only["parameters"] == {"binary_data_size": len(binary)}
    return np.frombuffer(binary, "<f4").reshape(only["shape"])


def refused(response: Any, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    for word in words:
        assert word in response.json()["error"]


class TestServer:
    def test_metadata_names_the_extensions(self, client: TestClient) -> None:
        for path in ("/v2", "/v2/"):
            answer = client.get(path).json()
            assert answer["name"] == "convolve"
            assert {"binary_tensor_data", "classification", "model_repository"} <= set(answer["extensions"])

    def test_live_and_ready_with_both_keys_that_readers_expect(
        self, client: TestClient, start: Start, tmp_path: Any
    ) -> None:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
        empty = start(models=tmp_path).get("/v2/health/ready")
        assert (empty.status_code, empty.json()) == (503, {"live": True, "ready": False})

    @pytest.mark.parametrize("place", ["", "/versions/1"])
    def test_a_models_metadata_and_readiness(self, client: TestClient, place: str) -> None:
        assert client.get(f"/v2/models/mnist{place}").json() == {
            "name": "mnist",
            "versions": ["1"],
            "platform": "tensorflow_savedmodel",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
        }
        assert client.get(f"/v2/models/mnist{place}/ready").json() == {"name": "mnist", "ready": True}

    def test_the_repository_lists_what_serves_and_what_does_not(self, start: Start, tmp_path: Any) -> None:
        client = start()
        ready = {"name": "mnist", "version": "1", "state": "READY", "reason": ""}
        assert client.post("/v2/repository/index").json() == [ready]
        (tmp_path / "mnist" / "3").mkdir(parents=True)
        client = start(models=tmp_path)
        (refusal,) = client.post("/v2/repository/index", json={}).json()
        assert refusal["state"] == "UNAVAILABLE"
        assert "manifest" in refusal["reason"]
        assert client.post("/v2/repository/index", json={"ready": True}).json() == []
        refused(client.post("/v2/repository/index", json={"ready": 1}), 400)
        refused(client.post("/v2/repository/index", json=[]), 400)

    @pytest.mark.parametrize("verb", ["load", "unload"])
    def test_models_are_not_loaded_from_outside(self, client: TestClient, verb: str) -> None:
        refused(client.post(f"/v2/repository/models/mnist/{verb}"), 403)

    @pytest.mark.parametrize("ending", ["", "/ready", "/infer"])
    @pytest.mark.parametrize("place", ["nope", "mnist/versions/99", "m" * 10_000, "mni%00st"])
    def test_what_is_not_there(self, client: TestClient, place: str, ending: str) -> None:
        refused(client.request("POST" if ending == "/infer" else "GET", f"/v2/models/{place}{ending}"), 404)
        refused(client.get("/v2/models/mnist/versions/one/ready"), 400)
        refused(client.get("/v2/nothing"), 404, "/infer")
        refused(client.get(INFER), 405)


class TestNumbers:
    @pytest.mark.parametrize("datatype", NUMERIC)
    @pytest.mark.parametrize("shape", [(3, 28, 28, 1), (3, 28, 28), (3, 784)], ids=str)
    def test_whole_numbers_of_any_type_in_json_and_in_binary(self, start: Start, datatype: str, shape: Any) -> None:
        client = start(Reader())
        data = PICTURES.astype(NUMERIC[datatype])
        for values in (data.ravel().tolist(), data.reshape(shape).tolist()):
            body = {"inputs": [tensor(datatype, shape, data=values)]}
            np.testing.assert_allclose(rows(post(client, body)), EXPECTED, rtol=1e-6)
        answer = post(client, packed(data.tobytes(), datatype, shape), data.tobytes())
        np.testing.assert_allclose(rows(answer), EXPECTED, rtol=1e-6)

    @pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
    def test_the_same_question_of_one_picture_after_another(self, start: Start, binary: bool) -> None:
        client = start(Reader())
        for number in (*NUMBERS, *NUMBERS):
            data = picture(number).tobytes()
            asked = packed(data, shape=(1, 784)) if binary else {"inputs": [tensor(shape=(1, 784), data=list(data))]}
            np.testing.assert_array_equal(rows(post(client, asked, data if binary else b""))[0], answer_to(number))

    def test_the_same_question_of_another_version_is_understood_anew(self, tmp_path: Path) -> None:
        manifest = Manifest.read(Store(tmp_path).add(1))
        text = json.dumps(packed(b"0" * 784, shape=(1, 784))).encode()
        assert openinference.recall(text, 784, manifest).wanted == [Wanted("probabilities")]
        other = replace(manifest, output="chances")
        assert openinference.recall(text, 784, other).wanted == [Wanted("chances")]
        with pytest.raises(BadBody, match="inputs"):
            openinference.recall(text, 784, replace(manifest, input=Input("digit", (28, 28, 1))))

    def test_signed_bytes_and_brain_floats(self, start: Start) -> None:
        client = start(Reader())
        small = picture(100 * 256 + 27).astype("<i1").tobytes()
        answer = post(client, packed(small, "INT8", (1, 784)), small)
        np.testing.assert_array_equal(rows(answer)[0], answer_to(100 * 256 + 27))
        brain = (PICTURES.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        np.testing.assert_array_equal(rows(post(client, packed(brain, "BF16"), brain)), EXPECTED)

    @pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (784,)], ids=str)
    def test_one_picture_needs_no_batch(self, start: Start, shape: Any) -> None:
        body = {"inputs": [tensor(shape=shape, data=picture(77).ravel().tolist())]}
        np.testing.assert_allclose(rows(post(start(Reader()), body)), [answer_to(77)], rtol=1e-6)

    def test_a_thousand_pictures_each_get_their_own_answer(self, start: Start) -> None:
        pixels = np.stack([picture(number) for number in range(1000)])
        expected = np.stack([answer_to(number) for number in range(1000)])
        data = pixels.astype("<f4").tobytes()
        body = {**packed(data, "FP32", (1000, 28, 28, 1)), "parameters": {"binary_data_output": True}}
        np.testing.assert_array_equal(rows(post(start(Reader()), body, data)), expected)

    def test_the_answer_is_that_of_our_own_route(self, client: TestClient) -> None:
        pixels = np.random.default_rng(5).integers(0, 256, (3, 28, 28, 1), np.uint8)
        own = client.post("/predict", json={"images": pixels.tolist()}).json()["predictions"]
        answer = rows(post(client, packed(pixels.tobytes()), pixels.tobytes()))
        np.testing.assert_allclose(answer, [each["probabilities"] for each in own], rtol=1e-6)

    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
    @pytest.mark.parametrize("value", [0.5, -1, 256, 1e9, np.nan, np.inf, -np.inf, -0.25])
    def test_other_numbers_are_refused_with_the_cure(self, client: TestClient, datatype: str, value: float) -> None:
        with np.errstate(over="ignore"):
            data = np.full(784, value).astype(NUMERIC[datatype]).tobytes()
        refused(post(client, packed(data, datatype, (1, 784)), data), 400, "round(255 * x)", "whole numbers")

    @pytest.mark.parametrize("datatype", ["UINT16", "INT16", "INT64", "UINT64", "INT8"])
    def test_whole_numbers_out_of_range(self, client: TestClient, datatype: str) -> None:
        data = np.full(784, np.iinfo(NUMERIC.get(datatype, "<i1")).min or 256).astype(NUMERIC.get(datatype, "<i1"))
        refused(post(client, packed(data.tobytes(), datatype, (1, 784)), data.tobytes()), 400, "0 to 255")

    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
    def test_a_model_whose_policy_says_so_takes_every_pixel_divided_by_255(
        self, start: Start, store: Store, datatype: str
    ) -> None:
        store.add(1)
        store.policy({"float_pixels": "unit"})
        client = start(models=store.root)
        pixels = np.arange(784).astype(np.uint8)
        pixels[:2] = divmod(4321, 256)
        for unit in (pixels / 255, pixels.astype(np.float32) / 255, pixels.astype(np.float32) * np.float32(1 / 255)):
            data = unit.astype(NUMERIC[datatype])
            answer = post(client, packed(data.tobytes(), datatype, (1, 784)), data.tobytes())
            np.testing.assert_array_equal(rows(answer), [answer_to(4321)])
        whole = pixels.tobytes()  # a type without fractions can hold nothing but whole numbers
        np.testing.assert_array_equal(rows(post(client, packed(whole, shape=(1, 784)), whole)), [answer_to(4321)])
        raw = pixels.astype(NUMERIC[datatype]).tobytes()
        refused(post(client, packed(raw, datatype, (1, 784)), raw), 400, "divided by 255")
        refused(post(client, packed(whole * 2, "BF16", (1, 784)), whole * 2), 400, "BF16")


class TestFiles:
    @pytest.mark.parametrize("shape", [(2,), (2, 1)], ids=str)
    def test_picture_files_as_bytes_in_binary_and_in_json(self, client: TestClient, shape: Any) -> None:
        three = (EXAMPLES / "3.png").read_bytes()
        both = client.post("/predict", files=[("a", SEVEN), ("b", three)]).json()["predictions"]
        own = [each["probabilities"] for each in both]
        data = elements(SEVEN, three)
        np.testing.assert_allclose(rows(post(client, packed(data, "BYTES", shape), data)), own, rtol=1e-6)
        texts = [base64.b64encode(file).decode() for file in (SEVEN, three)]
        for values in (texts, [{"b64": text} for text in texts], [[text] for text in texts]):
            body = {"inputs": [tensor("BYTES", shape, data=values)]}
            np.testing.assert_allclose(rows(post(client, body)), own, rtol=1e-6)

    def test_files_can_be_sent_unprepared(self, start: Start) -> None:
        data = elements(png(picture(300)))
        body = {**packed(data, "BYTES", (1,)), "parameters": {"prepare": "none"}}
        client = start(Reader())
        np.testing.assert_array_equal(rows(post(client, body, data)), [answer_to(300)])
        refused(post(client, {**body, "parameters": {"prepare": "maybe"}}, data), 400, "prepare")

    def test_without_json_the_body_is_the_input(self, start: Start, client: TestClient) -> None:
        headers = {"inference-header-content-length": "0"}
        answer = start(Reader()).post(INFER, content=PICTURES.tobytes(), headers=headers)
        np.testing.assert_allclose(rows(answer), EXPECTED, rtol=1e-6)
        assert rows(client.post(INFER, content=SEVEN, headers=headers)).argmax() == 7
        refused(client.post(INFER, content=b"x", headers=headers), 400)
        refused(client.post(INFER, content=b"x" * 785, headers=headers), 400)

    @pytest.mark.parametrize(
        ("data", "shape"),
        [
            (elements(SEVEN)[:-1], (1,)),
            (elements(SEVEN) + b"\0", (1,)),
            (elements(SEVEN), (2,)),
            (elements(SEVEN, SEVEN), (1,)),
            (b"\xff\xff\xff\xff" + SEVEN, (1,)),
            (b"\0\0\0\0", (1,)),
            (b"\0", (1,)),
            (elements(SEVEN), (1, 28, 28, 1)),
            (elements(SEVEN), ()),
        ],
        ids=["short", "long", "too few", "too many", "4 GB", "empty file", "stub", "shape of numbers", "no shape"],
    )
    def test_bytes_that_do_not_fit(self, client: TestClient, data: bytes, shape: Any) -> None:
        refused(post(client, packed(data, "BYTES", shape), data), 400)


class TestOutputs:
    @pytest.mark.parametrize("binary", [True, False])
    def test_asked_for_in_binary_for_all_or_for_one(self, start: Start, binary: bool) -> None:
        client = start(Reader())
        body = packed(PICTURES.tobytes())
        one = [{"name": "probabilities", "parameters": {"binary_data": binary}}]
        for more in (
            {"outputs": one},
            {"parameters": {"binary_data_output": binary}},
            {"parameters": {"binary_data_output": not binary}, "outputs": one},
            {"outputs": [], "parameters": {"binary_data_output": binary}},
        ):
            response = post(client, {**body, **more}, PICTURES.tobytes())
            assert ("inference-header-content-length" in response.headers) == binary
            np.testing.assert_allclose(rows(response), EXPECTED, rtol=1e-6)

    def test_the_best_classes_as_text(self, start: Start) -> None:
        client = start(Reader())
        parameters: dict[str, Any] = {"classification": 2}
        body = {**packed(PICTURES.tobytes()), "outputs": [{"name": "probabilities", "parameters": parameters}]}
        (found,) = split(post(client, body, PICTURES.tobytes()))[0]["outputs"]
        assert (found["datatype"], found["shape"]) == ("BYTES", [3, 2])
        expected = ["1.000000:3:3", "0.000046:4:4", "1.000000:0:0", "0.004578:1:1", "1.000000:1:1", "0.065933:2:2"]
        assert found["data"] == expected
        parameters["binary_data"] = True
        _, binary = split(post(client, body, PICTURES.tobytes()))
        assert binary == elements(*(text.encode() for text in expected))
        parameters["classification"] = 10**9
        header, _ = split(post(client, body, PICTURES.tobytes()))
        assert header["outputs"][0]["shape"] == [3, 10]

    def test_the_id_comes_back(self, start: Start) -> None:
        client = start(Reader())
        body = packed(PICTURES.tobytes())
        for binary in (True, False):
            more = {"id": "42", "parameters": {"binary_data_output": binary, "mine": 7}}
            answer, _ = split(post(client, {**body, **more}, PICTURES.tobytes()))
            assert (answer["id"], answer["model_name"], answer["model_version"]) == ("42", "mnist", "1")
        for none in ({}, {"id": None, "parameters": None, "outputs": None}):
            assert "id" not in post(client, {**body, **none}, PICTURES.tobytes()).json()

    @pytest.mark.parametrize(
        ("outputs", "word"),
        [
            ([{"name": "other"}], "probabilities"),
            ([{"name": "probabilities"}] * 2, "probabilities"),
            ([{"name": "probabilities"}] * 100_000, "probabilities"),
            ([{}], "probabilities"),
            ("probabilities", "outputs"),
            ([7], "outputs"),
            ([{"name": "probabilities", "parameters": []}], "parameters"),
            ([{"name": "probabilities", "parameters": [1]}], "parameters"),
            ([{"name": "probabilities", "parameters": {"classification": -1}}], "classification"),
            ([{"name": "probabilities", "parameters": {"classification": True}}], "classification"),
            ([{"name": "probabilities", "parameters": {"classification": "3"}}], "classification"),
            ([{"name": "probabilities", "parameters": {"binary_data": 1}}], "binary_data"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_outputs_that_there_are_not(self, client: TestClient, outputs: Any, word: str) -> None:
        body = {**packed(PICTURES.tobytes()), "outputs": outputs}
        response = post(client, body, PICTURES.tobytes())
        if outputs[0] == {"name": "probabilities", "parameters": []}:
            assert response.status_code == 200  # nothing is nothing
        else:
            refused(response, 400, word)


class TestBodies:
    @pytest.mark.parametrize(
        ("encoding", "compress"),
        [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda data: zlib.compress(data, wbits=-15))],
        ids=["gzip", "zlib", "bare deflate"],
    )
    def test_compressed(self, start: Start, encoding: str, compress: Any) -> None:
        client = start(Reader(), max_body_bytes=100_000)
        header = json.dumps(packed(PICTURES.tobytes())).encode()
        headers = {"content-encoding": encoding, "inference-header-content-length": str(len(header))}
        body = compress(header + PICTURES.tobytes())
        np.testing.assert_allclose(rows(client.post(INFER, content=body, headers=headers)), EXPECTED, rtol=1e-6)
        refused(client.post(INFER, content=compress(bytes(5_000_000)), headers=headers), 413, "100,000")
        refused(client.post(INFER, content=body[:-9], headers=headers), 400)
        refused(client.post(INFER, content=compress(compress(header)), headers=headers), 400)
        refused(client.post(INFER, content=b"", headers=headers), 400)
        refused(client.post(INFER, content=header, headers=headers), 400)

    def test_encodings_that_we_do_not_read(self, client: TestClient) -> None:
        refused(client.post(INFER, content=b"x", headers={"content-encoding": "br"}), 415, "gzip", "br")

    @pytest.mark.parametrize("length", ["-1", "1e3", "99999999", "9" * 5000, "²", "0x10", "1.0", " ", "3"])
    def test_a_header_length_that_is_none(self, client: TestClient, length: str) -> None:
        refused(post(client, packed(PICTURES.tobytes()), PICTURES.tobytes(), length.encode()), 400)  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [-1, 0, 2351, 2353, 2**63, 10**30, 1.5, "2352", True, None, [2352]], ids=str)
    def test_a_binary_size_that_is_none(self, client: TestClient, size: Any) -> None:
        body = {"inputs": [tensor(parameters={"binary_data_size": size})]}
        refused(post(client, body, PICTURES.tobytes()), 400)

    @pytest.mark.parametrize(
        "shape",
        [
            [], [0], [0, 28, 28, 1], [-1, 28, 28, 1], [10**9, 28, 28, 1], [2**62, 4, 4, 4], [2**64, 1], [3, 28, 28, 3],
            [3, 28, 27, 1], [3, 784, 1], [1] * 100, [3.0, 784], ["3", 784], [True, 784], None, "3", {}, [[3], 784],
        ],
        ids=str,
    )  # fmt: skip
    def test_a_shape_that_is_none(self, client: TestClient, shape: Any) -> None:
        given = {**tensor(parameters={"binary_data_size": 2352}), "shape": shape}
        response = post(client, {"inputs": [given]}, PICTURES.tobytes())
        refused(response, 413 if shape == [10**9, 28, 28, 1] else 400)

    @pytest.mark.parametrize(("value", "found"), [([], "[]"), ([7], "[7]"), ({}, "an object"), (None, "null")])
    def test_inputs_that_are_none_are_told(self, client: TestClient, value: Any, found: str) -> None:
        response = client.post("/v2/models/mnist/infer", json={"inputs": value})
        assert response.json()["error"].endswith(f"found: inputs is {found}")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"7",
            b"[]",
            b"{}",
            b'{"inputs": []}',
            b'{"inputs": [7]}',
            b'{"inputs": {}}',
            b'{"inputs": [{}]}',
            b'{"inputs": [{"name": "other"}]}',
            b'{"inputs": [{"name": "image"}, {"name": "image"}]}',
            b'{"inputs": [' + b'{"name": "image"},' * 100_000 + b"{}]}",
            b'{"inputs": [{"name": "image"}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8"}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": 7}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": []}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [1, [2]]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [[1], [2, 3]]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "BOOL", "data": [1]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT7", "data": [1]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": null, "data": [1]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": {"a": 1}, "data": [1]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": "AAAA"}]}',
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [7]}]}',
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [null]}]}',
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [{"b64": 7}]}]}',
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["\\u0000"]}]}',
            b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["?"]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [NaN]}]}',
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": ' + b"[" * 100_000,
            b'{"inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": '
            + b"[" * 500
            + b"]" * 500
            + b"}]}",
            b'{"id": 7, "inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [1]}]}',
            b'{"parameters": 7, "inputs": [{"name": "image", "shape": [1, 784], "datatype": "UINT8", "data": [1]}]}',
        ],
        ids=lambda body: body[:120].decode(),
    )
    def test_json_that_we_can_not_use(self, client: TestClient, body: bytes) -> None:
        response = client.post(INFER, content=body)
        assert response.status_code in (400, 415)
        refused(response, response.status_code)

    @pytest.mark.parametrize(
        ("value", "word"), [(True, "boolean"), ("7", "text"), (None, "null"), (0.5, "0.5"), (256, "256"), (10**400, "")]
    )
    def test_numbers_in_json_that_are_no_pixels(self, client: TestClient, value: Any, word: str) -> None:
        body = {"inputs": [tensor("FP32", (1, 784), data=[value] + [0] * 783)]}
        refused(post(client, body), 400, word)

    def test_data_twice_not_at_all_or_left_over(self, client: TestClient) -> None:
        twice = tensor(data=[1], parameters={"binary_data_size": 2352})
        refused(post(client, {"inputs": [twice]}, PICTURES.tobytes()), 400, "twice")
        left = tensor(data=PICTURES.ravel().tolist())
        refused(post(client, {"inputs": [left]}, b"left over"), 400, "behind the JSON")

    def test_too_many_pictures(self, start: Start) -> None:
        client = start(Reader(), max_pictures=2)
        refused(post(client, packed(PICTURES.tobytes()), PICTURES.tobytes()), 413, "at most 2", "3")
        data = elements(SEVEN, SEVEN, SEVEN)
        refused(post(client, packed(data, "BYTES", (3,)), data), 413, "at most 2", "3")

    def test_damaged_requests_are_refused_and_nothing_worse(self, client: TestClient) -> None:
        random = np.random.default_rng(7)
        data = elements(SEVEN)
        for body, binary in ((packed(PICTURES.tobytes()), PICTURES.tobytes()), (packed(data, "BYTES", (1,)), data)):
            header = json.dumps(body).encode()
            for _ in range(200):
                sent = bytearray(header + binary)
                for place in random.integers(0, 2 * len(header), 3):
                    sent[place] = random.integers(0, 256)
                length = len(header) + int(random.integers(-1, 2))
                response = client.post(
                    INFER, content=bytes(sent), headers={"inference-header-content-length": str(length)}
                )
                assert response.status_code in (200, 400, 413, 415)
                if response.status_code != 200:
                    refused(response, response.status_code)


def test_what_is_wrong_is_said_of_the_text_as_it_was_sent(client: TestClient) -> None:
    """Though the numbers were taken out of it."""
    row = b"[" + b",".join([b"0"] * 784) + b"]"
    text = b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,784],"data":' + row + b"}]x"
    assert f"char {len(text) - 1}" in client.post(INFER, content=text).json()["error"]
    text = b'{"id":{"data":' + row + b'},"inputs":[{"name":"image","datatype":"UINT8","shape":[1,784]}]}'
    assert "found: {'data': [0, 0," in client.post(INFER, content=text).json()["error"]
