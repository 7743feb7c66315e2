"""Pictures are kept only where somebody wants them, as many as may be, and in the form that training reads."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from service import archive, feedback
from service.claims import Claim
from service.engines import Answers
from service.errors import StoreFull
from service.feedback import Call, Feedback
from service.files import whole
from service.metrics import Metrics
from service.settings import Settings
from tests.fakes import Reader, Store, picture
from tests.servers import Server
from tests.service.conftest import BEARER, TOKEN, Start


class Unsure(Reader):
    """Unsure of every picture but those of a three, such as the golden one."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        answers, _ = super().predict(pixels)
        answers[answers.argmax(axis=1) != 3] *= 0.6
        return Answers(answers)


@pytest.fixture
def client(store: Store, start: Start, tmp_path: Path) -> TestClient:
    store.engines["mnist/1"] = Unsure()
    store.add(1)
    client = start(models=store.root, admin_token=TOKEN, feedback=tmp_path / "feedback", workers=1)
    client.headers.update(BEARER)
    return client


def kept(tmp_path: Path) -> list[str]:
    """Folders in which a picture lies."""
    return sorted(str(path.parent.relative_to(tmp_path / "feedback")) for path in tmp_path.glob("feedback/*/*/*/*.png"))


def ask(client: TestClient, *numbers: int, request_id: str = "one") -> None:
    images = [picture(number).tolist() for number in numbers]
    assert client.post("/predict", json={"images": images}, headers={"x-request-id": request_id}).status_code == 200


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_is_kept_unless_it_is_switched_on(store: Store, start: Start) -> None:
    store.engines["mnist/1"] = Unsure()
    store.add(1)
    before = {path for path in store.root.parent.rglob("*") if path.suffix == ".png"}
    client = start(models=store.root, admin_token=TOKEN)
    ask(client, 4)
    response = client.post("/feedback", json={"request_id": "one", "label": "4"}, headers=BEARER)
    assert response.status_code == 403
    assert "CONVOLVE_FEEDBACK" in response.json()["fix"]
    assert client.app_state["shared"].feedback is None
    assert {path for path in store.root.parent.rglob("*") if path.suffix == ".png"} == before


def test_what_shall_not_be_kept_is_not_even_remembered(client: TestClient, tmp_path: Path) -> None:
    body = {"images": [picture(4).tolist()]}
    assert client.post("/predict?feedback=none", json=body, headers={"x-request-id": "mine"}).status_code == 200
    assert client.post("/feedback", json={"request_id": "mine", "label": "4"}).status_code == 404
    ask(client, 5, request_id="later")
    wait_for(lambda: kept(tmp_path) != [])
    assert kept(tmp_path) == ["mnist/unlabelled/5"]


def test_a_worker_whose_folder_became_a_file_answers_without_it(
    store: Store, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.add(1)
    (tmp_path / "gone").write_text("somebody's")
    client = start(models=store.root, feedback=tmp_path / "gone" / "feedback")
    ask(client, 4)
    assert "no pictures can be kept" in caplog.text


def test_it_needs_the_token(client: TestClient, tmp_path: Path) -> None:
    ask(client, 3)
    response = client.post("/feedback", json={"request_id": "one", "label": "7"}, headers={"authorization": "Bearer x"})
    assert response.status_code == 401
    assert kept(tmp_path) == []


def test_a_correction_is_kept_under_its_right_class_as_the_network_saw_it(client: TestClient, tmp_path: Path) -> None:
    ask(client, 3, 13)
    assert client.post("/feedback", json={"request_id": "one", "picture": 1, "label": "7"}).status_code == 204
    (path,) = tmp_path.glob("feedback/mnist/labelled/7/*.png")
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), picture(13).squeeze())
    client.post("/feedback", json={"request_id": "one", "picture": 1, "label": "8"})
    client.post("/feedback", json={"request_id": "one", "picture": 1})
    assert kept(tmp_path) == ["mnist/labelled/8"]  # the last word counts, and a flag is none


def test_a_picture_is_called_by_its_place_in_the_call_bad_ones_counted(client: TestClient, tmp_path: Path) -> None:
    images = ["AAAA", picture(4).tolist(), picture(5).tolist()]
    client.post("/predict", json={"images": images}, headers={"x-request-id": "mixed"})
    said = {"request_id": "mixed", "picture": 1, "label": "8"}
    assert client.post("/feedback", json=said).status_code == 204
    (path,) = tmp_path.glob("feedback/mnist/labelled/8/*.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture(4)[..., 0])
    assert client.post("/feedback", json={**said, "picture": 0}).status_code == 404


def test_a_flagged_picture_waits_for_its_class(client: TestClient, tmp_path: Path) -> None:
    ask(client, 3)
    assert client.post("/feedback", json={"request_id": "one"}).status_code == 204
    assert kept(tmp_path) == ["mnist/unlabelled/3"]


def test_unsure_pictures_are_kept_by_themselves_and_only_once(client: TestClient, tmp_path: Path) -> None:
    ask(client, 4, 3, 15)
    ask(client, 4, request_id="two")
    shared = client.app_state["shared"]
    wait_for(lambda: shared.feedback.backlog == 0)
    assert kept(tmp_path) == ["mnist/unlabelled/4", "mnist/unlabelled/5"]
    assert shared.metrics.registry.get_sample_value("convolve_feedback_total", {"reason": "unsure"}) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"request_id": "other", "label": "1"}, 404),
        ({"request_id": "one", "label": "1", "picture": 9}, 404),
        ({"request_id": "one", "label": "ten"}, 400),
        ({"request_id": "one", "label": "../../x"}, 400),
        ({"request_id": "one", "picture": -1}, 400),
        ({"request_id": "one", "more": 1}, 400),
        ({"label": "1"}, 400),
        ([], 400),
    ],
)
def test_what_makes_no_sense_is_refused(client: TestClient, tmp_path: Path, body: Any, status: int) -> None:
    ask(client, 3)
    response = client.post("/feedback", json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert kept(tmp_path) == []


def test_a_full_disk_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    ask(client, 3)
    monkeypatch.setattr(archive, "whole", full)
    assert client.post("/feedback", json={"request_id": "one", "label": "1"}).status_code == 507


def test_the_folder_must_not_lie_among_the_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not lie inside"):
        Settings(models=tmp_path, feedback=tmp_path / "mnist" / "kept")


def test_workers_find_each_others_calls(tmp_path: Path, store: Store) -> None:
    async def body() -> None:
        settings = Settings(models=store.root, feedback=tmp_path / "feedback", workers=2)
        metrics = Metrics(CollectorRegistry())
        mine, other = (Feedback(tmp_path / "feedback", settings, metrics) for _ in range(2))
        mine.start()
        other.start()
        pixels = picture(7)[None]
        other.calls["theirs"] = Call(time.monotonic(), "mnist", tuple("0123456789"), pixels, [7], [0])
        await mine.take(Claim("theirs", 0, "1"))
        with pytest.raises(feedback.BadBody, match="no such class"):
            await mine.take(Claim("theirs", 0, "ten"))
        with pytest.raises(feedback.UnknownRequest):
            await mine.take(Claim("nobody's", 0, "1"))
        assert not list((tmp_path / "feedback" / ".claims").iterdir())
        mine.close()
        other.close()

    asyncio.run(body())
    assert kept(tmp_path) == ["mnist/labelled/1"]


def test_many_claims_at_once_are_all_settled(tmp_path: Path, store: Store) -> None:
    async def body() -> None:
        settings = Settings(models=store.root, feedback=tmp_path / "feedback", workers=2)
        mine, other = (Feedback(tmp_path / "feedback", settings, Metrics(CollectorRegistry())) for _ in range(2))
        mine.start()
        other.start()
        for number in range(200):
            pixels = np.full((1, 28, 28, 1), number, np.uint8)
            other.calls[f"call {number}"] = Call(time.monotonic(), "mnist", tuple("0123456789"), pixels, [7], [0])
        await asyncio.gather(*(mine.take(Claim(f"call {number}", 0, "1")) for number in range(200)))
        mine.close()
        other.close()

    asyncio.run(body())
    assert kept(tmp_path) == ["mnist/labelled/1"] * 200


def test_a_folder_that_hangs_harms_nobody_but_who_corrects(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage that does not answer, as of a server that is away."""
    hang, free = threading.Event(), threading.Event()

    def mkdir(path: Path, *given: Any, **named: Any) -> None:
        hang.set()
        assert free.wait(60)

    async def body() -> None:
        settings = Settings(models=store.root, feedback=tmp_path / "feedback", workers=2)
        kept = Feedback(tmp_path / "feedback", settings, Metrics(CollectorRegistry()))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", mkdir)
            kept.start()
            correction = asyncio.create_task(kept.take(Claim("nobody's", 0, "1")))
            while not hang.is_set():
                await asyncio.sleep(0.01)  # which the loop still does
            assert not correction.done()
            free.set()
        with pytest.raises(feedback.UnknownRequest):
            await correction
        kept.close()

    asyncio.run(body())


def test_what_another_worker_can_not_write_is_said(tmp_path: Path, store: Store) -> None:
    async def body() -> None:
        settings = Settings(models=store.root, feedback=tmp_path / "feedback", workers=2)
        mine, other = (Feedback(tmp_path / "feedback", settings, Metrics(CollectorRegistry())) for _ in range(2))
        (tmp_path / "feedback" / ".claims").mkdir(parents=True)
        mine.start()
        other.start()
        (tmp_path / "feedback" / ".claims" / "nonsense.json").write_text("[]")
        (tmp_path / "feedback" / "mnist").write_text("no folder")
        other.calls["theirs"] = Call(time.monotonic(), "mnist", tuple("0123456789"), picture(7)[None], [7], [0])
        with pytest.raises(StoreFull):
            await mine.take(Claim("theirs", 0, "1"))
        while list((tmp_path / "feedback" / ".claims").iterdir()):
            await asyncio.sleep(0.01)
        mine.close()
        other.close()

    asyncio.run(body())


def store_of(tmp_path: Path, **caps: Any) -> Feedback:
    settings = Settings(models=tmp_path / "models", workers=1, **caps)
    return Feedback(tmp_path / "feedback", settings, Metrics(CollectorRegistry()))


def call(number: int) -> Call:
    return Call(time.monotonic(), "mnist", tuple("0123456789"), picture(number)[None], [number % 10], [0])


def test_number_bytes_and_age_are_capped_and_labelled_ones_go_last(tmp_path: Path) -> None:
    keeping = store_of(tmp_path, feedback_pictures=1000)
    for number in range(500):
        keeping.keep(call(number), 0, "1", "labelled")
    for number in range(500, 1200):
        keeping.keep(call(number), 0, "2", "unlabelled")
    counts = {part: len(list(tmp_path.glob(f"feedback/mnist/{part}/*/*.png"))) for part in ("labelled", "unlabelled")}
    assert counts["labelled"] == 500
    assert 450 <= counts["unlabelled"] <= 500
    for path in list(tmp_path.glob("feedback/mnist/labelled/*/*.png"))[:100]:
        os.utime(path, (0, 0))
    keeping.prune()
    assert len(list(tmp_path.glob("feedback/mnist/labelled/*/*.png"))) == 400
    small = store_of(tmp_path, feedback_bytes=10_000)
    small.prune()
    assert sum(path.stat().st_size for path in tmp_path.glob("feedback/*/*/*/*.png")) <= 10_000


def test_many_workers_keep_what_people_said(tmp_path: Path) -> None:
    keeping = Feedback(
        tmp_path / "feedback",
        Settings(models=tmp_path / "models", workers=64, feedback_pictures=1000),
        Metrics(CollectorRegistry()),
    )
    for number in range(40):
        keeping.keep(call(number), 0, "1", "labelled")
    assert len(list(tmp_path.glob("feedback/mnist/labelled/*/*.png"))) == 40


def test_old_pictures_go_although_none_is_written(tmp_path: Path, store: Store, start: Start) -> None:
    store_of(tmp_path).keep(call(1), 0, "1", "labelled")
    (old,) = tmp_path.glob("feedback/mnist/labelled/1/*.png")
    os.utime(old, (0, 0))
    store.add(1)
    keeping: Feedback = start(models=store.root, feedback=tmp_path / "feedback").app_state["shared"].feedback  # type: ignore[attr-defined]
    keeping.writer.submit(lambda: None).result(30)  # after what was asked for at the start
    assert not old.exists()


def test_memory_is_bounded(tmp_path: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "RECENT", 10)
    for number in range(30):
        ask(client, 3, request_id=f"n{number}")
    keeping: Feedback = client.app_state["shared"].feedback
    assert list(keeping.calls) == [f"n{number}" for number in range(20, 30)]
    assert keeping.bytes == 10 * 784
    monkeypatch.setattr(feedback, "RECENT_S", -1)
    reply = client.post("/feedback", json={"request_id": "n29", "picture": 0})
    assert reply.status_code == 404
    assert kept(tmp_path) == []
    assert not keeping.calls
    assert keeping.bytes == 0


def test_what_is_written_can_be_read_by_others(tmp_path: Path) -> None:
    store_of(tmp_path).keep(call(1), 0, "1", "labelled")
    (path,) = tmp_path.glob("feedback/mnist/labelled/1/*.png")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").write_bytes(b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), whole(tmp_path / "kept") as file:
        file.write(b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"before"


def test_a_folder_that_can_not_be_is_one_clear_line() -> None:
    server = Server("--workers", "2", "--feedback", "/proc/kept")
    said = server.last_words()
    assert server.process.returncode == 3
    assert "pictures can not be kept in /proc/kept: " in said
    assert "Traceback" not in said
