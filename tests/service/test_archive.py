"""Whatever a class is called, it has a folder of its own."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from service.archive import folder_of


@pytest.mark.parametrize(
    "label", ["7", "a/b", "Стоянка запрещена по нечётным числам месяца, кроме такси", "50 %", ".x"]
)
def test_a_folder_says_its_class(label: str) -> None:
    assert unquote(folder_of(label)) == label


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("7", "7"),
        ("tabby cat", "tabby cat"),
        ("..", "%2E."),
        ("a/b", "a%2Fb"),
        ("", "%"),
        ("\0", "%00"),
        ("é" * 500, None),
    ],
)
def test_every_class_has_a_folder_of_its_own_inside(tmp_path: Path, label: str, folder: str | None) -> None:
    assert folder in (None, folder_of(label))
    (tmp_path / folder_of(label)).mkdir()
    assert (tmp_path / folder_of(label)).resolve().parent == tmp_path.resolve()


def test_long_classes_that_begin_alike_have_two_folders() -> None:
    assert folder_of("漢" * 100 + "一") != folder_of("漢" * 100 + "二")
