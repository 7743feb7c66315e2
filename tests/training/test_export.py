import json
import os
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import openvino
import pytest
import tensorflow as tf

from service.errors import BadVersion
from service.manifest import Manifest, digest
from tests.training.conftest import make_config
from training import export, strokes
from training.calibrate import Temperature
from training.checkpoint import Progress
from training.datasets import Dataset, Part
from training.errors import TrainingError
from training.network import build_network
from training.novelty import build
from training.report.figures import Figures, measure_figures

pytestmark = pytest.mark.tensorflow

CURVES = [
    {"epoch": 1, "loss": 0.7, "accuracy": 0.8, "validation_loss": 0.5, "validation_accuracy": 0.9, "seconds": 2.5},
]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Untrained: nothing here depends on what it knows."""
    keras.utils.set_random_seed(5)
    return build_network()


@pytest.fixture(scope="module")
def figures(network: keras.Model, tiny: Dataset) -> Figures:
    parts = {"validation": tiny.test, "test": tiny.test}
    return measure_figures(partial(network.predict, verbose=0), parts, tiny.classes, Temperature(1.25, 0.1))


@pytest.fixture(scope="module")
def manifest(network: keras.Model, tiny: Dataset, figures: Figures) -> Manifest:
    return export.describe(make_config(Path("somewhere")), tiny, network, Progress(CURVES), figures)


@pytest.fixture(scope="module")
def report(figures: Figures, tiny: Dataset) -> dict[str, Any]:
    return export.report(Progress(CURVES), figures, tiny)


@pytest.fixture(scope="module")
def parts(tiny: Dataset) -> dict[str, Part]:
    return {"training": tiny.train, "validation": tiny.test, "test": tiny.test}


@pytest.fixture(scope="module")
def version(
    network: keras.Model,
    manifest: Manifest,
    report: dict[str, Any],
    parts: dict[str, Part],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A published version."""
    folder = export.open_folder(tmp_path_factory.mktemp("models") / "tiny", "--models")
    return export.publish(folder, network, manifest, report, parts)


def test_signature_is_the_contract_in_plain_tensorflow(version: Path, network: keras.Model, tiny: Dataset) -> None:
    answer = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert answer.structured_input_signature == (
        (),
        {"image": tf.TensorSpec((None, 28, 28, 1), tf.uint8, name="image")},
    )
    assert answer.structured_outputs == {"probabilities": tf.TensorSpec((None, 10), tf.float32, name="probabilities")}
    for count in (1, 3):
        pictures = tiny.test.pictures[:count]
        found = answer(image=tf.constant(pictures))["probabilities"]
        np.testing.assert_allclose(found, network(pictures), atol=1e-6)


def test_openvino_reads_the_folder_as_it_is(version: Path) -> None:
    read = openvino.Core().read_model(version)
    ports = [
        (port.names, port.element_type.to_string(), port.partial_shape.to_string())
        for port in (*read.inputs, *read.outputs)
    ]
    assert ports == [({"image"}, "u8", "[?,28,28,1]"), ({"probabilities"}, "f32", "[?,10]")]


def test_every_weight_is_written_once(version: Path) -> None:
    sizes = sum(path.stat().st_size for path in (version / "variables").iterdir())
    assert 4 * 1_199_882 < sizes < 4 * 1_199_882 + 2_000


def test_manifest_keeps_the_contract(version: Path) -> None:
    written = Manifest.read(version)
    assert (written.name, written.version, version.name) == ("tiny", 1, "1")
    assert written.input.shape == (28, 28, 1)
    assert written.input.name == "image"
    assert written.labels == tuple("0123456789")
    assert written.parameters == 1_199_882
    assert len(written.golden) == 10
    assert written.training["recipe"]["batch"] == 16
    assert written.training["seed"] == 1
    assert written.training["temperature"] == 1.25
    assert written.training["data"]["training"] == 60
    assert set(written.training["versions"]) == {"python", "keras", "tensorflow", "numpy"}


def test_report_lies_beside_the_network(version: Path, report: dict[str, Any]) -> None:
    written = json.loads((version / "report.json").read_text())
    assert written.pop("gate")["passed"]
    assert written == json.loads(json.dumps(report)) | {"before": None}
    page = (version / "report.html").read_text()
    assert "<h1>tiny <small>version 1</small></h1>" in page


def test_manifest_lists_every_file_of_the_network(version: Path) -> None:
    network = [version / "saved_model.pb", version / "fingerprint.pb", *(version / "variables").iterdir()]
    network += (version / "int8").iterdir()
    files = {path.relative_to(version).as_posix(): digest(path) for path in network}
    assert Manifest.read(version).files == files
    assert len(files) == 6


def test_golden_pictures_are_the_surest_of_ones_own_or_drawn_where_those_are_not_ours(
    network: keras.Model, tiny: Dataset
) -> None:
    own = export.pick_golden(tiny, network)
    assert len(own) == 10
    known = {picture.tobytes() for picture in tiny.validation.pictures}
    assert {picture.tobytes() for picture in own} <= known
    drawn = export.pick_golden(replace(tiny, shareable=False), network)
    np.testing.assert_array_equal(drawn, strokes.golden((28, 28, 1)))


def test_mistakes_are_called_by_their_files(tiny: Dataset, figures: Figures) -> None:
    named = replace(tiny, test_names=tuple(f"{label}/{place}.png" for place, label in enumerate(tiny.test.labels)))
    told = export.report(Progress(CURVES), figures, named)["test"]["files"]
    assert told == {str(place): f"{tiny.test.labels[place]}/{place}.png" for place in figures.test.wrong}


def test_golden_answers_are_the_networks(version: Path, network: keras.Model) -> None:
    for golden in Manifest.read(version).golden:
        pixels = np.frombuffer(golden.pixels, np.uint8).reshape(1, 28, 28, 1)
        np.testing.assert_allclose(network(pixels)[0], golden.probabilities, atol=1e-6)


def test_nothing_of_this_machines_folders_is_written(version: Path) -> None:
    for path in version.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(Path(__file__).parents[2]).encode() not in content
            assert str(version.parent).encode() not in content
            assert b"site-packages" not in content


def test_others_may_read_a_version(version: Path) -> None:
    assert version.stat().st_mode & 0o777 == 0o755


def test_next_version_has_the_next_number_and_is_compared_with_the_one_before(
    network: keras.Model,
    manifest: Manifest,
    report: dict[str, Any],
    parts: dict[str, Part],
    version: Path,
    tmp_path: Path,
) -> None:
    for name in ("2", "10", "notes"):
        (tmp_path / name).mkdir()
    for name in ("report.json", "manifest.json"):
        (tmp_path / "10" / name).write_bytes((version / name).read_bytes())
    published = export.publish(tmp_path, network, manifest, report, parts, {0: parts["test"].pictures[0]})
    assert published == tmp_path / "11"
    before = json.loads((published / "report.json").read_text())["before"]
    assert before["same_pictures"]
    assert before["newly_right"] == before["newly_wrong"] == []
    assert "version 11" in (published / "report.html").read_text()


def test_what_killed_runs_left_is_removed_and_what_others_write_stays(tmp_path: Path) -> None:
    for name, age_s in ((".draft-old", 90_000), (".draft-new", 60), (".git", 90_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.utime(tmp_path / name, (0, time.time() - age_s))
    export.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".draft-new", ".git"}


def test_failure_leaves_nothing_behind(
    network: keras.Model,
    manifest: Manifest,
    report: dict[str, Any],
    parts: dict[str, Part],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(export, "sync", fail)
    with pytest.raises(OSError, match="disk full"):
        export.publish(tmp_path, network, manifest, report, parts)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_said_with_the_way_on(
    network: keras.Model,
    manifest: Manifest,
    report: dict[str, Any],
    parts: dict[str, Part],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(export, "quantize", fail)
    with pytest.raises(RuntimeError, match="iostream"):  # whatever it is, it is not the disk
        export.publish(tmp_path, network, manifest, report, parts)
    monkeypatch.setattr(export.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(TrainingError, match=r"no room for a version; make some, and give .* --resume"):
        export.publish(tmp_path, network, manifest, report, parts)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_was_empty_and_is_gone_is_made_again(
    network: keras.Model, manifest: Manifest, report: dict[str, Any], parts: dict[str, Part], tmp_path: Path
) -> None:
    assert export.publish(tmp_path / "gone", network, manifest, report, parts) == tmp_path / "gone" / "1"


def test_network_that_answers_otherwise_is_not_published(
    network: keras.Model, manifest: Manifest, parts: dict[str, Part], tmp_path: Path
) -> None:
    wrong = replace(manifest.golden[0], probabilities=(1.0, *manifest.golden[0].probabilities[1:]))
    with pytest.raises(
        TrainingError,
        match=r"golden pictures: .* within 1e-05 of Keras', .*found .* in openvino",
    ):
        export.publish(tmp_path, network, replace(manifest, golden=(wrong,)), {}, parts)
    assert list(tmp_path.iterdir()) == []


def test_network_that_can_not_be_loaded_is_not_published(
    network: keras.Model, manifest: Manifest, parts: dict[str, Part], tmp_path: Path
) -> None:
    with pytest.raises(BadVersion):
        export.publish(tmp_path, network, replace(manifest, labels=("one", "two")), {}, parts)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_get_a_number_each(manifest: Manifest, tmp_path: Path) -> None:
    def publish(word: str) -> None:
        draft = tmp_path / f".{word}"
        draft.mkdir()
        (draft / "saved_model.pb").write_text(word)
        together.wait()
        export.claim(draft, tmp_path, manifest, lambda _: None)

    together = threading.Barrier(8)
    threads = [threading.Thread(target=publish, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = sorted(int(path.name) for path in tmp_path.iterdir())
    assert versions == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len({(tmp_path / str(number) / "saved_model.pb").read_text() for number in versions}) == 8
    for number in versions:
        assert Manifest.read(tmp_path / str(number)).version == number


def test_folder_that_can_not_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(TrainingError, match=r"models/tiny can not be written .*--models"):
        export.open_folder(tmp_path / "models" / "tiny", "--models")


def test_report_has_curves_and_all_that_was_measured(report: dict[str, Any]) -> None:
    report = json.loads(json.dumps(report))
    assert report["curves"] == CURVES
    assert report["best_epoch"] == 1
    assert report["test"]["pictures"] == 20
    assert report["calibration"]["temperature"] == 1.25
    assert report["calibration"]["test"].keys() == {"before", "after"}
    assert report["stress"].keys() == {"shift", "rotation", "scale", "noise", "thickness"}


def test_novelty_network_is_listed_and_told(
    network: keras.Model, manifest: Manifest, report: dict[str, Any], parts: dict[str, Part], tmp_path: Path
) -> None:
    score = build((28, 28, 1), 10, "float32")
    score = keras.Model(score.inputs, score.outputs[0][:, -1:])
    folder = export.publish(tmp_path, network, manifest, report, parts, novelty=score)
    written = Manifest.read(folder)
    assert written.novelty is not None
    assert {"novelty/network.xml", "novelty/network.bin"} < written.files.keys()
    assert json.loads((folder / "report.json").read_text())["novelty"]["threshold"] == written.novelty.threshold
