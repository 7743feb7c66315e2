"""Flags over environment over defaults; what is not understood is said."""

from math import inf
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.__main__ import main
from service.board import SLOTS
from service.settings import Settings, quota, unknown_variables


def test_defaults() -> None:
    settings = Settings.parse([])
    assert (settings.host, settings.port, settings.default_model) == ("127.0.0.1", 8000, "mnist")
    assert settings.max_pixels >= 4032 * 3024, "photographs of 12 megapixels pass"


def test_flags_win_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_PORT", "9000")
    monkeypatch.setenv("CONVOLVE_MAX_BATCH", "7")
    settings = Settings.parse(["--port", "9001"])
    assert (settings.port, settings.max_batch) == (9001, 7)


@pytest.mark.parametrize(
    "flag",
    [
        ["--port", "x"],
        ["--max-batch", "0"],
        ["--max-queue", "1"],
        ["--hang-s", "inf"],
        ["--drain-s", "inf"],
        ["--workers", str(SLOTS + 1)],
    ],
)
def test_a_bad_value_is_wrong_usage_and_names_the_setting(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flag) == 2
    told = capsys.readouterr().err.lower()
    assert flag[0].strip("-").replace("-", "_") in told
    assert "value error" not in told
    assert "--settings" not in told  # what several of them are together has no name


def test_one_port_is_not_enough_for_two_protocols() -> None:
    with pytest.raises(ValidationError, match="must differ"):
        Settings(port=8000, grpc_port=8000)


def test_an_unknown_flag_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as end:
        main(["--prot", "9000"])
    assert end.value.code == 2


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_a_misspelt_variable_is_found_and_those_of_training_are_not() -> None:
    environment = {"CONVOLVE_PROT": "1", "CONVOLVE_DATA": "x", "CONVOLVE_PORT": "1", "PATH": "x"}
    assert unknown_variables(environment) == ["CONVOLVE_PROT"]


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, inf),
        ({}, inf),
    ],
    ids=["version 2", "version 2 without limit", "version 1", "version 1 without limit", "none"],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], cores: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(
    ("cores", "options", "threads", "spare"),
    [
        (1, {}, 1, 0),
        (2, {}, 1, 1),
        (8, {}, 1, 1),
        (2, {"workers": 1}, 2, 0),
        (8, {"workers": 2}, 4, 0),
        (2, {"threads": 1}, 1, 0),
    ],
)
def test_a_worker_gets_its_share_of_the_cores_and_another_while_the_rest_have_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, cores: int, options: dict[str, int], threads: int, spare: int
) -> None:
    monkeypatch.setattr(Settings, "cores", cores)
    settings = Settings(**options)
    assert (settings.threads_each, settings.threads_spare) == (threads, spare)


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FEEDBACK", "ADMIN_TOKEN", "GRPC_PORT", "PORT"):
        monkeypatch.setenv(f"CONVOLVE_{name}", "")
    settings = Settings.parse([])
    assert (settings.feedback, settings.admin_token, settings.grpc_port, settings.port) == (None, None, None, 8000)
    assert Settings.parse(["--feedback", ""]).feedback is None, "and not the folder that we are in"
