import hashlib
import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service import pictures
from service.archive import folder_of
from service.manifest import Golden, Input, Manifest
from training import sources
from training.errors import TrainingError

RANDOM = np.random.default_rng(8)


def fill(folder: Path, count: int, size: int = 28) -> None:
    """Different pictures, named as the service names those that it keeps."""
    folder.mkdir(parents=True)
    for pixels in RANDOM.integers(0, 256, (count, size, size), np.uint8):
        name = hashlib.sha256(pixels.tobytes()).hexdigest()[:32]
        Image.fromarray(pixels).save(folder / f"{name}.png")


def write_idx(folder: Path, size: int = 28, labels: tuple[int, ...] = (3, 7)) -> None:
    """A set in MNIST's form: ten and four pictures of each class."""
    folder.mkdir(exist_ok=True)
    for part, count in (("train", 10), ("t10k", 4)):
        numbers = np.tile(np.array(labels, np.uint8), count)
        pixels = RANDOM.integers(0, 256, (len(numbers), size, size), np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(numbers)) + numbers.tobytes())


def test_class_folders(tmp_path: Path) -> None:
    for name in ("go", "stop", "turn"):
        fill(tmp_path / "signs" / name, 10, size=40)
    data = sources.load(tmp_path / "signs", "signs")
    assert (data.name, data.classes, data.preparation) == ("signs", ("go", "stop", "turn"), "fit")
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)
    assert data.train.pictures.shape[1:] == (28, 28, 1)
    assert str(tmp_path) not in repr(data.source)
    labels = [data.classes.index(name.split("/")[0]) for name in data.test_names]
    assert labels == data.test.labels.tolist()
    kept = pictures.open_picture((tmp_path / "signs" / data.test_names[0]).read_bytes(), max_pixels=2_000)
    again = pictures.prepare(kept, Input("image", (28, 28, 1), preparation="fit"))
    np.testing.assert_array_equal(again, data.test.pictures[0])


def test_digest_follows_the_pictures_and_not_their_names(tmp_path: Path) -> None:
    for name in ("go", "stop"):
        fill(tmp_path / "signs" / name, 6)
    before = sources.load(tmp_path / "signs", "signs").digests
    first = min((tmp_path / "signs" / "go").iterdir())
    first.rename(first.with_name("renamed.png"))
    assert sources.load(tmp_path / "signs", "signs").digests == before
    Image.new("L", (28, 28), 7).save(first)
    assert sources.load(tmp_path / "signs", "signs").digests != before


def test_another_set_in_the_form_of_mnist(tmp_path: Path) -> None:
    write_idx(tmp_path)
    data = sources.load(tmp_path, "letters")
    assert data.classes == ("3", "7")
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 8)
    assert set(data.digests) == {path.name for path in tmp_path.iterdir()}
    content = (tmp_path / "t10k-images-idx3-ubyte").read_bytes()
    assert data.test.pictures.tobytes() == content[16:]


def test_larger_pictures_of_such_a_set_are_scaled(tmp_path: Path) -> None:
    write_idx(tmp_path, size=40)
    assert sources.load(tmp_path, "letters").train.pictures.shape == (16, 28, 28, 1)


def test_names_lie_beside_such_a_set(tmp_path: Path) -> None:
    write_idx(tmp_path, labels=(0, 1))
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    assert sources.load(tmp_path, "pets").classes == ("dog", "cat")
    (tmp_path / "classes.txt").write_text("dog\n")
    with pytest.raises(TrainingError, match=r"classes.txt: expected 2 different names.*found 1"):
        sources.load(tmp_path, "pets")
    (tmp_path / "classes.txt").write_text("dog\ncat\n", encoding="utf-8-sig")  # as Windows writes it
    assert sources.load(tmp_path, "pets").classes == ("dog", "cat")
    (tmp_path / "classes.txt").write_text("dog\nc\aat\n")
    with pytest.raises(TrainingError, match=r"'c\\x07at' can be no label: expected characters that can be printed"):
        sources.load(tmp_path, "pets")


def test_test_pictures_without_a_pixel_are_said(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 8, 28, 0))
    with pytest.raises(TrainingError, match="expected pictures to test on, found 8 × 28 × 0"):
        sources.load(tmp_path, "pets")


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    write_idx(folder)
    sources.load(folder, "letters").name.encode()


@pytest.mark.parametrize(("count", "rows"), [(0, 28), (20, 0)])
def test_a_set_with_nothing_to_learn_from_says_so(tmp_path: Path, count: int, rows: int) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, rows, 28) + bytes(0))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + bytes(count))
    with pytest.raises(TrainingError, match=f"expected pictures to learn from, found {count} × {rows} × 28"):
        sources.load(tmp_path, "pets")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected the header 00000803, found an empty file"),
        (struct.pack(">4I", 0x803, 20, 28, 28) + bytes(100), "expected 15,696 bytes unpacked, found 116"),
        (struct.pack(">4I", 0x803, 1, 28, 28) + bytes(784), "train has 1 pictures and 20 labels"),
    ],
)
def test_bad_file_of_such_a_set_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(TrainingError, match=words):
        sources.load(tmp_path, "letters")


@pytest.mark.mnist
def test_mnist_is_known_by_its_content(mnist_folder: Path, tmp_path: Path) -> None:
    data = sources.load(mnist_folder, "digits")
    assert (data.name, data.preparation, data.shareable) == ("MNIST", "centred", False)
    write_idx(tmp_path)
    for path in mnist_folder.glob("t10k-labels*"):
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(TrainingError, match="is not train-images-idx3-ubyte: expected the header"):
        sources.load(tmp_path, "digits")  # MNIST with other pictures is no MNIST


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What a service keeps: pictures of two models, seen through or not."""
    for model in ("mnist", "signs"):
        for label in ("7", "a/b"):
            fill(tmp_path / "kept" / model / "labelled" / folder_of(label), 5)
        fill(tmp_path / "kept" / model / "unlabelled" / "7", 3)
    (tmp_path / "kept" / ".claims").mkdir()
    return tmp_path / "kept"


@pytest.mark.parametrize("place", ["", "signs", "signs/labelled"])
def test_feedback_is_found_wherever_one_points(store: Path, place: str) -> None:
    data = sources.load(store / place, "signs")
    assert data.classes == ("7", "a/b")
    assert len(data.train) + len(data.validation) + len(data.test) == 10
    assert data.left_out == ()


def test_a_class_that_lost_its_last_picture_to_another_label_is_none(store: Path) -> None:
    (store / "signs" / "labelled" / "9").mkdir()
    assert sources.load(store, "signs").classes == ("7", "a/b")


def test_pictures_of_ones_own_beside_others_are_no_feedback(store: Path) -> None:
    folder = store / "signs" / "labelled"
    shutil.copy(next((folder / "7").iterdir()), folder / "7" / "mine.png")
    assert sources.find_feedback(folder, "signs") is None


def test_feedback_of_several_models_needs_a_name(store: Path) -> None:
    with pytest.raises(TrainingError, match=r"several models: expected letters .*found mnist, signs; say --name"):
        sources.load(store, "letters")


def test_feedback_is_prepared_as_its_model_prepares(store: Path, tmp_path: Path) -> None:
    golden = Golden(bytes(784), (0.5, 0.5))
    manifest = Manifest("mnist", 1, "2026-11-21", Input("image", (28, 28, 1)), ("7", "a/b"), 1, {}, (golden,))
    for version, preparation in ((1, "fit"), (2, "centred")):
        folder = tmp_path / "models" / "mnist" / str(version)
        folder.mkdir(parents=True)
        given = replace(manifest.input, preparation=preparation)
        replace(manifest, version=version, input=given).write(folder)
    kept = {path.read_bytes() for path in (store / "mnist" / "labelled").rglob("*.png")}
    data = sources.load(store, "mnist", None, tmp_path / "models")
    assert data.preparation == "centred"
    pixels = {np.asarray(Image.open(path)).tobytes() for path in (store / "mnist" / "labelled").rglob("*.png")}
    assert len(kept) == 10
    assert {picture.tobytes() for picture in data.train.pictures} < pixels  # bit for bit, not centred again
    assert sources.load(store, "signs", None, tmp_path / "models").preparation == "fit"


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"missing is not a folder: .*nothing of that name"):
        sources.load(tmp_path / "missing", "signs")
    (tmp_path / "signs.zip").write_bytes(b"PK")
    with pytest.raises(TrainingError, match="if it is an archive, unpack it first"):
        sources.load(tmp_path / "signs.zip", "signs")
