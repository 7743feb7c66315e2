"""The models that the growth curve is measured with."""

from pathlib import Path

from benchmarks import growth
from service.repository import Repository


def test_each_copy_of_the_shipped_version_serves_under_a_name_of_its_own(tmp_path: Path) -> None:
    names = [growth.copy(tmp_path, number) for number in range(2)]
    assert [Repository(tmp_path).open(name, 1).name for name in names] == names
