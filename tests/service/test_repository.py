"""A version serves whole or not at all, and a bad one says why."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.errors import BadManifest, BadVersion
from service.manifest import Manifest, Novelty
from service.repository import Repository
from tests.service.conftest import SHIPPED, Start


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of one's own with the shipped version in it."""
    shutil.copytree(SHIPPED, tmp_path / "mnist" / "1")
    return tmp_path


def edit(store: Path, change: Callable[[Any], None]) -> None:
    path = store / "mnist" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def copy_as(store: Path, version: int) -> None:
    target = store / "mnist" / str(version)
    shutil.copytree(SHIPPED, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, "version": version}))


def test_versions_compare_as_numbers_and_other_names_are_no_versions(store: Path) -> None:
    for name in ("10", "9", "01", ".3.tmp", "latest", "-1"):
        (store / "mnist" / name).mkdir()
    assert Repository(store).versions("mnist") == [1, 9, 10]


def test_only_folders_with_versions_are_models(store: Path) -> None:
    (store / "empty").mkdir()
    (store / ".hidden" / "1").mkdir(parents=True)
    (store / "file").write_text("")
    assert Repository(store).names() == ["mnist"]


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Repository(tmp_path / "nowhere").names() == []


def test_a_written_manifest_reads_back_the_same(store: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(store / "mnist" / "1")
    manifest.write(tmp_path)
    assert vars(Manifest.read(tmp_path)) == vars(manifest)


def test_what_a_version_says_of_novelty_reads_back_the_same(store: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(store / "mnist" / "1")
    novelty = Novelty("novelty/network.xml", 0.5, {"validation": 0.01})
    files = {**manifest.files, "novelty/network.xml": "0", "novelty/network.bin": "0"}
    replace(manifest, novelty=novelty, files=files).write(tmp_path)
    assert Manifest.read(tmp_path).novelty == novelty


NOVELTY: dict[str, Any] = {"network": "saved_model.pb", "threshold": 0.5, "flagged": {}}
BAD_MANIFESTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "format": (lambda m: m.update(format=99), "format"),
    "name": (lambda m: m.pop("name"), "name"),
    "version": (lambda m: m.update(version="1"), "version"),
    "boolean": (lambda m: m.update(version=True), "version"),
    "labels": (lambda m: m.update(labels=["one"]), "labels"),
    "shape": (lambda m: m["input"].update(shape=[28, 28]), "input.shape"),
    "negative": (lambda m: m["input"].update(shape=[28, -28, 1]), "input.shape"),
    "dtype": (lambda m: m["input"].update(dtype="float32"), "input.dtype"),
    "accuracy": (lambda m: m["accuracy"].update(test=99.4), "accuracy.test"),
    "same labels": (lambda m: m.update(labels=["one"] * 10), "labels"),
    "preparation": (lambda m: m["input"].update(preparation="centered"), "input.preparation"),
    "polarity": (lambda m: m["input"].update(polarity="dark"), "input.polarity"),
    "no golden": (lambda m: m.update(golden=[]), "golden"),
    "precisions": (lambda m: m.update(precisions=[]), "precisions"),
    "no f32": (lambda m: m["precisions"].pop("f32"), "precisions"),
    "precision": (lambda m: m["precisions"]["f32"].update(validation="0.99"), "precisions.f32"),
    "precision's network": (lambda m: m["precisions"]["int8"].update(network="../3/x.xml"), "precisions.int8.network"),
    "golden": (lambda m: m["golden"][0].update(pixels="AAAA"), "golden[0].pixels"),
    "golden answers": (lambda m: m["golden"][1]["probabilities"].pop(), "golden[1].probabilities"),
    "novelty": (lambda m: m.update(novelty=0.5), "novelty"),
    "novelty network": (lambda m: m.update(novelty=NOVELTY | {"network": "../x"}), "novelty.network"),
    "novelty threshold": (lambda m: m.update(novelty=NOVELTY | {"threshold": 2}), "novelty.threshold"),
    "novelty flagged": (lambda m: m.update(novelty=NOVELTY | {"flagged": {"test": -1}}), "novelty.flagged.test"),
    "escape": (lambda m: m["files"].update({"../secret": "0"}), "files.../secret"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_bad_manifest_is_reported_with_file_and_field(store: Path, case: str) -> None:
    change, field = BAD_MANIFESTS[case]
    edit(store, change)
    with pytest.raises(BadManifest) as error:
        Repository(store).open("mnist", 1)
    assert "manifest.json" in error.value.detail
    assert field in error.value.detail
    assert field in error.value.reason
    assert error.value.expected


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", "[" * 100_000], ids=repr)
def test_a_manifest_that_is_no_json_object(store: Path, text: str) -> None:
    (store / "mnist" / "1" / "manifest.json").write_text(text)
    with pytest.raises(BadManifest):
        Repository(store).open("mnist", 1)


def remove_weights(folder: Path) -> None:
    next((folder / "variables").glob("*.data-*")).unlink()


def truncate_weights(folder: Path) -> None:
    weights = next((folder / "variables").glob("*.data-*"))
    weights.write_bytes(weights.read_bytes()[:1000])


def flip_a_bit(folder: Path) -> None:
    weights = next((folder / "variables").glob("*.data-*"))
    data = bytearray(weights.read_bytes())
    data[1000] ^= 1
    weights.write_bytes(data)


def link_out(folder: Path) -> None:
    graph = folder / "saved_model.pb"
    graph.rename(folder.parents[2] / "elsewhere.pb")
    graph.symlink_to(folder.parents[2] / "elsewhere.pb")


@pytest.mark.parametrize("damage", [remove_weights, truncate_weights, flip_a_bit, link_out])
def test_a_damaged_version_is_refused(store: Path, damage: Callable[[Path], None]) -> None:
    damage(store / "mnist" / "1")
    with pytest.raises(BadVersion):
        Repository(store).open("mnist", 1)


def test_a_version_in_the_wrong_place_is_refused(store: Path) -> None:
    (store / "mnist" / "1").rename(store / "mnist" / "2")
    with pytest.raises(BadVersion, match="mnist 2"):
        Repository(store).open("mnist", 2)


def test_the_newest_good_version_serves_and_the_bad_one_is_shown_with_its_reason(store: Path, start: Start) -> None:
    for version in (9, 10, 11):
        copy_as(store, version)
    truncate_weights(store / "mnist" / "11")
    client = start(models=store)
    states = {each["version"]: each for each in client.get("/models").json()["models"]}
    assert {version: each["state"] for version, each in states.items()} == {
        1: "available",
        9: "available",
        10: "serving",
        11: "refused",
    }
    assert "SHA-256" in states[11]["reason"]
    assert str(store) not in states[11]["reason"]
    assert client.get("/health/ready").status_code == 200


def swap_labels(manifest: Any) -> None:
    manifest["labels"].append("eleven")
    for golden in manifest["golden"]:
        golden["probabilities"].append(0.0)


def swap_answers(manifest: Any) -> None:
    manifest["golden"][0]["probabilities"].reverse()


def swap_input(manifest: Any) -> None:
    manifest["input"]["name"] = "picture"


@pytest.mark.parametrize("change", [swap_labels, swap_answers, swap_input])
def test_a_network_that_breaks_its_manifests_promises_does_not_serve(
    store: Path, start: Start, change: Callable[[Any], None]
) -> None:
    edit(store, change)
    client = start(models=store)
    (model,) = client.get("/models").json()["models"]
    assert model["state"] == "refused"
    assert client.get("/health/ready").status_code == 503
