"""What serves follows the store and its policies, and nothing that goes wrong there takes away what serves."""

import asyncio
import errno
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service import engines
from service.api.operations import show
from service.board import Board
from service.control import Control
from service.engines import Answers
from service.errors import DeadlineExceeded, ServiceError, UnknownModel, UnknownVersion
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.registry import Registry
from service.serving import Serving
from service.settings import Settings
from service.tally import Tally
from tests.fakes import Failing, Gated, Reader, Store, answer_to, picture


class Wrong(Reader):
    """Answers every golden input wrongly."""

    def predict(self, pixels: Any, *, spare: bool = False) -> Any:
        return Answers(np.roll(super().predict(pixels).probabilities, 1, axis=1))


class Eleven(Reader):
    """Eleven classes where the manifest has ten."""

    def predict(self, pixels: Any, *, spare: bool = False) -> Any:
        return Answers(np.zeros((len(pixels), 11), np.float32))


@asynccontextmanager
async def running(store: Store, **settings: Any) -> AsyncIterator[Lifecycle]:
    """A worker that looks at the store only when `refresh` is called."""
    chosen = Settings(models=store.root, **{"poll_s": 3600, "deadline_ms": 1000, **settings})
    lifecycle = Lifecycle(chosen, Metrics(CollectorRegistry()), Registry(chosen), Board())
    await lifecycle.start()
    try:
        yield lifecycle
    finally:
        await lifecycle.close()


def check(store: Store, body: Callable[[Lifecycle], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with running(store, **settings) as lifecycle:
            await body(lifecycle)

    asyncio.run(run())


def serving(lifecycle: Lifecycle, name: str = "mnist") -> list[int]:
    """Versions that serve, the default one first."""
    model = lifecycle.registry.models.get(name)
    if model is None:
        return []
    default = model.default.manifest.version
    return [default, *sorted(set(model.versions) - {default})]


def reason(lifecycle: Lifecycle, version: int) -> str:
    return lifecycle.registry.refused["mnist", version].reason


def test_what_can_not_serve_is_said(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def nothing(_: Lifecycle) -> None:
        assert "no model serves" in caplog.text

    check(store, nothing)
    caplog.clear()
    store.add(1)
    store.policy({"versions": [1, 3], "labels": {"stable": 9}})

    async def absent(_: Lifecycle) -> None:
        assert "the policy of mnist names versions that are not there: [3, 9]" in caplog.text
        assert "no model serves" not in caplog.text

    check(store, absent)


def test_folders_that_are_called_like_no_model_are_named(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("my signs/1", "signs/1700000000", ".git/objects", "lost+found", "mnist/eval"):
        (store.root / folder).mkdir(parents=True)

    async def body(_: Lifecycle) -> None:
        assert "'my signs' is left out for its name" in caplog.text
        assert "'signs/1700000000' is left out for its name" in caplog.text
        assert caplog.text.count("left out for its name") == 2

    check(store, body)


def test_a_new_version_takes_over_and_the_old_one_goes(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        assert serving(lifecycle) == [1]
        store.add(2)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]
        assert [event.event for event in lifecycle.history.read("mnist")] == [
            *("loaded", "answers"), *("loaded", "answers", "unloaded")
        ]  # fmt: skip
        await lifecycle.refresh()
        assert store.loads == ["mnist/1", "mnist/2"]

    check(store, body)


def test_versions_and_labels_of_the_policy_serve(store: Store) -> None:
    for version in (1, 2, 3):
        store.add(version)
    store.policy({"versions": {"latest": 2}, "labels": {"stable": 2, "old": 1, "nowhere": 9}})

    async def body(lifecycle: Lifecycle) -> None:
        registry = lifecycle.registry
        assert serving(lifecycle) == [2, 1, 3]
        assert registry.get(None).manifest.version == 2
        assert registry.get("mnist", 3).manifest.version == 3
        assert registry.get("mnist", label="old").manifest.version == 1
        for wrong in ({"version": 9}, {"label": "nowhere"}, {"label": "invented"}):
            with pytest.raises(UnknownVersion):
                registry.get("mnist", **wrong)  # type: ignore[arg-type]
        with pytest.raises(UnknownModel):
            registry.get("other")
        store.policy({"versions": [3]})
        await lifecycle.refresh()
        assert serving(lifecycle) == [3]

    check(store, body)


def test_many_models_serve_and_each_has_its_own_queue(store: Store) -> None:
    slow = store.engines["slow/1"] = Gated()
    slow.go.set()
    store.add(1)
    store.add(1, "slow")

    async def body(lifecycle: Lifecycle) -> None:
        flooded, other = lifecycle.registry.get("slow"), lifecycle.registry.get("mnist")
        slow.go.clear()
        flooded.batcher.thread = lifecycle.decoders  # a large network computes beside the loop
        waiting = [asyncio.ensure_future(flooded.predict(picture(1)[None])) for _ in range(30)]
        await asyncio.sleep(0)
        assert flooded.batcher.depth == 30
        assert ((await other.predict(picture(7)[None])).probabilities == answer_to(7)).all()
        slow.go.set()
        await asyncio.gather(*waiting)

    check(store, body)


def remove_graph(folder: Path) -> None:
    (folder / "saved_model.pb").unlink()


def damage_graph(folder: Path) -> None:
    (folder / "saved_model.pb").write_text("something else")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def cut_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])


def link_out(folder: Path) -> None:
    shutil.copytree(folder, folder.parents[2] / "elsewhere")
    shutil.rmtree(folder)
    folder.symlink_to(folder.parents[2] / "elsewhere")


BROKEN = [remove_graph, damage_graph, remove_manifest, cut_manifest, link_out]


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_version_is_refused_and_the_old_one_goes_on(store: Store, damage: Callable[[Path], None]) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        damage(store.add(2))
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]
        assert reason(lifecycle, 2)
        assert str(store.root) not in reason(lifecycle, 2)
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_model_loads_total", {"model": "mnist", "outcome": "refused"}) == 1
        assert value("convolve_model_versions", {"model": "mnist", "state": "refused"}) == 1

    check(store, body)


@pytest.mark.parametrize("engine", [Wrong, Eleven])
def test_a_network_that_breaks_its_promises_is_refused_and_the_old_one_goes_on(
    store: Store, engine: type[Reader]
) -> None:
    store.add(1)
    store.engines["mnist/2"] = engine()

    async def body(lifecycle: Lifecycle) -> None:
        store.add(2)
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]
        assert reason(lifecycle, 2)

    check(store, body)


def test_a_copy_that_is_still_going_on_serves_when_it_is_whole(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        whole = store.add(2)
        half = store.root.parent / "half"
        whole.rename(half)
        whole.mkdir()
        for name in ("manifest.json", "saved_model.pb"):
            await lifecycle.refresh()
            assert serving(lifecycle) == [1]
            shutil.copy(half / name, whole / name)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]
        assert not lifecycle.registry.refused

    check(store, body)


def test_what_was_refused_is_not_tried_again_until_it_changes(store: Store) -> None:
    store.add(1)
    store.engines["mnist/2"] = Wrong()

    async def body(lifecycle: Lifecycle) -> None:
        folder = store.add(2)
        for _ in range(3):
            await lifecycle.refresh()
        assert store.loads == ["mnist/1", "mnist/2"]
        store.engines["mnist/2"] = Reader()
        (folder / "saved_model.pb").touch()
        (folder / "report.json").write_text("{}")
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]

    check(store, body)


def test_a_refused_version_that_is_removed_is_forgotten(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        folder = store.add(2)
        remove_graph(folder)
        await lifecycle.refresh()
        assert reason(lifecycle, 2)
        shutil.rmtree(folder)
        await lifecycle.refresh()
        assert not lifecycle.registry.refused
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_model_versions", {"model": "mnist", "state": "refused"}) == 0

    check(store, body)


def test_a_model_that_never_served_and_is_removed_is_forgotten(store: Store) -> None:
    remove_graph(store.add(1))

    async def body(lifecycle: Lifecycle) -> None:
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_model_versions", {"model": "mnist", "state": "refused"}) == 1
        shutil.rmtree(store.root / "mnist")
        await lifecycle.refresh()
        assert not lifecycle.registry.refused
        assert value("convolve_model_versions", {"model": "mnist", "state": "refused"}) == 0

    check(store, body)


def test_an_empty_or_failing_listing_unloads_nothing(store: Store) -> None:
    for version in (1, 2):
        store.add(version)
    store.policy({"versions": "all"})

    async def body(lifecycle: Lifecycle) -> None:
        away = store.root.parent / "away"
        store.root.rename(away)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2, 1]
        store.root.mkdir()
        await lifecycle.refresh()
        assert serving(lifecycle) == [2, 1]
        store.root.rmdir()
        away.rename(store.root)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2, 1]
        assert store.loads == ["mnist/2", "mnist/1"]

    check(store, body)


def test_a_version_whose_folder_is_gone_goes_on_until_another_one_takes_over(store: Store) -> None:
    store.add(1)
    store.add(2)

    async def body(lifecycle: Lifecycle) -> None:
        shutil.rmtree(store.root / "mnist" / "2")
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]
        store.add(3)
        await lifecycle.refresh()
        assert serving(lifecycle) == [3]

    check(store, body)


def test_a_bad_policy_leaves_the_one_before_in_force(store: Store) -> None:
    for version in (1, 2):
        store.add(version)
    store.policy({"versions": [1]})

    async def body(lifecycle: Lifecycle) -> None:
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_policy_valid", {"model": "mnist"}) == 1
        store.policy('{"versions": "newest"}')
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]
        assert "versions" in lifecycle.registry.bad_policies["mnist"].detail
        assert value("convolve_policy_valid", {"model": "mnist"}) == 0
        store.policy({"versions": [2]})
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]
        assert value("convolve_policy_valid", {"model": "mnist"}) == 1
        (store.root / "mnist" / "policy.json").unlink()
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]

    check(store, body)


def test_a_start_with_a_bad_policy_lets_nothing_serve(store: Store) -> None:
    for version in (1, 2):
        store.add(version)
    store.policy('{"labels": {"stable": 1}, "never": [2],}')

    async def body(lifecycle: Lifecycle) -> None:
        assert serving(lifecycle) == []
        store.policy({"labels": {"stable": 1}, "never": [2]})
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]

    check(store, body)


def test_a_worker_that_replaces_another_has_the_policy_that_the_others_have(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metrics, "tally", Tally(tmp_path, 0))
    for version in (1, 2):
        store.add(version)
    store.policy({"labels": {"stable": 1}, "never": [2]})

    async def body(lifecycle: Lifecycle) -> None:
        store.policy('{"labels": {"stable": 1}, "never": [2],}')
        await lifecycle.refresh()
        async with running(store) as replaced:
            assert serving(lifecycle) == serving(replaced) == [1]

    check(store, body)


def test_no_room_to_remember_a_policy_stops_nobody(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policies").write_text("no folder can be made here")
    monkeypatch.setattr(Metrics, "tally", Tally(tmp_path, 0))
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        assert serving(lifecycle) == [1]
        store.add(2)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]

    check(store, body)


def test_a_policy_that_could_not_be_read_for_a_moment_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        store.add(version)
    store.policy({"versions": [1]})

    async def body(lifecycle: Lifecycle) -> None:
        read = Path.read_bytes
        failing = True

        def slip(path: Path) -> bytes:
            if failing and path.name == "policy.json":
                raise OSError(5, "Input/output error")
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", slip)
        store.policy({"versions": [2]})
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]
        failing = False
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]

    check(store, body)


def test_a_policy_that_wants_what_can_not_serve_leaves_the_default_as_it_was(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        remove_graph(store.add(2))
        for rules in ({"versions": [2]}, {"versions": []}, {"labels": {"stable": 2}}, {"versions": [7]}):
            store.policy(rules)
            await lifecycle.refresh()
            assert serving(lifecycle) == [1]

    check(store, body)


def test_a_start_with_a_broken_stable_version_falls_back_to_the_previous_one(store: Store) -> None:
    for version in (1, 2, 3):
        store.add(version)
    damage_graph(store.root / "mnist" / "2")
    store.policy({"labels": {"stable": 2, "previous": 1}, "canary": {"version": 3, "share": 0.5}})

    async def body(lifecycle: Lifecycle) -> None:
        assert serving(lifecycle) == [1, 3]
        assert lifecycle.registry.models["mnist"].trial is None

    check(store, body)


def test_a_start_without_the_stable_version_has_the_newest_that_is_not_on_trial(store: Store) -> None:
    for version in (1, 2, 3):
        store.add(version)
    store.policy({"versions": [1, 2], "labels": {"stable": 9}, "canary": {"version": 3, "share": 0.1}})

    async def body(lifecycle: Lifecycle) -> None:
        assert serving(lifecycle)[0] == 2

    check(store, body)


def test_a_request_that_has_its_version_gets_that_versions_answer(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        held: list[Serving] = [lifecycle.registry.get(None)]
        store.add(2)
        await lifecycle.refresh()
        asked = lifecycle.board.ask()
        assert not lifecycle.board.everywhere(asked)
        seeing_off = lifecycle.seeing_off
        assert seeing_off is not None
        assert not seeing_off.done()
        assert held[0].manifest.version == 1
        assert ((await held[0].predict(picture(5)[None])).probabilities == answer_to(5)).all()
        held.clear()
        await seeing_off
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_queue_pictures", {"model": "mnist", "version": "1"}) is None
        assert value("convolve_queue_pictures", {"model": "mnist", "version": "2"}) == 0

    check(store, body)


def test_a_storm_of_looks_ends_where_the_store_is(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        for version in range(2, 12):
            store.add(version)
            await asyncio.gather(*(lifecycle.refresh() for _ in range(5)))
        assert serving(lifecycle) == [11]
        assert len(store.loads) == 11

    check(store, body)


def test_a_failing_version_fails_alone(store: Store) -> None:
    store.add(1)
    store.add(2)
    store.engines["mnist/2"] = Failing()
    store.policy({"versions": "all"})

    async def body(lifecycle: Lifecycle) -> None:
        with pytest.raises(ServiceError):
            await lifecycle.registry.get(None, 2).predict(picture(666)[None])
        answers = await lifecycle.registry.get(None, 1).predict(picture(666)[None])
        assert (answers.probabilities == answer_to(666)).all()
        value = lifecycle.metrics.registry.get_sample_value
        assert value("convolve_batch_failures_total", {"model": "mnist", "version": "2"}) == 1

    check(store, body)


def test_a_full_disk_takes_nothing_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("service.history.append", full)
        store.add(2)
        await lifecycle.refresh()
        assert serving(lifecycle) == [2]

    check(store, body)


def test_history_is_bounded_and_survives_strangers(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        path = store.root / "mnist" / "history.jsonl"
        with path.open("a") as file:
            file.write("not JSON\n" + json.dumps({"event": 1, "more": 2}) + "\n")
        for number in range(3000):
            lifecycle.history.add("mnist", "promoted", number, "x" * 100)
        assert path.stat().st_size < 300 * 1024
        events = lifecycle.history.read("mnist")
        assert len(events) == 200
        assert events[-1].version == 2999
        lifecycle.history.add("mnist", "refused", 7, "a line\u2028and\x85another")
        with path.open("ab") as file:
            file.write(b'\xff\n{"time":"a","event":"b","reason":null}\n{"time":"a","event":"b","version":"two"}\n')
            file.write(b'{"time":"a","event":"b","reason":"\\ud800"}\n' + b"[" * 100_000 + b"\n[]\n")
        assert lifecycle.history.read("mnist")[-1].reason == "a line\u2028and\x85another"

    check(store, body)


def test_history_goes_on_in_a_line_of_its_own_after_one_that_was_cut_off(store: Store) -> None:
    async def body(lifecycle: Lifecycle) -> None:
        with (store.root / "mnist" / "history.jsonl").open("a") as file:
            file.write('{"time": "a", "event": "refu')  # the disk was full
        lifecycle.history.add("mnist", "promoted", 1)
        assert lifecycle.history.read("mnist")[-1].event == "promoted"

    store.add(1)
    check(store, body)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOENT])
def test_what_can_not_be_read_for_a_moment_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    load = store.load

    def fail(*given: Any, **named: Any) -> Reader:
        load(*given, **named)
        raise OSError(number, os.strerror(number))

    async def body(lifecycle: Lifecycle) -> None:
        store.add(2)
        with monkeypatch.context() as patch:
            patch.setattr(engines, "load", fail)
            await lifecycle.refresh()
            assert serving(lifecycle) == [1]
            assert "Error" in reason(lifecycle, 2)
        await lifecycle.refresh()
        assert serving(lifecycle) == ([2] if number == errno.EMFILE else [1])

    store.add(1)
    check(store, body)


def test_other_files_under_the_same_number_are_another_state(store: Store) -> None:
    async def body(lifecycle: Lifecycle) -> None:
        before = lifecycle.registry.digest
        manifest = lifecycle.registry.models["mnist"].default.manifest
        manifest.files["saved_model.pb"] = "another"
        assert lifecycle.registry.digest != before

    store.add(1)
    check(store, body)


def test_what_was_listed_can_be_shown_although_it_left_meanwhile(store: Store) -> None:
    store.add(1)
    store.add(2)

    async def body(lifecycle: Lifecycle) -> None:
        (_, listed) = lifecycle.registry.standings("mnist")
        store.policy({"never": [2]})
        await lifecycle.refresh()
        assert serving(lifecycle) == [1]
        assert (show(listed).version, show(listed).engine) == (2, "reader")

    check(store, body)


def test_fractions_mean_what_the_policy_says(store: Store) -> None:
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        assert lifecycle.registry.get(None).float_pixels == "raw"
        store.policy({"float_pixels": "unit"})
        await lifecycle.refresh()
        assert lifecycle.registry.get(None).float_pixels == "unit"
        assert store.loads == ["mnist/1"]

    check(store, body)


def test_a_picture_that_waits_too_long_says_so(store: Store) -> None:
    gated = store.engines["mnist/1"] = Gated()
    gated.go.set()
    store.add(1)

    async def body(lifecycle: Lifecycle) -> None:
        gated.go.clear()
        answering = lifecycle.registry.get(None)
        answering.batcher.thread = lifecycle.decoders
        with pytest.raises(DeadlineExceeded):
            await answering.predict(picture(1)[None])
        gated.go.set()

    check(store, body, deadline_ms=50)


def test_workers_that_serve_different_versions_are_told_of_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def body(lifecycle: Lifecycle) -> None:
        control, board = Control(lifecycle), lifecycle.board
        assert lifecycle.seeing_off is not None
        await lifecycle.seeing_off
        board.applied[1] = board.total

        def look(*, alike: bool, times: int = 1) -> int:
            """How often it is said."""
            board.digests[1] = board.digests[0] + (not alike)
            caplog.clear()
            for _ in range(times):
                control.compare()
            return caplog.text.count("do not serve the same")

        for _ in range(2):
            assert look(alike=True) == 0
            assert look(alike=False) == 0, "a change takes a while"
            control.alike -= lifecycle.settings.apply_s
            assert look(alike=False, times=3) == 1

    store.add(1)
    check(store, body)
