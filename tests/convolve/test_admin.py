"""What changes what serves: through both clients, and by commands."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from convolve import Client, Patience, Problem, Unreachable, command
from tests.convolve.conftest import Connect, Script, Through
from tests.fakes import Store, picture
from tests.service.conftest import TOKEN, Start, png


@pytest.fixture
def through(store: Store, start: Start) -> Through:
    """Versions 1 and 2; 2 answers."""
    store.add(1)
    store.add(2)
    kept = store.root.parent / "kept"
    return Through(start(models=store.root, admin_token=TOKEN, poll_s=3600, feedback=kept, workers=1))


@pytest.fixture
def ask(connect: Connect, through: Through) -> Any:
    return connect(through, token=TOKEN)


def kept(store: Store) -> list[str]:
    """Folders in which a picture lies."""
    root = store.root.parent / "kept" / "mnist"
    return sorted(str(path.parent.relative_to(root)) for path in root.glob("*/*/*.png"))


class TestClients:
    def test_promote_and_back(self, ask: Any) -> None:
        details = ask.promote("mnist", 1)
        assert (details.version, details.labels["stable"]) == (1, 1)
        assert ask.predict(picture(4).tolist()).version == 1
        assert ask.rollback("mnist").version == 2
        assert ask.predict(picture(4).tolist()).version == 2
        happened = [event.event for event in ask.history("mnist")]
        assert happened.index("promoted") < happened.index("taken back")

    def test_promote_by_label(self, ask: Any) -> None:
        ask.promote("mnist", 1)
        assert ask.promote("mnist", "previous").version == 2
        assert ask.predict(picture(4).tolist(), label="previous").version == 1

    def test_unload_and_load(self, ask: Any) -> None:
        assert ask.unload("mnist").version is None
        with pytest.raises(Problem):
            ask.predict(picture(4).tolist())
        assert ask.load("mnist").version == 2
        states = {model.version: model.state for model in ask.load("mnist", 1).versions}
        assert states == {1: "serving", 2: "serving"}
        assert {model.version for model in ask.unload("mnist", 1).versions if model.state == "serving"} == {2}

    def test_a_trial_is_seen_and_a_key_always_meets_the_same_version(
        self, connect: Connect, store: Store, through: Through
    ) -> None:
        policy = {"labels": {"stable": 1}, "canary": {"version": 2, "share": 0.5}}
        (store.root / "mnist" / "policy.json").write_text(json.dumps(policy))
        trial = connect(through, token=TOKEN).load("mnist").trial
        assert (trial.mode, trial.version, trial.share) == ("canary", 2, 0.5)
        met = set()
        for number in range(20):
            ask = connect(through, canary_key=f"caller {number}")
            (version,) = {ask.predict(picture(4).tolist()).version for _ in range(5)}
            met.add(version)
        assert met == {1, 2}

    def test_an_answer_is_corrected_and_another_flagged(self, ask: Any, store: Store) -> None:
        answers = list(ask.predict_many([picture(4).tolist(), b"no picture", picture(5).tolist()]))
        assert [answer.picture for answer in (answers[0], answers[2])] == [0, 2]
        ask.feedback(answers[2], "9")
        ask.feedback(answers[0].request_id)
        assert kept(store) == ["labelled/9", "unlabelled/4"]
        for said, status in ((("nobody's", "1"), 404), ((answers[0], "ten"), 400)):
            with pytest.raises(Problem) as refused:
                ask.feedback(*said)
            assert refused.value.status == status

    @pytest.mark.parametrize("token", [None, "another token of 16"])
    def test_without_the_token_nothing_changes(self, connect: Connect, through: Through, token: str | None) -> None:
        ask = connect(through, token=token)
        with pytest.raises(Problem) as refused:
            ask.promote("mnist", 1)
        assert refused.value.status == 401
        assert ask.model("mnist").version == 2

    def test_the_token_goes_with_changes_only(self, ask: Any, through: Through) -> None:
        ask.models()
        ask.predict(picture(4).tolist())
        ask.promote("mnist", 1)
        sent = [request.headers.get("authorization") for request in through.requests]
        assert sent == [None, None, f"Bearer {TOKEN}"]

    @pytest.mark.parametrize("name", ["nope", "a/b", ".", "..", "../models/mnist", "a?b#c", "é"])
    def test_no_name_leads_elsewhere(self, ask: Any, name: str) -> None:
        with pytest.raises(Problem) as refused:
            ask.promote(name, 1)
        assert refused.value.status == 404

    def test_a_change_whose_answer_got_lost_is_not_sent_again(self, connect: Connect) -> None:
        script = Script(httpx2.ReadError)
        with pytest.raises(Unreachable):
            connect(script).rollback("mnist")

    def test_a_change_has_the_time_that_it_takes(self, connect: Connect) -> None:
        details = {"name": "mnist", "version": 1, "labels": {}, "versions": []}
        script = Script(httpx2.Response(200, json=details))
        connect(script).promote("mnist", 1)
        assert script.timeouts == [90]


@pytest.mark.parametrize("token", ["two\nlines", "é", "a\x7f"])
def test_a_token_that_no_header_takes_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="token") as refused:
        Client(token=token)
    assert token not in str(refused.value)


def test_a_token_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="token is of type int; expected: str"):
        Client(token=5)  # type: ignore[arg-type]


class TestCommands:
    @pytest.fixture
    def run(self, through: Through, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
        monkeypatch.setenv("CONVOLVE_ADMIN_TOKEN", TOKEN)
        patience = Patience(attempts=1)
        monkeypatch.setattr(command, "Client", lambda url: Client(url, transport=through, patience=patience))

        def run(*words: str) -> Any:
            status = command.main([*words, "--format", "json"])
            said = capsys.readouterr()
            assert status == bool(said.err)
            return json.loads(said.out) or said.err

        return run

    def test_promote_rollback_history(self, run: Any) -> None:
        one, two = run("promote", "mnist", "1")
        assert (one["answers"], two["answers"]) == (True, False)
        assert one["called"] == ["stable"]
        assert [each["answers"] for each in run("rollback", "mnist")] == [False, True]
        assert [each["answers"] for each in run("promote", "mnist", "stable")] == [False, True]
        assert {"promoted", "taken back"} <= {each["event"] for each in run("history", "mnist")}

    def test_load_and_unload(self, run: Any) -> None:
        assert "serving" not in {each["state"] for each in run("unload", "mnist")}
        assert [each["state"] for each in run("load", "mnist")][1] == "serving"
        assert [each["state"] for each in run("load", "mnist", "1")] == ["serving", "serving"]

    def test_feedback(self, run: Any, store: Store, tmp_path: Path) -> None:
        for number in (4, 5):
            (tmp_path / f"{number}.png").write_bytes(png(picture(number)))
        _, row = run("predict", str(tmp_path / "4.png"), str(tmp_path / "5.png"), "--prepare", "none")
        said = run("feedback", row["request_id"], "9", "--picture", str(row["picture"]))
        assert said == [{"request_id": row["request_id"], "picture": 1, "label": "9"}]
        run("feedback", row["request_id"])
        assert kept(store) == ["labelled/9", "unlabelled/4"]
        assert "nobody remembers" in run("feedback", "another", "9")

    def test_what_is_refused_is_said(self, run: Any) -> None:
        assert "one of: 1, 2" in run("promote", "mnist", "7")
        assert "no such model" in run("history", "nope").lower()

    def test_without_a_token(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CONVOLVE_ADMIN_TOKEN")
        assert "CONVOLVE_ADMIN_TOKEN" in run("promote", "mnist", "1")
        assert TOKEN not in run("promote", "mnist", "1")
