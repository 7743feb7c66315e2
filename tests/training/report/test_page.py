from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.manifest import Manifest, Novelty
from tests.training.report.conftest import CURVES, LABELS, PART, write_version
from training.idx import MNIST
from training.report.card import tell_bounds, tell_limits
from training.report.comparison import compare
from training.report.page import (
    draw_curves,
    draw_page,
    list_classes,
    list_confusions,
    pick_worst,
    say_duration,
    shade,
    write_page,
)

VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Headings, tags and addresses; complains about what is not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(text.strip())


def test_what_was_measured_on_other_pictures_is_not_subtracted(manifest: Manifest, report: dict[str, Any]) -> None:
    before = {"version": 1, "same_pictures": True, "test": report["test"], "validation": report["validation"]}
    told = draw_page(manifest, {**report, "before": before})
    assert "change</th>" in told
    assert "other pictures" not in told
    told = draw_page(manifest, {**report, "before": {**before, "same_pictures": False}})
    assert "change</th>" not in told
    assert "other pictures than this one" in told


def test_every_part_is_there_when_its_numbers_are(manifest: Manifest, report: dict[str, Any], tmp_path: Path) -> None:
    before = compare(report, manifest, write_version(tmp_path, manifest, report, 1))
    more = {
        "before": before,
        "transfer": {
            "from": "mnist 2",
            "rows": [{"pictures": n, "learning_on": n / 1001, "from_scratch": 0.1, "frozen": 0.2} for n in (10, 1000)],
            "test": [{"pictures": 10, "learning_on": 0.614, "from_scratch": 0.1, "frozen": 0.2}],
        },
        "gate": {"passed": True, "latency_ms": 0.4, "checks": [{"check": "golden", "passed": True}]},
        "seeds": [{"seed": 1, "test": 0.997}, {"seed": 2, "test": 0.9971}],
    }
    manifest = replace(manifest, novelty=Novelty("novelty/network.xml", 0.31, {"validation": 0.01}))
    page = draw_page(manifest, report | more, pick_worst(report, PART))
    assert Outline(page).headings == [
        "Model card",
        "How good it is",
        "Beside version 1",
        "How it learnt",
        "Class by class",
        "The worst mistakes",
        "Is it right as often as it is sure?",
        "On pictures that are changed",
        "What starting from a trained network gained",
        "What is unlike the training pictures",
        "The gate",
        "Over several seeds",
        "In cheaper arithmetic",
        "How it was made",
    ]
    for words in ("0.31", "learning on", "61.4\u202f%", "latency ms", "golden", "99.71\u202f%", "temperature of 1.2"):
        assert words in page


def test_parts_without_numbers_are_left_out(manifest: Manifest, report: dict[str, Any]) -> None:
    for name in ("calibration", "stress", "before"):
        report.pop(name)
    report["test"].pop("worst")
    headings = Outline(draw_page(manifest, report)).headings
    assert "Class by class" in headings
    assert not {"The worst mistakes", "On pictures that are changed", "The gate"} & set(headings)


def test_losses_on_a_teachers_answers_are_not_drawn_beside_those_on_labels() -> None:
    loss, wrong = draw_curves(CURVES, 9, taught=True)
    assert [path.style for path in loss.paths] == ["now"]
    assert [path.style for path in wrong.paths] == ["then", "now"]
    assert [path.style for path in draw_curves(CURVES, 9, taught=False)[0].paths] == ["then", "now"]


def test_loads_nothing(manifest: Manifest, report: dict[str, Any]) -> None:
    page = draw_page(manifest, report, pick_worst(report, PART))
    outline = Outline(page)
    assert not {"script", "link", "iframe"} & set(outline.tags)
    assert all(address.startswith("data:image/png;base64,") for address in outline.addresses)
    for word in ("url(", "@import", "http://", "https://"):
        assert word not in page


def test_one_epoch_makes_no_curve(manifest: Manifest, report: dict[str, Any]) -> None:
    assert "How it learnt" in draw_page(manifest, report)
    assert "How it learnt" not in draw_page(manifest, {**report, "curves": CURVES[:1]})


def test_says_how_many_pictures_of_each_class_were_learnt(manifest: Manifest, report: dict[str, Any]) -> None:
    assert ">learnt</th>" not in draw_page(manifest, report)  # a version's from before it was written down
    told = draw_page(manifest, {**report, "learnt": dict(zip(LABELS, (1200, 71, 34), strict=True))})
    assert ">learnt</th>" in told
    assert "<td>1,200</td>" in told


def test_names_that_run_to_the_left_leave_the_rest_in_order(manifest: Manifest, report: dict[str, Any]) -> None:
    labels = ("صفر", "שתיים", "bird")
    report["test"]["per_class"] = dict(zip(labels, report["test"]["per_class"].values(), strict=True))
    page = draw_page(replace(manifest, labels=labels), report)
    assert "\u2068صفر\u2069, \u2068שתיים\u2069, \u2068bird\u2069" in page
    assert "<bdi>صفر</bdi>" in page


def test_names_of_classes_are_text(manifest: Manifest, report: dict[str, Any]) -> None:
    page = draw_page(manifest, report)
    assert "<b>fish</b>" not in page
    assert "&lt;b&gt;fish&lt;/b&gt;" in page
    assert "cat &amp; dog" in page


def test_mistakes_are_drawn_only_where_pictures_are_given(manifest: Manifest, report: dict[str, Any]) -> None:
    without, drawn = (
        draw_page(manifest, report, pictures).count("data:image") for pictures in (None, pick_worst(report, PART))
    )
    assert without == len(manifest.golden)
    assert drawn == without + len(report["test"]["worst"]) == without + 8
    assert "python -m training.report models/signs/1 --pictures" in draw_page(manifest, report)


def test_written_beside_the_numbers_or_where_asked(manifest: Manifest, report: dict[str, Any], tmp_path: Path) -> None:
    folder = write_version(tmp_path, manifest, report, 1)
    write_page(folder)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    write_page(folder, pick_worst(report, PART), file=tmp_path / "mistakes.html")
    assert "Test picture 0" in (tmp_path / "mistakes.html").read_text()


def test_colour_pictures(manifest: Manifest, report: dict[str, Any]) -> None:
    drawn = draw_page(manifest, report, {0: np.full((12, 12, 3), 90, np.uint8)})
    assert drawn.count("data:image") == len(manifest.golden) + 1


def test_many_classes_are_listed_by_their_mistakes(manifest: Manifest, report: dict[str, Any]) -> None:
    labels = tuple(f"class {number}" for number in range(60))
    confusion = np.diag(np.full(60, 10))
    confusion[7, 9] = 4
    test = report["test"] | {
        "confusion": confusion.tolist(),
        "per_class": {label: 10 / sum(row) for label, row in zip(labels, confusion, strict=True)},
        "worst": [],
    }
    page = draw_page(replace(manifest, labels=labels, golden=()), report | {"test": test})
    assert "40 of 60 classes, those with the most mistakes first" in page
    assert "<bdi>class 7</bdi> read as <bdi>class 9</bdi> (4×)" in page
    assert 'class="matrix"' not in page


def test_shades_follow_the_mistakes_and_not_the_diagonal() -> None:
    assert shade([[100, 1], [4, 50]]) == [[(100, 4), (1, 2)], [(4, 4), (50, 4)]]
    assert shade([[3, 0], [0, 3]])[0][1] == (0, 0)


def test_confusions_come_commonest_first() -> None:
    assert list_confusions(LABELS, [[9, 2, 1], [3, 9, 0], [0, 0, 9]]) == [
        (LABELS[1], LABELS[0], 3),
        (LABELS[0], LABELS[1], 2),
    ]


@pytest.mark.parametrize(("seconds", "words"), [(9, "9 s"), (754, "12 min 34 s"), (7260, "2 h 1 min")])
def test_durations(seconds: float, words: str) -> None:
    assert say_duration(seconds) == words


def test_limits_name_what_is_too_much() -> None:
    curve = [{"amount": amount, "accuracy": 1 - abs(amount) / 100} for amount in (-15, -8, 0, 8, 15)]
    assert tell_bounds("rotation", curve) == ["turned by 8 degrees"]
    assert tell_bounds("rotation", curve[:1] + curve[2:]) == [
        "turned by 15 degrees to the left",
        "turned by 8 degrees to the right",
    ]
    assert tell_bounds("scale", [{"amount": 0.5, "accuracy": 0.9}, {"amount": 1, "accuracy": 1}]) == [
        "shrunk to 50\u202f%"
    ]
    assert tell_bounds("noise", [{"amount": 0.6, "accuracy": 0.99}]) == []


def test_mistakes_that_ended_lie_on_the_axis_and_are_told_as_none() -> None:
    _, wrong = draw_curves([point | {"validation_accuracy": 1.0} for point in CURVES], 9, taught=False)
    validation = wrong.paths[-1]
    assert {dot.y for dot in validation.dots} == {wrong.y_ticks[0].place}
    assert all(dot.words.endswith("→ 0\u202f%") for dot in validation.dots)
    assert wrong.y_ticks[0].label == "≤ 0.01\u202f%"


def test_of_many_classes_those_with_the_most_mistakes_come_first() -> None:
    confusion = np.diag([0] + [1] * 49)
    confusion[0, :2] = 450, 50
    confusion[1:, 0], confusion[range(1, 45), range(1, 45)] = [1] * 44 + [0] * 5, 0
    labels = tuple(map(str, range(50)))
    accuracies = {label: row[at] / row.sum() for at, (label, row) in enumerate(zip(labels, confusion, strict=True))}
    report = {"test": {"confusion": confusion.tolist(), "per_class": accuracies}}
    assert [row["label"] for row in list_classes(labels, report)][:2] == ["0", "1"]


def test_known_data_has_its_limits(manifest: Manifest, report: dict[str, Any]) -> None:
    manifest.training["data"]["name"] = "MNIST"  # as anybody may call a folder
    assert not any("Census" in words for words in tell_limits(manifest, report))
    manifest.training["data"]["sha256"] = {idx.name: idx.sha256 for idx in MNIST}
    assert any("Census" in words for words in tell_limits(manifest, report))
