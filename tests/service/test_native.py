"""POST /predict: every form of a question, and a clear answer to each bad one."""

import base64
import gzip
import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service import engines
from service.api import native
from service.engines import Answers
from service.manifest import Manifest
from tests.fakes import Failing, Reader, answer_to, picture
from tests.service.conftest import EXAMPLES, SEVEN, SHIPPED, Start, png

LISTS = {"top", "probabilities"}
"""The fields of a prediction that are lists."""


@pytest.fixture(scope="session")
def golden() -> list[tuple[NDArray[np.uint8], tuple[float, ...]]]:
    """Pictures as the network sees them, with the answers that it must give."""
    manifest = Manifest.read(SHIPPED)
    return [
        (np.frombuffer(each.pixels, np.uint8).reshape(manifest.input.shape), each.probabilities)
        for each in manifest.golden
    ]


def only(response: Any) -> Any:
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    return prediction


def refused(response: Any, status: int, *words: str) -> Any:
    """A problem with this status that says these words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    for word in words:
        assert word in response.text
    return problem


class TestForms:
    @pytest.mark.parametrize(
        "kind", ["image/png", "application/x-www-form-urlencoded", "text/plain", "application/json"]
    )
    def test_a_picture_is_known_by_its_first_bytes_whatever_the_media_type_says(
        self, client: TestClient, kind: str
    ) -> None:
        assert only(client.post("/predict", content=SEVEN, headers={"content-type": kind}))["label"] == "7"

    def test_put_works_for_curl_upload(self, client: TestClient) -> None:
        assert only(client.put("/predict", content=SEVEN))["label"] == "7"

    @pytest.mark.parametrize("digit", range(10))
    def test_the_drawn_digits_are_read(self, client: TestClient, digit: int) -> None:
        assert only(client.post("/predict", content=(EXAMPLES / f"{digit}.png").read_bytes()))["class_id"] == digit

    def test_a_form_may_hold_many_files_under_any_name_and_keeps_their_order(self, client: TestClient) -> None:
        files = [(f"field{d}", (f"{d}.png", (EXAMPLES / f"{d}.png").read_bytes(), "image/png")) for d in (4, 0, 9)]
        response = client.post("/predict", files=files)
        assert [each["label"] for each in response.json()["predictions"]] == ["4", "0", "9"]

    def test_a_field_that_is_called_filename_is_no_file(self, client: TestClient) -> None:
        response = client.post("/predict", data={"filename": "hello"}, files={"a": SEVEN})
        assert only(response)["label"] == "7"

    def test_a_url_encoded_form_is_called_so(self, client: TestClient) -> None:
        answer = client.post("/predict", data={"image": base64.b64encode(SEVEN).decode()})
        assert answer.status_code == 415
        assert "URL-encoded form" in answer.json()["detail"]
        assert "image=iVBOR" in answer.json()["found"]

    def test_what_stands_before_a_form_is_for_people(self, client: TestClient) -> None:
        part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n' + SEVEN + b"\r\n--x--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=x"}
        for body in (b"This is a message in MIME format.\r\n" + part, b"\r\n" + part, part):
            assert client.post("/predict", content=body, headers=headers).json()["predictions"][0]["label"] == "7"

    def test_a_file_without_a_name_and_fields_of_the_page_are_told_apart(self, client: TestClient) -> None:
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + data + b"\r\n"
            for name, data in ((b"csrf", b"token"), (b"picture", SEVEN))
        )
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert only(client.post("/predict", content=body + b"--x--\r\n", headers=headers))["label"] == "7"

    @pytest.mark.parametrize(
        "headers",
        [
            b"Content-Disposition: form-data; name=\"a\"; filename*=utf-8''%E2%82%AC.tif\r\n",
            b'X-Empty:\r\nContent-Disposition: form-data; name="a"; filename="a.tif"\r\n',
        ],
        ids=["a name in another alphabet", "after an empty header"],
    )
    def test_a_file_that_is_no_picture_keeps_its_place(self, client: TestClient, headers: bytes) -> None:
        other = b'--x\r\nContent-Disposition: form-data; name="b"; filename="b.png"\r\n\r\n' + SEVEN
        body = b"--x\r\n" + headers + b"\r\nnothing\r\n" + other + b"\r\n--x--\r\n"
        response = client.post("/predict", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
        first, second = response.json()["predictions"]
        assert first["error"]["status"] == 415
        assert second["label"] == "7"

    @pytest.mark.parametrize(
        "text",
        [
            base64.b64encode(SEVEN).decode(),
            "data:image/png;base64," + base64.b64encode(SEVEN).decode(),
            base64.urlsafe_b64encode(SEVEN).decode(),
            base64.b64encode(SEVEN).decode().rstrip("="),
            base64.encodebytes(SEVEN).decode(),
        ],
        ids=["plain", "data URL", "URL alphabet", "no padding", "wrapped"],
    )
    def test_base64_comes_in_many_shapes(self, client: TestClient, text: str) -> None:
        assert only(client.post("/predict", json={"image": text}))["label"] == "7"

    def test_json_without_a_media_type_is_json(self, client: TestClient) -> None:
        body = json.dumps({"image": base64.b64encode(SEVEN).decode()})
        assert only(client.post("/predict", content=body))["label"] == "7"

    @pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1)], ids=str)
    def test_pixels_go_to_the_network_as_they_are(self, exact: TestClient, golden: Any, shape: Any) -> None:
        for pixels, probabilities in golden:
            prediction = only(exact.post("/predict", json={"image": pixels.reshape(shape).tolist()}))
            np.testing.assert_allclose(prediction["probabilities"], probabilities, atol=1e-5)

    def test_pixels_are_not_prepared_though_a_file_of_them_is(self, start: Start) -> None:
        client = start(Reader())
        answer = only(client.post("/predict", json={"image": picture(300).tolist()}))
        np.testing.assert_array_equal(np.float32(answer["probabilities"]), answer_to(300))
        assert only(client.post("/predict?prepare=none", content=png(picture(300)))) == answer
        assert only(client.post("/predict", content=png(picture(300)))) != answer

    def test_whole_numbers_may_be_written_with_a_point(self, exact: TestClient, golden: Any) -> None:
        pixels, probabilities = golden[0]
        prediction = only(exact.post("/predict", json={"image": pixels.ravel().astype(float).tolist()}))
        np.testing.assert_allclose(prediction["probabilities"], probabilities, atol=1e-5)

    def test_many_pictures_of_all_kinds_in_one_call(self, client: TestClient, golden: Any) -> None:
        images = [base64.b64encode(SEVEN).decode(), golden[3][0].tolist(), golden[5][0].ravel().tolist()]
        response = client.post("/predict", json={"images": images})
        found = [each["class_id"] for each in response.json()["predictions"]]
        assert found == [7, int(np.argmax(golden[3][1])), int(np.argmax(golden[5][1]))]


class TestAnswer:
    def test_the_answer_names_model_version_class_and_all_probabilities(self, client: TestClient) -> None:
        answer = client.post("/predict", content=SEVEN).json()
        assert answer.keys() == {"model", "version", "predictions"}
        assert answer["model"] == "mnist"
        assert isinstance(answer["version"], int)
        (prediction,) = answer["predictions"]
        assert list(prediction) == ["class_id", "label", "probability", "top", "probabilities"]
        assert len(prediction["probabilities"]) == 10
        assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert prediction["probability"] == max(prediction["probabilities"])
        assert len(prediction["top"]) == 3
        assert prediction["top"][0] == {name: prediction[name] for name in ("class_id", "label", "probability")}
        chances = [guess["probability"] for guess in prediction["top"]]
        assert chances == sorted(prediction["probabilities"], reverse=True)[:3]

    def test_an_answer_is_json_whatever_the_labels_and_the_numbers_are(self) -> None:
        labels = ('"', "\\", "%b", "№ 5", "},{")
        rows = np.array([[1e-12, 0.5, 0.1, 0.3, 0.1], [0, 1, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2]], np.float32)
        written = native.describe(Answers(rows), [True, False, None], labels, 3)
        first, second, third = (json.loads(each) for each in written)
        guesses = [(each["class_id"], each["label"]) for each in first["top"]]
        assert guesses == [(1, "\\"), (3, "№ 5"), (2, "%b")]  # of equal ones the first
        assert {**first["top"][0], "recognized": True} == {key: first[key] for key in first if key not in LISTS}
        assert (second["recognized"], "recognized" in third) == (False, False)
        for row, prediction in zip(rows, (first, second, third), strict=True):
            np.testing.assert_array_equal(np.array(prediction["probabilities"], np.float32), row)
            top = [(each["probability"], each["class_id"]) for each in prediction["top"]]
            assert all(prediction["probabilities"][index] == probability for probability, index in top)

    @pytest.mark.parametrize(("asked", "given"), [(1, 1), (10, 10), (99, 10)])
    def test_top_chooses_how_many_guesses(self, client: TestClient, asked: int, given: int) -> None:
        assert len(only(client.post(f"/predict?top={asked}", content=SEVEN))["top"]) == given

    def test_model_and_version_may_be_named(self, client: TestClient) -> None:
        version = client.get("/models").json()["models"][0]["version"]
        answer = client.post(f"/predict?model=mnist&version={version}", content=SEVEN).json()
        assert (answer["model"], answer["version"]) == ("mnist", version)

    def test_a_bad_picture_among_many_spoils_only_itself(self, client: TestClient) -> None:
        images = [base64.b64encode(SEVEN).decode(), "AAAA", [[1, 2], [3, 4]], None, base64.b64encode(SEVEN).decode()]
        response = client.post("/predict", json={"images": images})
        assert response.status_code == 200
        first, *bad, last = response.json()["predictions"]
        assert first == last
        assert first["label"] == "7"
        assert [each["error"]["status"] for each in bad] == [415, 400, 400]

    def test_a_call_in_which_every_picture_is_bad_still_has_an_entry_for_each(self, client: TestClient) -> None:
        response = client.post("/predict", json={"images": ["AAAA", "AAAA"]})
        assert response.status_code == 200
        assert ["error" in each for each in response.json()["predictions"]] == [True, True]

    def test_the_request_id_is_taken_or_made(self, client: TestClient) -> None:
        sent = client.post("/predict", content=SEVEN, headers={"x-request-id": "order-66"})
        assert sent.headers["x-request-id"] == "order-66"
        made = [client.post("/predict", content=SEVEN).headers["x-request-id"] for _ in range(2)]
        assert made[0] != made[1]
        assert client.post("/predict", content=b"x").headers["x-request-id"]

    @pytest.mark.parametrize("hostile", ["a b", "x" * 129, "<script>", "é"])
    def test_a_hostile_request_id_is_replaced(self, client: TestClient, hostile: str) -> None:
        response = client.get("/health/live", headers={"x-request-id": hostile.encode()})
        assert response.headers["x-request-id"] != hostile


class TestRefusals:
    def test_an_empty_body(self, client: TestClient) -> None:
        refused(client.post("/predict"), 400, "0 bytes", "curl")

    @pytest.mark.parametrize(
        ("body", "word"), [(b"%PDF-1.7 ...", "PDF"), (b"II*\0....", "TIFF"), (b"<svg></svg>", "SVG"), (b"hello", "")]
    )
    def test_what_is_not_a_picture(self, client: TestClient, body: bytes, word: str) -> None:
        refused(client.post("/predict", content=body, headers={"content-type": "image/png"}), 415, word, "PNG")

    def test_a_media_type_that_we_do_not_read(self, client: TestClient) -> None:
        refused(client.post("/predict", content=b"a,b", headers={"content-type": "text/csv"}), 415, "text/csv")

    def test_a_damaged_picture(self, client: TestClient) -> None:
        refused(client.post("/predict", content=SEVEN[: len(SEVEN) // 2]), 400)

    def test_a_compressed_body(self, client: TestClient) -> None:
        refused(client.post("/predict", content=gzip.compress(SEVEN), headers={"content-encoding": "gzip"}), 415)

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b'{"image": NaN}',
            b'{"image": 1e999}',
            b"[" * 100_000,
            b'{"image": ' + b"9" * 10_000 + b"}",
            b'"text"',
            b"{}",
            b'{"image": 1}',
            b'{"image": "x", "images": []}',
            b'{"images": "x"}',
            b'{"images": []}',
            b'{"imgae": "x"}',
            b'{"image": "\\ud800"}',
            b"\xff\xfe{\x00}\x00",
            b'{"image": "not base64!"}',
            '{"image": "éé"}'.encode(),
            b'{"image": ""}',
        ],
        ids=lambda body: body[:24].decode("latin-1"),
    )
    def test_json_that_we_can_not_use(self, client: TestClient, body: bytes) -> None:
        refused(client.post("/predict", content=body, headers={"content-type": "application/json"}), 400)

    @pytest.mark.parametrize("pixels", [[0] * 784, [[0] * 28] * 28, [[[0]] * 28] * 28])
    def test_one_picture_in_the_place_of_several_is_told_its_own(self, client: TestClient, pixels: Any) -> None:
        assert refused(client.post("/predict", json={"images": pixels}), 400)["fix"] == 'send {"image": X}'

    @pytest.mark.parametrize(
        ("pixels", "words"),
        [
            ([[0] * 28] * 27, ["28", "27"]),
            ([0] * 783, ["784", "783"]),
            ([[0] * 28] * 27 + [[0] * 27], ["unequal"]),
            ([[0] * 28] * 27 + [0], ["unequal"]),
            ([[[[0]]]], ["deep"]),
            ([], ["0"]),
            ([256] + [0] * 783, ["255", "256"]),
            ([-1] + [0] * 783, ["-1"]),
            ([0.5] + [0] * 783, ["0.5", "255 * x"]),
            ([True] + [0] * 783, ["boolean"]),
            (["7"] + [0] * 783, ["text"]),
            ([None] + [0] * 783, ["null"]),
            ([10**30] + [0] * 783, []),
        ],
        ids=str,
    )
    def test_pixels_of_the_wrong_shape_or_kind(self, client: TestClient, pixels: Any, words: list[str]) -> None:
        refused(client.post("/predict", json={"image": pixels}), 400, *words)

    @pytest.mark.parametrize(
        "query",
        [
            "top=0",
            "top=x",
            "top=-1",
            "top=1&top=2",
            "version=one",
            "prepare=maybe",
            "tpo=3",
            "top=²",
            "version=1&label=stable",
            "&".join(f"a{number}=1" for number in range(99)),
        ],
    )
    def test_a_query_that_we_do_not_understand(self, client: TestClient, query: str) -> None:
        refused(client.post(f"/predict?{query}", content=SEVEN), 400)

    @pytest.mark.parametrize("model", ["nope", "..%2f..%2fetc", "m" * 10_000, "%00", "mnist%0d%0aX: y"])
    def test_an_unknown_model(self, client: TestClient, model: str) -> None:
        refused(client.post(f"/predict?model={model}", content=SEVEN), 404, "mnist")

    def test_an_unknown_version(self, client: TestClient) -> None:
        refused(client.post("/predict?version=99", content=SEVEN), 404, "99", "GET /models")

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"--x\r\n", "multipart/form-data"),
            (b"--x\r\n\r\n", "multipart/form-data; boundary=" + "x" * 8192),
            (b"no boundary in here", "multipart/form-data; boundary=x"),
            (
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n--x--\r\n',
                "multipart/form-data; boundary=x",
            ),
            (
                b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + SEVEN,
                "multipart/form-data; boundary=x",
            ),
            (b"--x\r\nA: " + b"b" * 10_000 + b"\r\n\r\n", "multipart/form-data; boundary=x"),
        ],
        ids=["no boundary", "long boundary", "no part", "no file", "cut short", "huge header"],
    )
    def test_a_form_that_we_can_not_use(self, client: TestClient, body: bytes, kind: str) -> None:
        refused(client.post("/predict", content=body, headers={"content-type": kind}), 400)

    def test_a_form_with_ten_thousand_parts(self, client: TestClient) -> None:
        part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
        headers = {"content-type": "multipart/form-data; boundary=x"}
        refused(client.post("/predict", content=part * 10_000 + b"--x--\r\n", headers=headers), 413, "4,096")

    def test_too_many_bytes_pictures_or_pixels(self, start: Start) -> None:
        client = start(Reader(), max_body_bytes=5000, max_pictures=2, max_pixels=1000)
        refused(client.post("/predict", content=b"x" * 5001), 413, "5,000", "5,001")
        refused(client.post("/predict", content=iter([b"x" * 3000] * 3)), 413, "5,000")
        refused(client.post("/predict", json={"images": ["", "", ""]}), 413, "at most 2", "3")
        refused(client.post("/predict", content=png(np.zeros((40, 40), np.uint8))), 413, "1,600", "1,000")

    def test_a_picture_of_2_500_megapixels_in_one_kilobyte_is_refused_unread(self, client: TestClient) -> None:
        file = io.BytesIO()
        Image.new("1", (8, 8)).save(file, "PNG")
        bomb = bytearray(file.getvalue())
        bomb[16:24] = (50_000).to_bytes(4, "big") * 2
        response = client.post("/predict", content=bytes(bomb))
        assert response.status_code in (400, 413)

    def test_a_network_that_fails_says_nothing_of_its_insides(self, start: Start) -> None:
        client = start(Failing())
        problem = refused(client.post("/predict", json={"image": picture(666).tolist()}), 500)
        assert "secret" not in json.dumps(problem)
        assert "Traceback" not in json.dumps(problem)
        assert only(client.post("/predict", json={"image": picture(5).tolist()}))["class_id"] == 5

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "OPTIONS", "HEAD"])
    def test_other_methods(self, client: TestClient, method: str) -> None:
        response = client.request(method, "/predict")
        assert response.status_code == 405
        assert sorted(response.headers["allow"].split(", ")) == ["POST", "PUT"]


def test_no_answer_differs_from_the_engine_asked_directly(exact: TestClient) -> None:
    manifest = Manifest.read(SHIPPED)
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (50, 28, 28, 1), dtype=np.uint8)
    expected = engines.load("openvino", SHIPPED, manifest, 1).predict(pixels).probabilities
    response = exact.post("/predict", json={"images": pixels.tolist()})
    found = np.array([each["probabilities"] for each in response.json()["predictions"]])
    np.testing.assert_allclose(found, expected, atol=1e-6)
