"""The command line: data on stdout, talk on stderr, and an exit status that tells."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from starlette.testclient import TestClient

from convolve import Client, command
from tests.convolve.conftest import Script, Through
from tests.fakes import Store, Wary, tell_novelty
from tests.service.conftest import EXAMPLES, Start

SEVEN = EXAMPLES / "seven.png"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def transport(client: TestClient) -> httpx2.BaseTransport:
    return Through(client)


@pytest.fixture
def run(transport: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: status, stdout, stderr."""
    monkeypatch.setattr(command, "Client", lambda url: Client(url, transport=transport))

    def run(*words: object) -> tuple[int, str, str]:
        status = command.main([*map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


class TestPredict:
    def test_a_table(self, run: Run) -> None:
        status, out, err = run("predict", EXAMPLES / "3.png", SEVEN)
        assert (status, err) == (0, "")
        head, three, seven = out.splitlines()
        assert head.split() == ["file", "label", "probability", "top"]
        assert three.split()[:2] == [str(EXAMPLES / "3.png"), "3"]
        assert seven.split()[1] == "7"

    def test_csv(self, run: Run) -> None:
        _, out, _ = run("predict", SEVEN, "--format", "csv")
        (row,) = csv.DictReader(io.StringIO(out))
        assert (row["file"], row["label"], row["model"], row["error"]) == (str(SEVEN), "7", "mnist", "")
        assert float(row["probability"]) > 0.9
        assert json.loads(row["top"])[0]["label"] == "7"

    def test_json(self, run: Run) -> None:
        _, out, _ = run("predict", SEVEN, "--format", "json", "--top", 2)
        (row,) = json.loads(out)
        assert (row["label"], row["class_id"], row["version"], row["error"]) == ("7", 7, 1, None)
        assert len(row["top"]) == 2
        assert row["request_id"]

    def test_a_picture_that_fails_has_its_row_and_the_others_are_answered(self, run: Run, tmp_path: Path) -> None:
        text = tmp_path / "text.png"
        text.write_text("hello")
        status, out, err = run("predict", SEVEN, text, tmp_path / "missing.png", SEVEN, "--format", "json")
        assert status == 1
        assert "2 of 4 pictures failed" in err
        rows = json.loads(out)
        assert [row["label"] for row in rows] == ["7", None, None, "7"]
        assert "PNG" in rows[1]["error"]
        assert "No such file" in rows[2]["error"]

    def test_a_folder_is_searched_for_pictures(self, run: Run, tmp_path: Path) -> None:
        for name in ("b.PNG", "a/deep.png", ".hidden/no.png", ".no.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(SEVEN, tmp_path / name)
        (tmp_path / "notes.txt").write_text("no picture")
        _, out, _ = run("predict", tmp_path, "--format", "csv")
        assert [row["file"] for row in csv.DictReader(io.StringIO(out))] == [
            str(tmp_path / "a/deep.png"), str(tmp_path / "b.PNG")
        ]  # fmt: skip

    def test_a_quoted_pattern_is_resolved(self, run: Run) -> None:
        _, out, _ = run("predict", EXAMPLES / "[0-2].png", "--format", "csv")
        assert [row["label"] for row in csv.DictReader(io.StringIO(out))] == ["0", "1", "2"]

    @pytest.mark.parametrize("pattern", ["*", "**"])
    def test_a_quoted_pattern_goes_into_folders(self, run: Run, tmp_path: Path, pattern: str) -> None:
        for name in ("a folder/deep.png", "folder.png/deep.png", "x.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(SEVEN, tmp_path / name)
        names = [str(tmp_path / name) for name in ("a folder/deep.png", "folder.png/deep.png", "x.png")]
        for argument in (tmp_path / pattern, tmp_path):
            status, out, _ = run("predict", argument, "--format", "csv")
            assert (status, [row["file"] for row in csv.DictReader(io.StringIO(out))]) == (0, names)

    def test_an_empty_folder_fails(self, run: Run, tmp_path: Path) -> None:
        assert run("predict", tmp_path)[0] == 1

    def test_stdin(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SEVEN.read_bytes())))
        _, out, _ = run("predict", "-", "--format", "json")
        assert [(row["file"], row["label"]) for row in json.loads(out)] == [("-", "7")]

    @pytest.mark.parametrize("closed", ["stdin", "stdout"])
    def test_what_is_closed_is_told_in_a_line(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], closed: str
    ) -> None:
        monkeypatch.setattr(sys, closed, None)
        status, *_ = run("predict", "-", "--output", os.devnull) if closed == "stdin" else run("predict", SEVEN)
        assert status == 1
        assert capsys.readouterr().err.count("\n") <= 1

    def test_an_argument_that_is_no_utf_8_is_told_in_a_line(self, run: Run) -> None:
        status, out, err = run("predict", SEVEN, "--model", "\udcff")
        assert (status, out) == (1, "")
        assert err.count("\n") == 1

    def test_into_a_file(self, run: Run, tmp_path: Path) -> None:
        status, out, _ = run("predict", SEVEN, "--format", "json", "--output", tmp_path / "out.json")
        assert (status, out) == (0, "")
        assert json.loads((tmp_path / "out.json").read_text())[0]["label"] == "7"

    def test_what_the_network_was_given_is_written_beside(self, run: Run, tmp_path: Path) -> None:
        text = tmp_path / "text.png"
        text.write_text("hello")
        folder = tmp_path / "new" / "seen"
        _, out, _ = run("predict", SEVEN, text, EXAMPLES / "photo.jpg", "--seen", folder, "--format", "json")
        rows = json.loads(out)
        assert [row["seen"] and Path(row["seen"]).name for row in rows] == ["0001-seven.png", None, "0003-photo.png"]
        assert {Image.open(io.BytesIO(path.read_bytes())).size for path in folder.iterdir()} == {(28, 28)}

    def test_a_warning_has_its_column_where_there_is_one(self, run: Run, tmp_path: Path) -> None:
        blank = tmp_path / "blank.png"
        Image.new("L", (28, 28)).save(blank)
        _, out, _ = run("predict", SEVEN, blank, "--seen", tmp_path / "seen")
        assert "it is blank" in out.splitlines()[2]

    def test_pictures_that_are_not_recognized_are_told(
        self, transport: Any, run: Run, store: Store, start: Start
    ) -> None:
        tell_novelty(store.add(1), 0.5)
        store.engines["mnist/1"] = Wary()
        transport.service = start(models=store.root)
        _, out, _ = run("predict", SEVEN)
        assert "recognized" in out.splitlines()[0]
        assert out.splitlines()[1].split()[3] == "yes"

    def test_into_a_file_that_can_not_be(self, run: Run, tmp_path: Path) -> None:
        status, _, err = run("predict", SEVEN, "--output", tmp_path / "no" / "out")
        assert status == 1
        assert "No such file" in err

    def test_what_concerns_the_whole_call_ends_it(self, run: Run) -> None:
        status, out, err = run("predict", SEVEN, "--model", "nope", "--format", "json")
        assert (status, json.loads(out)) == (1, [])
        assert "no such model" in err.lower()

    @pytest.mark.parametrize("format", ["table", "csv"])
    def test_names_command_no_terminal(self, run: Run, tmp_path: Path, format: str) -> None:  # noqa: A002
        hostile = tmp_path / "[red]\x1b[2J.png"
        shutil.copy(SEVEN, hostile)
        status, out, _ = run("predict", hostile, "--format", format)
        assert status == 0
        assert "[red]" in out
        assert format == "csv" or "\x1b" not in out

    def test_names_that_are_no_text(self, run: Run, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/\xff.png"
        shutil.copy(SEVEN, name)
        for format_ in ("table", "csv", "json"):
            assert run("predict", tmp_path, "--format", format_, "--output", tmp_path / "out")[0] == 0

    def test_a_path_that_can_not_be_looked_at_spoils_its_own_row_only(self, run: Run) -> None:
        status, out, err = run("predict", SEVEN, "x" * 300 + ".png", "--format", "json")
        assert status == 1
        first, second = json.loads(out)
        assert first["label"] == "7"
        assert "name too long" in second["error"].lower()
        assert "1 of 2" in err


class TestOthers:
    def test_models(self, run: Run) -> None:
        status, out, _ = run("models")
        assert status == 0
        head, model = out.splitlines()
        assert head.split()[:3] == ["name", "version", "state"]
        assert model.split()[:3] == ["mnist", "1", "serving"]
        assert json.loads(run("models", "--format", "json")[1])[0]["labels"] == list("0123456789")

    @pytest.mark.parametrize("transport", [Script(httpx2.Response(200, json={"models": []}))], ids=["empty"])
    def test_no_models_are_an_empty_table(self, run: Run) -> None:
        assert run("models") == (0, "", "")

    @pytest.mark.parametrize(
        "words",
        [[], ["predict"], ["nope"], ["predict", "x", "--top", "0"], ["predict", "x", "--format", "xml"],
         ["models", "--url", "x"], ["models", "--url", "http://127.0.0.1:83737"], ["models", "--for", "json"]],
        ids=" ".join,
    )  # fmt: skip
    def test_wrong_usage(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(words) == 2
        assert capsys.readouterr().err

    def test_help(self, run: Run) -> None:
        status, out, _ = run("--help")
        assert status == 0
        assert "predict" in out

    def test_nobody_answers(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        script = Script(httpx2.ConnectError)
        monkeypatch.setattr(
            command, "Client", lambda url: Client(url, transport=script, patience=script.patience(attempts=1))
        )
        assert command.main(["models", "--url", "http://nowhere.test"]) == 1
        assert "nowhere.test" in capsys.readouterr().err

    @pytest.mark.parametrize("late", [False, True])
    def test_ctrl_c(self, run: Run, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "run" if late else "Client", interrupted)
        assert run("models")[0] == 130


def test_a_reader_who_has_seen_enough_harms_nobody() -> None:
    """`convolve … | head -0`."""
    source, sink = os.pipe()
    os.close(source)
    program = (
        "import sys; from convolve import command, Client; import httpx2\n"
        "answer = httpx2.MockTransport(lambda _: httpx2.Response(200, json={'models': []}))\n"
        "command.Client = lambda url: Client(url, transport=answer)\n"
        "sys.exit(command.main(['models', '--format', 'json']))"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=sink, stderr=subprocess.PIPE, check=False)
    os.close(sink)
    assert (done.returncode, done.stderr) == (1, b"")
