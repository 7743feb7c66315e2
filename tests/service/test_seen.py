"""`?include=seen` shows what the network was given and how it came about, and warns where answers mean little."""

import base64
import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service import seen
from service.manifest import Input
from service.pictures import Seen
from tests.fakes import Store, Wary, picture, tell_novelty
from tests.service.conftest import EXAMPLES, Start, png
from training import strokes

DIGIT = Input("image", (28, 28, 1))
SEVEN: NDArray[np.uint8] = strokes.golden((28, 28, 1))[7]
PATH = "/predict?include=seen"


def only(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    shown: dict[str, Any] = prediction["seen"]
    return shown


def pixels_of(shown: dict[str, Any]) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(base64.b64decode(shown["picture"])))
    assert image.format == "PNG"
    return np.asarray(image)


def test_a_training_picture_is_shown_bit_for_bit(client: TestClient) -> None:
    shown = only(client.post(PATH, content=png(SEVEN)))
    np.testing.assert_array_equal(pixels_of(shown), SEVEN[..., 0])
    assert {name: shown[name] for name in ("prepared", "turned", "inverted", "box", "scale", "shift")} == {
        "prepared": False,
        "turned": 1,
        "inverted": False,
        "box": None,
        "scale": 1.0,
        "shift": [0.0, 0.0],
    }
    assert "warning" not in shown
    assert "novelty" not in shown


def test_a_photograph_shows_what_was_done_to_it_as_looking_inside_does(client: TestClient) -> None:
    photo = (EXAMPLES / "photo.jpg").read_bytes()
    shown = only(client.post(PATH, content=photo))
    inside = client.post("/inside?layers=none", content=photo).json()["seen"]
    assert shown["inverted"] is True
    assert pixels_of(shown).tolist() == inside.pop("pixels")
    assert {name: shown[name] for name in inside} == inside


def test_the_orientation_is_told(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sheet = strokes.draw(7, size=(200, 300))
    assert only(client.post(PATH, content=png(np.asarray(sheet), exif=exif)))["turned"] == 6
    fraction = struct.pack("<4sIHHHIIIII", b"II*\0", 8, 1, 0x0112, 5, 1, 26, 0, 6, 1)
    response = client.post(PATH, content=png(np.asarray(sheet), exif=b"Exif\0\0" + fraction))
    assert b'"turned":6,' in response.content


def test_the_openapi_document_knows_every_field(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    told = only(client.post(PATH, content=png(SEVEN))).keys() | {"novelty", "warning"}
    assert told == schemas["Shown"]["properties"].keys()
    assert {"recognized", "seen"} <= schemas["Prediction"]["properties"].keys()
    assert not {"recognized", "seen"} & set(schemas["Prediction"]["required"])


def test_every_form_of_asking_has_it(client: TestClient) -> None:
    file = png(SEVEN)
    text = base64.b64encode(file).decode()
    answers = [
        client.put(PATH, content=file),
        client.post(PATH, files={"a": file}),
        client.post(PATH, json={"image": text}),
        client.post(PATH, json={"image": SEVEN.ravel().tolist()}),
    ]
    for answer in answers:
        np.testing.assert_array_equal(pixels_of(only(answer)), SEVEN[..., 0])


def test_each_of_many_has_its_own_and_a_bad_one_has_none(client: TestClient) -> None:
    ones = [strokes.golden((28, 28, 1))[digit] for digit in range(10)]
    sent = [base64.b64encode(png(each)).decode() for each in ones]
    predictions = client.post(PATH, json={"images": [*sent[:4], "bad", *sent[4:]]}).json()["predictions"]
    bad = predictions.pop(4)
    assert list(bad) == ["error"]
    for prediction, one in zip(predictions, ones, strict=True):
        np.testing.assert_array_equal(pixels_of(prediction["seen"]), one[..., 0])


def test_nobody_gets_it_unasked(client: TestClient) -> None:
    assert "seen" not in client.post("/predict", content=png(SEVEN)).json()["predictions"][0]


@pytest.mark.parametrize("include", ["", "Seen", "seen,seen", "layers"])
def test_other_things_are_not_included(client: TestClient, include: str) -> None:
    answer = client.post(f"/predict?include={include}", content=png(SEVEN))
    assert answer.status_code == 400
    assert answer.json()["expected"] == "seen"


def test_colours_are_shown() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    shown = seen.show(Seen(pixels), Input("image", (6, 8, 3), preparation="fit"))
    np.testing.assert_array_equal(pixels_of(shown), pixels)
    assert "warning" not in shown


class TestWarnings:
    @pytest.mark.parametrize("sent", ["file", "pixels"])
    @pytest.mark.parametrize("shade", [0, 255])
    def test_blank(self, client: TestClient, sent: str, shade: int) -> None:
        blank = np.full((28, 28, 1), shade, np.uint8)
        answer = (
            client.post(PATH, content=png(blank))
            if sent == "file"
            else client.post(PATH, json={"image": blank.tolist()})
        )
        assert "blank" in only(answer)["warning"]

    def test_dark_on_light_where_nothing_is_prepared(self, client: TestClient) -> None:
        for answer in (
            client.post(PATH, json={"image": (255 - SEVEN).tolist()}),
            client.post(f"{PATH}&prepare=none", content=png(255 - SEVEN)),
        ):
            assert "it looks inverted" in only(answer)["warning"]
        assert "warning" not in only(client.post(PATH, content=png(255 - SEVEN)))

    def test_not_where_and_how_large_training_pictures_are(self, client: TestClient) -> None:
        aside = np.roll(SEVEN, 6, axis=0)
        faint = SEVEN // 3
        for pixels in (aside, faint):
            assert "20 pixels" in only(client.post(PATH, json={"image": pixels.tolist()}))["warning"]

    def test_unlike_the_training_set(self, store: Store, start: Start) -> None:
        tell_novelty(store.add(1), 0.5)
        store.engines["mnist/1"] = Wary()
        answer = start(models=store.root).post(PATH, json={"images": [picture(n).tolist() for n in (5, 501)]}).json()
        known, stranger = answer["predictions"]
        assert known["seen"]["novelty"] == pytest.approx(0.005)
        assert "unlike" not in known["seen"]["warning"]
        assert stranger["recognized"] is False
        assert stranger["seen"]["novelty"] == pytest.approx(0.501)
        assert "unlike the pictures that the network was trained on" in stranger["seen"]["warning"]


@pytest.mark.parametrize(
    ("number", "warning"),
    [
        ("5", None),
        ("42", "1 other mark of much the same size was left out; send one at a time"),
        ("2026", "3 other marks of much the same size were left out; send one at a time"),
    ],
)
def test_a_number_is_told_from_a_digit(client: TestClient, number: str, warning: str | None) -> None:
    sheet = Image.new("L", (140 * len(number), 200), 255)
    for place, digit in enumerate(number):
        sheet.paste(strokes.draw(int(digit), size=(120, 180)), (10 + 140 * place, 10))
    assert only(client.post(PATH, content=png(np.asarray(sheet)))).get("warning") == warning
