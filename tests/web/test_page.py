"""The page in a real Chromium: drawn on by mouse, finger and keys, its numbers against those of the service."""

import io
import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.servers import ROOT
from tests.web.conftest import ONE, SEVEN, THREE, Open, draw, example, expect_answer, expect_text, read, show

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE = {"viewport": {"width": 360, "height": 760}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def post(address: str, path: str, body: bytes) -> Any:
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{path}", body), timeout=30) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def five(address: str) -> dict[str, NDArray[Any]]:
    """All values for examples/5.png, by layer; `conv_1.before` is before the activation."""
    answer = post(address, "inside", (ROOT / "examples/5.png").read_bytes())
    values = {layer["name"]: np.array(layer["values"]) for layer in answer["layers"]}
    values |= {f"{layer['name']}.before": np.array(layer["before"]) for layer in answer["layers"] if layer["before"]}
    return values | {"pixels": np.array(answer["seen"]["pixels"])}


@pytest.mark.parametrize(("points", "label"), [(SEVEN, "7"), (THREE, "3"), (ONE, "1")])
def test_drawn_with_the_mouse(open_page: Open, points: list[tuple[float, float]], label: str) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    expect_text(page, "Prediction", "Nothing is drawn yet")
    draw(page, points)
    expect_answer(page, label)
    meters = page.get_by_role("list", name="Probabilities", exact=True).get_by_role("meter")
    assert meters.count() == 10
    assert float(meters.nth(int(label)).get_attribute("aria-valuenow") or 0) > 0.5
    assert sum(float(meter.get_attribute("aria-valuenow") or 0) for meter in meters.all()) == pytest.approx(1, abs=0.01)


def test_the_first_stroke_takes_the_place_of_the_sample(open_page: Open) -> None:
    page = open_page()
    draw(page, THREE)
    expect_answer(page, "3")
    page.get_by_role("button", name="Undo").click()
    expect_answer(page, "7")


def test_a_tap_is_a_dot(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    pad = page.get_by_role("application", name="Drawing pad")

    def darkness() -> int:
        with Image.open(io.BytesIO(pad.screenshot())) as image:
            return 255 - image.convert("L").getpixel((image.width // 2, image.height // 2))

    clear = darkness()
    pad.click()
    assert darkness() > clear + 100
    expect_text(page, "Preparation", "Cropped to")


def test_drawn_by_touch_without_scrolling(open_page: Open) -> None:
    page = open_page(**PHONE)
    pad = page.get_by_role("application", name="Drawing pad")
    box = pad.bounding_box()
    assert box
    session = page.context.new_cdp_session(page)
    before = page.evaluate("scrollY")
    for index, (x, y) in enumerate([(0.5, 0.15 + 0.035 * step) for step in range(21)]):
        place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if index else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_answer(page, "1")
    assert page.evaluate("scrollY") == before
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_drawn_with_a_pen(open_page: Open) -> None:
    page = open_page()
    pad = page.get_by_role("application", name="Drawing pad")
    pad.evaluate(
        """pad => pad.addEventListener("pointermove", (event) => {
            if (event.pressure) pad.dataset.met = `${event.pointerType} ${event.pressure.toFixed(1)}`;
        })"""
    )
    box = pad.bounding_box()
    assert box
    session = page.context.new_cdp_session(page)
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in along(THREE)]
    for index, (x, y) in enumerate([*places, places[-1]]):
        kind = "mousePressed" if index == 0 else "mouseReleased" if index == len(places) else "mouseMoved"
        pressed = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        pen = {"type": kind, "x": x, "y": y, "pointerType": "pen", "force": 0.7, "tiltX": 30, **pressed}
        session.send("Input.dispatchMouseEvent", pen)
    expect_answer(page, "3")
    assert pad.get_attribute("data-met") == "pen 0.7"


def along(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """More points on the same line."""
    shares = np.linspace(0, len(points) - 1, 8 * len(points))
    columns = (np.interp(shares, range(len(points)), column) for column in zip(*points, strict=True))
    return [(float(x), float(y)) for x, y in zip(*columns, strict=True)]


def test_drawn_and_looked_at_with_keys_only(open_page: Open) -> None:
    page = open_page()

    def tab_to(name: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            if (
                page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
                == name
            ):
                return
        raise AssertionError(f"no way to {name}")

    tab_to("Drawing pad")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect_answer(page, "1")
    tab_to("conv_1 map 0")
    page.keyboard.press("ArrowRight")
    expect_text(page, "Value", "conv_1, map 1, row 12, column 12")
    tab_to("Values of conv_1 map 1")
    page.keyboard.press("ArrowDown")
    expect_text(page, "Value", "conv_1, map 1, row 13, column 12")
    tab_to("Play")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Play").wait_for()


def test_what_the_network_sees_is_shown_with_what_was_done(open_page: Open, five: dict[str, NDArray[Any]]) -> None:
    page = open_page()
    example(page, "5", "5")
    expect_text(page, "Preparation", "Dark ink became light on black. Cropped to")
    shown = page.get_by_role("img", name="What the network sees", exact=True).evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 280, 280).data]"
    )
    assert np.array_equal(np.array(shown).reshape(280, 280, 4)[5::10, 5::10, 0], five["pixels"])


def test_written_out_sums_are_right(open_page: Open, five: dict[str, NDArray[Any]]) -> None:
    page = open_page()
    example(page, "5", "5")
    random = np.random.default_rng(5)
    for layer, shape in (("conv_1", (26, 26, 32)), ("conv_2", (24, 24, 64)), ("pool_1", (12, 12, 64))):
        for _ in range(3):
            row, column, map_ = (int(random.integers(size)) for size in shape)
            show(page, layer, map_, row, column)
            expect_text(page, "Value", f"{layer}, map {map_}, row {row}, column {column}")
            if layer == "pool_1":
                assert read(page, "Value") == pytest.approx(five[layer][row, column, map_], abs=1e-4)
                continue
            assert read(page, "Total") == pytest.approx(five[f"{layer}.before"][row, column, map_], abs=1e-4)
            assert read(page, "Result") == pytest.approx(five[layer][row, column, map_], abs=1e-4)
            name = "Sum of products" if layer == "conv_1" else "Sum over 32 maps"
            assert read(page, name) + read(page, "Bias") == pytest.approx(read(page, "Total"), abs=1e-4)


def test_all_maps_stay_written_out_from_value_to_value(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page()
    show(page, "conv_2", 3, 5, 5)
    products = page.get_by_role("region", name="Sum").get_by_role("group", name="Products")
    expect(products).to_have_count(3)
    page.get_by_text("All 32 maps").click()
    expect(products).to_have_count(3 + 32)
    show(page, "conv_2", 4, 6, 6)
    expect_text(page, "Value", "conv_2, map 4, row 6, column 6")
    expect(products).to_have_count(3 + 32)
    page.get_by_text("All 32 maps").click()
    show(page, "conv_2", 5, 7, 7)
    expect(products).to_have_count(3)


def test_dense_values_are_explained(open_page: Open, five: dict[str, NDArray[Any]], address: str) -> None:
    page = open_page()
    example(page, "5", "5")
    show(page, "fc_1", 0, 3, 7)
    expect_text(page, "Value", "fc_1, value 55")
    page.get_by_text("strongest of 9,216 terms").wait_for()
    with urllib.request.urlopen(f"{address}/models/mnist/versions/2/network?weights=fc_1&unit=55") as response:
        weights = json.load(response)["weights"]
    products = five["flatten"] * np.array(weights["fc_1.kernel"])
    strongest = np.sort(np.abs(products))[::-1][:12]
    assert read(page, "Covered") == pytest.approx(strongest.sum() / np.abs(products).sum(), abs=1e-4)
    assert read(page, "Strongest") + read(page, "All others") + read(page, "Bias") == pytest.approx(
        five["fc_1.before"][55], abs=1e-4
    )
    show(page, "fc_2", 0, 0, 5)
    expect_text(page, "Value", "fc_2, value 5")
    assert read(page, "Result") == pytest.approx(five["fc_2"][5], abs=1e-4)
    shares = page.get_by_role("region", name="Sum").locator("table").first.locator("tbody tr td:last-child data")
    found = [float(share.get_attribute("value") or "nan") for share in shares.all()]
    np.testing.assert_allclose(found, five["fc_2"], atol=1e-5)


def test_a_pixel_is_explained(open_page: Open) -> None:
    page = open_page()
    example(page, "5", "5")
    show(page, "input", 0, 14, 14)
    page.get_by_text("of 255 is").wait_for()
    sum_ = page.get_by_role("region", name="Sum").inner_text()
    assert re.search(r"pixel\s+[\d.]+\s+of 255 is", sum_), sum_


def test_an_answer_does_not_stay_beside_a_picture_that_was_refused(open_page: Open) -> None:
    page = open_page(expected="415")
    example(page, "5", "5")
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "AVIF")
    page.locator("#file").set_input_files({"name": "5.avif", "mimeType": "image/avif", "buffer": file.getvalue()})
    expect_text(page, "Prediction", "an AVIF file")
    assert page.locator("#best").inner_text() == ""
    assert page.get_by_role("meter", name="Probability of 5").get_attribute("aria-valuenow") == "0.000000"
    page.get_by_role("button", name="Copy link").click()
    expect_text(page, "Shared", "can not be put into a link")
    page.get_by_role("button", name="Clear").click()
    draw(page, THREE)
    expect_answer(page, "3")


@pytest.mark.parametrize("side", [400, 5000], ids=["small", "larger than is sent"])
def test_white_ink_on_nothing_is_seen_and_can_be_drawn_on(open_page: Open, side: int) -> None:
    page = open_page()
    with Image.open(ROOT / "examples/pad.png") as pad:
        ink = pad.convert("L").resize((side, side))
    file = io.BytesIO()
    Image.merge("LA", (Image.new("L", ink.size, 255), ink)).save(file, "PNG")
    page.locator("#file").set_input_files({"name": "5.png", "mimeType": "image/png", "buffer": file.getvalue()})
    expect_answer(page, "5")
    draw(page, [(0.9, 0.9), (0.91, 0.9)])
    with Image.open(io.BytesIO(page.get_by_role("application", name="Drawing pad").screenshot())) as drawn:
        grey = drawn.convert("L")
        assert grey.getpixel((20, grey.height // 2)) < 40
        assert grey.getpixel((round(0.905 * grey.width), round(0.9 * grey.height))) > 200
    expect_answer(page, "5")


def test_the_sources_of_a_value_light_up(open_page: Open) -> None:
    page = open_page()
    show(page, "pool_1", 5, 3, 4)
    path = page.get_by_role("group", name="Where it comes from")
    path.get_by_role("img", name="conv_2: rows 6 to 7, columns 8 to 9").wait_for()
    path.get_by_role("img", name="conv_1: rows 6 to 9, columns 8 to 11").wait_for()
    path.get_by_role("img", name="input: rows 6 to 11, columns 8 to 13").wait_for()


def test_each_map_may_have_a_scale_of_its_own(open_page: Open) -> None:
    page = open_page()

    def painted(scale: str) -> list[str]:
        page.get_by_role("radio", name=scale).check()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        maps = page.get_by_role("group", name="Maps of conv_2").locator("canvas")
        drawn: list[str] = maps.evaluate_all("canvases => canvases.map((canvas) => canvas.toDataURL())")
        return drawn

    common = painted("One scale for a layer")
    own = painted("Each map its own")
    assert sum(one != other for one, other in zip(common, own, strict=True)) > 32
    assert painted("One scale for a layer") == common


def test_all_160_maps_are_there(open_page: Open) -> None:
    page = open_page()
    sheets = [page.get_by_role("group", name=f"Maps of {layer}") for layer in ("conv_1", "conv_2", "pool_1")]
    counts = [sheet.get_by_role("button").count() for sheet in sheets]
    assert counts == [32, 64, 64]


def test_steps_go_position_by_position(open_page: Open) -> None:
    page = open_page()
    show(page, "conv_1", 2, 0, 24)
    for column, row in ((25, 0), (0, 1)):
        page.get_by_role("button", name="Step").click()
        expect_text(page, "Value", f"row {row}, column {column}")


def test_a_link_brings_the_view_back(open_page: Open) -> None:
    page = open_page()
    draw(page, THREE)
    expect_answer(page, "3")
    show(page, "conv_2", 9, 11, 12)
    page.get_by_role("radio", name="Before ReLU").check()
    expect_text(page, "Value", "before ReLU")
    page.get_by_role("button", name="Copy link").click()
    expect_text(page, "Shared", "copied")
    value = page.get_by_role("status", name="Value").inner_text()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    other = open_page(link.split("/")[-1])
    expect_answer(other, "3")
    expect_text(other, "Value", value)
    assert other.get_by_role("radio", name="Before ReLU").is_checked()


def test_a_link_to_an_empty_pad_brings_an_empty_pad(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Copy link").click()
    expect_text(page, "Shared", "copied")
    other = open_page(page.url.split("/")[-1], ready=False)
    other.get_by_role("button", name="Layer conv_1").wait_for()
    other.wait_for_timeout(500)
    expect_text(other, "Prediction", "Nothing is drawn yet.")
    assert other.locator("#shared").text_content() == ""


def test_a_picture_comes_back_by_link_as_the_network_saw_it(open_page: Open) -> None:
    page = open_page()
    example(page, "photo", "4")
    expect_text(page, "Preparation", "Cropped")
    page.get_by_role("button", name="Copy link").click()
    expect_text(page, "Shared", "copied")
    value = page.get_by_role("status", name="Value").inner_text()
    other = open_page("#" + page.url.split("#")[1])
    expect_answer(other, "4")
    expect_text(other, "Value", value)
    expect_text(other, "Preparation", "Taken as it is")


def test_pictures_are_chosen_pasted_and_dropped(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Picture file").set_input_files(ROOT / "examples/8.png")
    expect_answer(page, "8")
    data = list((ROOT / "examples/2.png").read_bytes())
    for event, holder in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.get_by_role("button", name="Clear").click()
        expect_text(page, "Prediction", "Nothing is drawn yet")
        page.evaluate(
            """([data, event, holder]) => {
                const carrier = new DataTransfer();
                carrier.items.add(new File([new Uint8Array(data)], "2.png", {type: "image/png"}));
                const Kind = event === "paste" ? ClipboardEvent : DragEvent;
                document.body.dispatchEvent(new Kind(event, {[holder]: carrier, bubbles: true, cancelable: true}));
            }""",
            [data, event, holder],
        )
        expect_answer(page, "2")


def test_a_picture_larger_than_the_service_takes_is_sent_smaller(open_page: Open) -> None:
    page = open_page()
    file = io.BytesIO()
    with Image.open(ROOT / "examples/8.png") as eight:
        eight.convert("L").resize((5200, 5200)).save(file, "PNG")
    page.get_by_label("Picture file").set_input_files(
        {"name": "8.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect_answer(page, "8")


def test_a_picture_is_pasted_from_the_clipboard_itself(open_page: Open) -> None:
    page = open_page()
    data = list((ROOT / "examples/2.png").read_bytes())
    page.evaluate(
        """async (data) => {
            const file = new Blob([new Uint8Array(data)], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": file})]);
        }""",
        data,
    )
    for paste in (page.get_by_role("button", name="Paste").click, lambda: page.keyboard.press("Control+V")):
        page.get_by_role("button", name="Clear").click()
        expect_text(page, "Prediction", "Nothing is drawn yet")
        paste()
        expect_answer(page, "2")
    page.evaluate("navigator.clipboard.writeText('no picture')")
    for paste in (page.get_by_role("button", name="Paste").click, lambda: page.keyboard.press("Control+V")):
        page.get_by_role("button", name="Clear").click()
        expect_text(page, "Prediction", "Nothing is drawn yet")
        paste()
        expect_text(page, "Prediction", "There is no picture on the clipboard")


def test_a_picture_is_taken_with_the_camera(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    expect_text(page, "Prediction", "Nothing is drawn yet")
    page.get_by_role("button", name="Camera").click()
    dialog = page.get_by_role("dialog", name="Camera")
    dialog.get_by_role("button", name="Cancel").click()
    expect_text(page, "Prediction", "Nothing is drawn yet")
    page.get_by_role("button", name="Camera").click()
    dialog.locator("button:enabled", has_text="Take the picture").wait_for()
    tracks = page.evaluate_handle("document.querySelector('video').srcObject.getTracks()")
    dialog.get_by_role("button", name="Take the picture").click()
    expect_text(page, "Prediction", " %. ")
    expect_text(page, "Preparation", "ropped")
    assert not dialog.is_visible()
    assert tracks.evaluate("tracks => tracks.map((track) => track.readyState)") == ["ended"]


def test_a_camera_that_is_closed_before_its_first_picture_is_no_fault(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Clear").click()
    expect_text(page, "Prediction", "Nothing is drawn yet")
    page.evaluate(  # as browsers do where the source is taken away while they wait for it
        """() => {
            HTMLMediaElement.prototype.play = () => new Promise((_, reject) => {
                document.querySelector("dialog[open]").addEventListener("close", () => {
                    reject(new DOMException("The play() request was interrupted", "AbortError"));
                    setTimeout(() => document.body.dataset.rejected = "");
                });
            });
        }"""
    )
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("dialog", name="Camera").get_by_role("button", name="Cancel").click()
    page.locator("[data-rejected]").wait_for()
    expect_text(page, "Prediction", "Nothing is drawn yet")


def test_on_a_phone_its_own_camera_takes_the_picture(open_page: Open) -> None:
    page = open_page(**PHONE)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Camera").click()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(ROOT / "examples/photo.jpg")
    expect_answer(page, "4")


def test_without_a_camera_it_says_so(open_page: Open) -> None:
    page = open_page()
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none')); }")
    page.get_by_role("button", name="Camera").click()
    expect_text(page, "Prediction", "There is no camera, or this page may not use it")


def test_why_this_answer(open_page: Open, address: str) -> None:
    page = open_page()
    example(page, "5", "5")
    expect_text(page, "Covered place", "Nothing covered: 5 has")
    found = post(address, "inside/occlusion", (ROOT / "examples/5.png").read_bytes())
    heat = page.get_by_role("application", name="Heat map")
    heat.focus()
    page.keyboard.press("ArrowUp")
    expect_text(page, "Covered place", "With this place covered: 5 stays at > 99.9 %.")
    meters = page.get_by_role("list", name="Probabilities with a place covered").get_by_role("meter")
    shown = [float(meter.get_attribute("aria-valuenow") or "nan") for meter in meters.all()]
    np.testing.assert_allclose(shown, found["covered"][6][7], atol=1e-3)


def test_two_drawings_side_by_side(open_page: Open) -> None:
    page = open_page()
    example(page, "5", "5")
    page.get_by_role("button", name="Keep as A").click()
    expect_text(page, "Comparison", "Kept as A")
    example(page, "8", "8")
    meter = page.get_by_role("meter", name="B: probability of 8")
    meter.wait_for()
    page.wait_for_timeout(500)
    assert float(meter.get_attribute("aria-valuenow") or 0) > 0.5
    assert float(page.get_by_role("meter", name="A: probability of 5").get_attribute("aria-valuenow") or 0) > 0.5


def numbers(page: "Page", caption: str) -> list[list[float]]:
    rows = page.get_by_role("table", name=caption, exact=True).locator("tr")
    return [[float(each.get_attribute("value") or "nan") for each in row.locator("data").all()] for row in rows.all()]


def test_the_lab_computes_the_documents_examples(open_page: Open) -> None:
    page = open_page()
    smiley = [[0, 1, 0, 0, 0], [0, 1, 1, 1, 0], [1, 0, 0, 2, 1], [1, 4, 2, 1, 0], [0, 0, 1, 2, 1]]
    assert numbers(page, "Feature map") == smiley
    expect_text(page, "Size", "(7 + 2·0 − 3) / 1 + 1 = 5")
    erratum = page.get_by_text("Erratum: the guide prints")
    assert erratum.is_visible()
    page.get_by_label("Image row 0 column 2").fill("1")
    assert numbers(page, "Feature map") != smiley
    assert erratum.is_hidden()  # which was about the other numbers
    page.get_by_label("Image row 0 column 2").fill("0.4")
    assert page.get_by_role("table", name="Feature map", exact=True).locator("data").first.inner_text() == "0.40"
    page.get_by_label("Example", exact=True).select_option("slides")
    assert numbers(page, "Feature map")[0][0] == 2
    page.get_by_role("spinbutton", name="Padding").fill("1")
    expect_text(page, "Size", "(5 + 2·1 − 3) / 1 + 1 = 5")
    assert numbers(page, "Pooled map") == [[1, 1, 0], [4, 2, 1], [0, 2, 1]]
    page.get_by_label("Keep the").select_option("sum")
    assert numbers(page, "Pooled map") == [[2, 2, 0], [6, 5, 1], [0, 3, 1]]
    errors = page.get_by_role("article", name="Two networks").locator("table").last.locator("tbody tr")
    shown = [row.locator("td").all_inner_texts() for row in errors.all()]
    assert shown == [["0.33", "0.33"], ["0.25", "0.71"], ["0.38", "1.06"]]
    words = page.get_by_text("Both err on one picture of three")
    assert words.is_visible()
    page.get_by_label("NN1 row 2 column 0").fill("0.8")
    assert words.is_hidden()
    parameters = page.get_by_role("region", name="Parameters").inner_text()
    assert "1,199,882" in parameters
    assert "18,494" in parameters


def test_what_is_cleared_leaves_nothing_in_the_lab(open_page: Open) -> None:
    page = open_page()
    inked = """id => {
        const canvas = document.getElementById(id), { width, height } = canvas;
        return canvas.toDataURL() !== Object.assign(document.createElement("canvas"), { width, height }).toDataURL();
    }"""
    page.wait_for_function(f"({inked})('lab-before') && ({inked})('lab-after')")
    page.get_by_role("button", name="Clear").click()
    assert [page.evaluate(inked, name) for name in ("lab-before", "lab-after")] == [False, False]


def test_a_picture_of_the_view_is_saved(open_page: Open) -> None:
    page = open_page()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "convolve.png"


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_nothing_serious(open_page: Open, options: dict[str, Any]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(**options)
    show(page, "conv_2", 9, 11, 12)
    page.get_by_role("button", name="Keep as A").click()
    expect_text(page, "Covered place", "Nothing covered")
    # Who speaks to the page says what is written on a button. By itself, axe leaves this rule out.
    rules = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
    found = Axe().run(page, options=rules).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert {each["id"]: [node["html"][:200] for node in each["nodes"][:5]] for each in serious} == {}


def test_the_page_is_small(open_page: Open) -> None:
    """All that is needed before the first drawing, as it goes over the wire, without what the service computes."""
    page = open_page()  # all of it, so that nothing of this first time arrives below
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    kinds: dict[str, str] = {}
    sizes: dict[str, float] = {}
    session.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.reload()
    expect_text(page, "Prediction", "%")
    ours = [
        size for number, size in sizes.items() if kinds.get(number) in ("Document", "Script", "Stylesheet", "Image")
    ]
    assert 10_000 < sum(ours) < 150_000


@pytest.mark.parametrize("width", [360, 1920])
def test_nothing_hangs_over_the_edge(open_page: Open, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_whoever_wants_less_motion_gets_none(open_page: Open) -> None:
    moving = """() => [...document.querySelectorAll("*")].filter((element) => {
        const style = getComputedStyle(element);
        const seconds = parseFloat(style.transitionDuration) + parseFloat(style.animationDuration);
        return seconds || style.scrollBehavior === "smooth";
    }).length"""
    assert open_page(reduced_motion="no-preference").evaluate(moving) > 0
    assert open_page(reduced_motion="reduce").evaluate(moving) == 0


def test_live_numbers(open_page: Open) -> None:
    page = open_page()
    page.locator("#strip-requests").get_by_text(re.compile(r"\d")).wait_for()
    assert page.get_by_role("list", name="Predicted classes").get_by_role("listitem").count() == 10
