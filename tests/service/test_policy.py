"""Which versions serve is written in one small file, and only a good one counts."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service import policy
from service.errors import BadPolicy
from service.policy import Policy

KNOWN = {1, 2, 3, 10}
CANARY = {"labels": {"stable": 2}, "canary": {"version": "latest", "share": 0.1}}


def rules(**fields: Any) -> Policy:
    return Policy.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {10}),
        ({"versions": "latest"}, {10}),
        ({"versions": {"latest": 2}}, {3, 10}),
        ({"versions": {"latest": 9}}, KNOWN),
        ({"versions": "all"}, KNOWN),
        ({"versions": [1, 3]}, {1, 3}),
        ({"versions": [1, 99]}, {1}),
        ({"versions": []}, set()),
        ({"labels": {"stable": 2}}, {2, 10}),
        ({"also": [1]}, {1, 10}),
        ({"never": [10]}, {3}),
        ({"versions": "all", "never": [1]}, {2, 3, 10}),
        ({"versions": [2], **CANARY}, {2, 10}),
        ({"versions": [2], **CANARY, "never": [10]}, {2, 3}),
        ({"versions": "all", "serve": False}, set()),
    ],
)
def test_what_is_wanted(fields: dict[str, Any], wanted: set[int]) -> None:
    assert rules(**fields).wanted(KNOWN) == wanted


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "the whole file"),
        ("{", "the whole file"),
        ("[]", "the whole file"),
        ('{"verions": "all"}', "verions"),
        ('{"versions": "newest"}', "versions"),
        ('{"versions": {"latest": 0}}', "versions"),
        ('{"versions": [true]}', "versions"),
        ('{"versions": ["1"]}', "versions"),
        ('{"labels": {"stable": 0}}', "labels.stable"),
        ('{"labels": {"../x": 1}}', "labels.../x"),
        ('{"canary": {"version": 2, "share": 0.1}}', "the whole file"),
        ('{"labels": {"stable": 1}, "canary": {"version": 2, "share": 1.5}}', "canary.share"),
        ('{"labels": {"stable": 1}, "canary": {"version": 2}, "shadow": {"version": 2}}', "the whole file"),
        ('{"labels": {"stable": 1}, "canary": {"version": 2, "rollback": {"pictures": 9}}}', "canary"),
        ('{"float_pixels": "guess"}', "float_pixels"),
        (
            '{"labels": {"stable": 1}, "canary": {"version": 2, "promote": {"seconds": 1e999}}}',
            "canary.promote.seconds",
        ),
    ],
)
def test_a_bad_policy_names_the_field(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(BadPolicy) as error:
        policy.read(tmp_path)
    assert field in error.value.detail
    assert field in error.value.reason
    assert str(tmp_path) not in error.value.reason
    assert error.value.expected


@pytest.mark.parametrize("text", ['{"versions": "newest"}', '{"versions": {"newest": 1}}', '{"versions": [1, "x"]}'])
def test_a_field_that_takes_several_things_says_which(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(BadPolicy) as error:
        policy.read(tmp_path)
    expected = 'BadPolicy: field versions, expected "latest", "all", {"latest": how many} or a list of versions, found '
    assert error.value.reason.startswith(expected)


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert policy.read(tmp_path) == Policy()


def test_a_link_and_a_huge_file_are_no_policies(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "policy.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadPolicy):
        policy.read(tmp_path)
    (tmp_path / "policy.json").unlink()
    (tmp_path / "policy.json").write_text(" " * policy.MAX_BYTES + "{}")
    with pytest.raises(BadPolicy):
        policy.read(tmp_path)


def test_load_and_unload_undo_each_other() -> None:
    old = rules(versions={"latest": 2})
    assert old.unloaded(10).wanted(KNOWN) == {2, 3}
    assert old.unloaded(10).loaded(10).wanted(KNOWN) == {3, 10}
    assert old.loaded(1).wanted(KNOWN) == {1, 3, 10}
    assert old.unloaded(None).wanted(KNOWN) == set()
    assert old.unloaded(None).loaded(None) == rules(versions={"latest": 2}, serve=True)


def test_promoting_keeps_the_version_before_to_go_back_to() -> None:
    promoted = rules(labels={"stable": 1}).promoted(2, before=1)
    assert promoted.labels == {"stable": 2, "previous": 1}
    assert promoted.promoted(2, before=2).labels == promoted.labels
    back = promoted.taken_back(2)
    assert back.labels == {"stable": 1}
    assert back.never == {2}
    assert 2 not in back.wanted({1, 2})


def test_a_trial_of_one_version_ends_with_it_and_one_of_the_latest_waits_for_the_next() -> None:
    one = rules(labels={"stable": 1}, canary={"version": 2})
    assert one.candidate({1, 2}) == 2
    assert one.promoted(2, before=1).canary is None
    assert one.taken_back(2).canary is None
    latest = rules(labels={"stable": 1}, shadow={"version": "latest"})
    assert latest.candidate({1, 2}) == 2
    assert latest.promoted(2, before=1).candidate({1, 2}) is None
    assert latest.promoted(2, before=1).candidate({1, 2, 3}) == 3
    assert latest.taken_back(2).candidate({1, 2}) is None


def test_what_is_compared_with_can_not_be_unloaded() -> None:
    with pytest.raises(ValidationError):
        rules(**CANARY).unloaded(2)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    rule = rules(versions=[1, 2], never=[3], float_pixels="unit", **CANARY)
    policy.write(tmp_path, rule)
    assert policy.read(tmp_path) == rule
    assert [path.name for path in tmp_path.iterdir()] == ["policy.json"]


def test_a_write_that_fails_leaves_the_old_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy.write(tmp_path, rules(versions="all"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        policy.change(tmp_path, lambda old: old.loaded(7))
    assert json.loads((tmp_path / "policy.json").read_text()) == {"versions": "all"}
    assert [path.name for path in tmp_path.iterdir()] == ["policy.json"]


def test_of_many_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=policy.change, args=(tmp_path, lambda old, n=number: old.loaded(n)))
        for number in range(1, 21)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert policy.read(tmp_path).also == set(range(1, 21))


def test_an_edit_that_makes_no_sense_changes_nothing(tmp_path: Path) -> None:
    policy.write(tmp_path, rules(**CANARY))
    with pytest.raises(BadPolicy, match="stable"):
        policy.change(tmp_path, lambda old: old.unloaded(2))
    assert policy.read(tmp_path) == rules(**CANARY)
