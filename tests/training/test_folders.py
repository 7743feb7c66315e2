import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service import pictures
from service.manifest import Input
from training import folders
from training.errors import TrainingError


def draw(path: Path, shade: int = 200, *, size: tuple[int, int] = (28, 28), mode: str = "L") -> Path:
    """A picture file with a grey bar in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.new(mode, size, "black")
    sheet.paste("white" if mode == "1" else (shade,) * len(sheet.getbands()), (2, 2, size[0] // 2, size[1] // 3))
    sheet.save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of two pictures."""
    for name in ("go", "stop"):
        for number in (1, 2):
            draw(tmp_path / "signs" / name / f"{number}.png", 50 * number)
    return tmp_path / "signs"


def test_classes_are_sorted_as_people_sort(tmp_path: Path) -> None:
    for name in ("10", "2", "b", "C", "a1"):
        draw(tmp_path / name / "1.png")
    assert folders.find(tmp_path).classes == ("2", "10", "a1", "b", "C")


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "val", "testing")])
def test_divided_set_keeps_its_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    for part in names:
        for name in ("go", "stop"):
            draw(tmp_path / part / name / "1.png")
    found = folders.find(tmp_path)
    assert found.classes == ("go", "stop")
    assert len(found.files) == len(names)
    assert [label for _, label in found.files["test"]] == [0, 1]


def test_what_lies_beside_the_parts_is_named(root: Path) -> None:
    draw(root.parent / "set" / "test" / "go" / "1.png")
    root.rename(root.parent / "set" / "train")
    (root.parent / "set" / "docs").mkdir()
    with pytest.raises(TrainingError, match=r"divided into train, test: .*alone; found docs beside them; move that"):
        folders.find(root.parent / "set")


def test_linked_folders_are_followed_once(root: Path) -> None:
    draw(root.parent / "elsewhere" / "3.png", 150)
    (root / "go" / "more").symlink_to(root.parent / "elsewhere")
    (root.parent / "elsewhere" / "back").symlink_to(root / "go")
    assert [path.name for path, label in folders.find(root).files["train"] if label == 0] == ["1.png", "2.png", "3.png"]


def test_names_that_can_not_be_printed_are_told_by_number(root: Path) -> None:
    os.rename(root / "go" / "1.png", os.fsencode(root / "go") + b"/\xff\n.png")
    (root / "stop" / "new\nline.png").write_text("no picture")
    _, names, left_out = folders.read(folders.find(root), "fit")
    assert sorted(names["train"]) == ["go/2.png", r"go/\udcff\n.png", "stop/1.png", "stop/2.png"]
    assert [each.picture for each in left_out] == [r"stop/new\nline.png"]


def test_folders_in_a_class_belong_to_it(root: Path) -> None:
    draw(root / "go" / "2026" / "may" / "1.png", 90)
    draw(root / "go" / ".cache" / "1.png", 91)
    (root / "stop" / "away.png").symlink_to("nowhere.png")
    parts, names, left_out = folders.read(folders.find(root), "fit")
    assert names["train"] == ["go/1.png", "go/2.png", "go/2026/may/1.png", "stop/1.png", "stop/2.png"]
    assert len(parts["train"]) == 5
    assert [each.picture for each in left_out] == ["stop/away.png"]


def test_class_that_only_the_test_part_has_is_named(root: Path) -> None:
    root.rename(root.with_name("train"))
    draw(root.with_name("test") / "turn" / "1.png")
    draw(root.with_name("test") / "go" / "1.png")
    with pytest.raises(TrainingError, match=r"test has a class that .*train lacks: turn"):
        folders.find(root.parent)


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_part_without_classes_is_named(root: Path, part: str) -> None:
    root.rename(root.with_name("train"))
    root.with_name(part).mkdir()
    with pytest.raises(TrainingError, match=rf"{part} is empty: expected a folder for each class"):
        folders.find(root.parent)


def test_what_systems_leave_behind_is_no_class(root: Path) -> None:
    draw(root / "__MACOSX" / "1.png")
    draw(root / ".thumbnails" / "1.png")
    (root / "LICENSE").write_text("free")
    (root / "go" / "Thumbs.db").write_bytes(b"x")
    (root / "go" / ".DS_Store").write_bytes(b"x")
    found = folders.find(root)
    assert found.classes == ("go", "stop")
    assert len(found.files["train"]) == 4


def test_one_class_is_named(root: Path) -> None:
    (root / "go").rename(root.parent / "elsewhere")
    with pytest.raises(TrainingError, match=r"too few classes: expected a folder for each class.*found only stop"):
        folders.find(root)


def test_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"too few classes: .*found none"):
        folders.find(tmp_path)


def test_data_in_another_form_is_named(tmp_path: Path) -> None:
    for name in ("train.npz", "labels.csv"):
        (tmp_path / name).write_bytes(b"else")
    with pytest.raises(TrainingError, match=r"too few classes: .*found no folders, only labels\.csv, train\.npz"):
        folders.find(tmp_path)


def test_empty_class_is_named(root: Path) -> None:
    (root / "turn").mkdir()
    with pytest.raises(TrainingError, match=r"class turn in .*signs is empty: expected .*found nothing in it"):
        folders.find(root)


def test_folder_above_the_right_one_is_told(root: Path) -> None:
    with pytest.raises(TrainingError, match=r"found only the folders go, stop; is .*signs the folder that you mean"):
        folders.find(root.parent)


def test_loose_pictures_are_named(root: Path) -> None:
    draw(root / "lost.png")
    with pytest.raises(TrainingError, match=r"pictures lie loose in .*signs, such as lost.png: .*move them"):
        folders.find(root)


def test_a_loose_link_to_nothing_is_named(root: Path) -> None:
    (root / "lost.png").symlink_to("/nowhere")
    with pytest.raises(TrainingError, match=r"lost.png can not be read \(No such file or directory\)"):
        folders.find(root)


@pytest.mark.parametrize("name", [b"a\xff", b"a\nb", "a\u202eb".encode()])
def test_name_that_can_be_no_label_is_refused(root: Path, name: bytes) -> None:
    draw(root / os.fsdecode(name) / "1.png")
    with pytest.raises(TrainingError, match=r"'a.*' in .*signs can be no label: .*rename it"):
        folders.find(root)


@pytest.mark.parametrize("name", ["می\u200cخواهم", "👨\u200d👩\u200d👧", "猫\u3000犬"])
def test_names_of_any_script_are_labels(root: Path, name: str) -> None:
    draw(root / name / "1.png")
    assert name in folders.find(root).classes


def test_too_many_of_anything_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_PICTURES", 3)
    with pytest.raises(TrainingError, match="too many files: expected at most 3, found 4"):
        folders.find(root)
    monkeypatch.setattr(folders, "MAX_CLASSES", 1)
    with pytest.raises(TrainingError, match="too many classes: expected at most 1, found 2"):
        folders.find(root)


@pytest.mark.parametrize("preparation", ["fit", "centred"])
def test_training_sees_what_serving_sees(root: Path, preparation: str) -> None:
    files = [
        draw(root / "go" / "wide.jpg", 180, size=(300, 120), mode="RGB"),
        draw(root / "go" / "clear.webp", 90, size=(64, 64), mode="RGBA"),
        draw(root / "stop" / "bits.bmp", size=(40, 90), mode="1"),
    ]
    parts, names, left_out = folders.read(folders.find(root), preparation)
    assert left_out == []
    target = Input("image", (28, 28, 1), preparation=preparation)
    for path in files:
        served = pictures.prepare(pictures.open_picture(path.read_bytes(), max_pixels=10_000_000), target)
        place = names["train"].index(path.relative_to(root).as_posix())
        np.testing.assert_array_equal(parts["train"].pictures[place], served)


def test_broken_files_are_listed_and_skipped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(root / "go" / "whole.png", size=(500, 500)).read_bytes()
    (root / "go" / "cut.png").write_bytes(whole[:-200])
    (root / "go" / "empty.png").write_bytes(b"")
    (root / "go" / "notes.txt").write_text("not a picture")
    (root / "stop" / "large.png").write_bytes(whole + bytes(5_000))
    draw(root / "stop" / "vast.png", size=(900, 900))
    os.mkfifo(root / "stop" / "pipe.png")  # would wait for ever
    monkeypatch.setattr(folders, "MAX_BYTES", 5_000)
    monkeypatch.setattr(folders, "MAX_PIXELS", 800 * 800)
    parts, _, left_out = folders.read(folders.find(root), "fit")
    assert len(parts["train"]) == 5
    reasons = dict(left_out)
    assert set(reasons) == {"go/cut.png", "go/empty.png", "go/notes.txt", "stop/large.png", "stop/vast.png"}
    assert "expected at most 5,000 bytes" in reasons["stop/large.png"]
    assert "640,000 pixels" in reasons["stop/vast.png"]
    assert "PNG, JPEG, WebP, BMP or GIF" in reasons["go/notes.txt"]


def test_class_of_broken_files_is_named_with_the_first_of_them(root: Path) -> None:
    for name in ("1.png", "2.png"):
        (root / "stop" / name).write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(TrainingError, match=r"class stop has no picture that can be read in train: .*found stop/1.png"):
        folders.read(folders.find(root), "fit")
