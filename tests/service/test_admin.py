"""What changes the service is closed without a token; with it, an answer means done."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from service import app
from service.access import authorise
from service.settings import Settings
from tests.fakes import Store, picture
from tests.servers import serving
from tests.service.conftest import BEARER, TOKEN, Start
from tests.service.test_lifecycle import remove_graph
from tests.service.test_swaps import publish

CHANGES = (
    "/models/mnist/load",
    "/models/mnist/unload",
    "/models/mnist/versions/1/load",
    "/models/mnist/versions/1/unload",
    "/models/mnist/promote",
    "/models/mnist/rollback",
)


@pytest.fixture
def admin(store: Store, start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Versions 1 and 2 in the store; 2 answers. The store is looked at only when asked to."""
    held: list[str] = []
    collector = SimpleNamespace(collect=lambda: held.append("a version that left was still held after a second"))
    monkeypatch.setattr("service.lifecycle.gc", collector)
    store.add(1)
    store.add(2)
    client = start(models=store.root, admin_token=TOKEN, poll_s=3600)
    client.headers.update(BEARER)
    yield client
    assert not held


def answering(client: TestClient, **query: Any) -> int:
    response = client.post("/predict", params=query, json={"image": picture(4).tolist()})
    assert response.status_code == 200, response.text
    version: int = response.json()["version"]
    return version


@pytest.mark.parametrize("body", ["", "7", "{", '{"x": 1}'])
def test_a_body_of_another_form_is_told_which_fields_there_are(store: Store, start: Start, body: str) -> None:
    store.add(1)
    response = start(models=store.root, admin_token=TOKEN).post("/models/mnist/promote", content=body, headers=BEARER)
    assert response.status_code == 400
    assert response.json()["expected"] == "a JSON object with version, label"


def test_without_a_token_set_changes_are_closed_and_say_how_to_open_them(store: Store, start: Start) -> None:
    store.add(1)
    client = start(models=store.root)
    for path in CHANGES:
        for headers in ({}, BEARER, {"Authorization": "Bearer None"}, {"Authorization": "Bearer "}):
            response = client.post(path, headers=headers)
            assert response.status_code == 403
            assert "CONVOLVE_ADMIN_TOKEN" in response.json()["fix"]


def test_another_token_opens_nothing(store: Store, start: Start) -> None:
    store.add(1)
    client = start(models=store.root, admin_token=TOKEN)
    wrong = [None, "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "é"]
    for path, given in itertools.product(CHANGES, wrong):
        response = client.post(path, headers={} if given is None else {"Authorization": given.encode()})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text
    assert answering(client) == 1


def test_every_route_that_changes_something_asks_for_the_token() -> None:
    open_posts = {"/predict"}
    api = app.create_app(Settings()).api
    for route in api.routes:
        if isinstance(route, APIRoute) and route.methods & {"POST", "PUT", "PATCH", "DELETE"}:
            guarded = authorise in [each.call for each in route.dependant.dependencies]
            assert guarded or route.path in open_posts, route.path


def test_a_short_token_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="admin_token"):
        Settings(admin_token="short")


@pytest.mark.parametrize("token", ["schlüssel für alle Türen", " sixteen letters", "sixteen letters\n"])
def test_a_token_that_no_header_carries_is_refused_at_start(token: str) -> None:
    with pytest.raises(ValueError, match="a header can not carry it"):
        Settings(admin_token=token)  # type: ignore[arg-type]


def test_the_token_shows_nowhere() -> None:
    assert TOKEN not in repr(Settings(admin_token=TOKEN))


def test_promote_and_roll_back(admin: TestClient, store: Store) -> None:
    assert answering(admin) == 2
    details = admin.post("/models/mnist/promote", json={"version": 1}).json()
    assert (details["version"], details["labels"]) == (1, {"stable": 1, "previous": 2})
    assert (answering(admin), answering(admin, version=2), answering(admin, label="previous")) == (1, 2, 2)
    assert admin.post("/models/mnist/rollback").json()["version"] == 2
    assert answering(admin) == 2
    response = admin.post("/models/mnist/rollback")
    assert response.status_code == 409
    assert response.json()["type"].endswith("nothing-before")
    events = admin.get("/models/mnist/history").json()["events"]
    assert [(each["event"], each["version"]) for each in events if each["reason"] == "by hand"] == [
        ("promoted", 1),
        ("taken back", 1),
    ]
    assert json.loads((store.root / "mnist" / "policy.json").read_text()) == {"labels": {"stable": 2}, "never": [1]}


def test_promoting_brings_a_model_back_and_keeps_the_way_back(admin: TestClient) -> None:
    admin.post("/models/mnist/promote", json={"version": 1})
    admin.post("/models/mnist/promote", json={"version": 2})
    assert admin.post("/models/mnist/unload").status_code == 200
    details = admin.post("/models/mnist/promote", json={"version": 1}).json()
    assert (details["version"], details["labels"]) == (1, {"stable": 1, "previous": 2})
    assert answering(admin) == 1
    assert admin.post("/models/mnist/rollback").json()["version"] == 2


def test_what_a_trial_needs_is_not_taken_away(admin: TestClient, store: Store) -> None:
    store.policy({"labels": {"stable": 1}, "canary": {"version": 2}})
    assert admin.post("/models/mnist/load").status_code == 200
    response = admin.post("/models/mnist/versions/1/unload")
    problem = response.json()
    assert (response.status_code, problem["detail"]) == (409, "the model's policy stands in the way")
    assert "`stable`" in problem["expected"]
    assert "end the trial first" in problem["fix"]
    assert answering(admin, version=1) == 1


def test_roll_back_from_a_stable_version_that_does_not_serve(store: Store, start: Start) -> None:
    store.add(1)
    remove_graph(store.add(2))
    store.policy({"labels": {"stable": 2, "previous": 1}})
    client = start(models=store.root, admin_token=TOKEN)
    assert answering(client) == 1
    assert client.post("/models/mnist/rollback", headers=BEARER).json()["version"] == 1
    assert answering(client) == 1
    assert json.loads((store.root / "mnist" / "policy.json").read_text()) == {"labels": {"stable": 1}, "never": [2]}


def test_promote_by_label(admin: TestClient, store: Store) -> None:
    store.policy({"labels": {"good": 1}})
    admin.post("/models/mnist/load")
    assert admin.post("/models/mnist/promote", json={"label": "good"}).json()["version"] == 1
    assert admin.post("/models/mnist/promote", json={"label": "bad"}).status_code == 404


def test_load_notices_at_once(admin: TestClient, store: Store) -> None:
    store.add(3)
    assert answering(admin) == 2
    assert admin.post("/models/mnist/load").json()["version"] == 3
    assert answering(admin) == 3


def test_load_and_unload_a_version(admin: TestClient) -> None:
    details = admin.post("/models/mnist/versions/1/load").json()
    assert [each["state"] for each in details["versions"]] == ["serving", "serving"]
    assert answering(admin, version=1) == 1
    assert answering(admin) == 2
    admin.post("/models/mnist/versions/1/unload")
    response = admin.post("/predict?version=1", json={"image": picture(1).tolist()})
    assert response.status_code == 404
    assert admin.post("/models/mnist/versions/2/unload").json().get("version") is None
    assert admin.post("/predict", json={"image": picture(1).tolist()}).status_code == 404
    assert admin.get("/health/ready").status_code == 503
    assert admin.post("/models/mnist/versions/2/load").json()["version"] == 2
    assert admin.get("/health/ready").status_code == 200


def test_unload_and_load_a_whole_model(admin: TestClient) -> None:
    admin.post("/models/mnist/promote", json={"version": 1})
    assert admin.post("/models/mnist/unload").json().get("version") is None
    assert admin.get("/health/ready").status_code == 503
    details = admin.post("/models/mnist/load").json()
    assert (details["version"], details["labels"]) == (1, {"stable": 1, "previous": 2})


def test_the_repository_of_v2_loads_what_lies_there_and_nothing_else(admin: TestClient) -> None:
    path = "/v2/repository/models/mnist"
    assert admin.post(f"{path}/unload", json={"parameters": {"unload_dependents": False}}).status_code == 200
    assert admin.get("/v2/health/ready").status_code == 503
    for wrong in ({"parameters": {"config": "{}"}}, {"parameters": {"file:1/model": "AA=="}}, {"parameters": [1]}, []):
        response = admin.post(f"{path}/load", json=wrong)
        assert (response.status_code, list(response.json())) == (400, ["error"])
    assert admin.post(f"{path}/load", json={}).status_code == 200
    assert admin.post(f"{path}/load").status_code == 200
    assert answering(admin) == 2


def test_a_version_that_does_not_keep_its_promises_is_not_promoted(admin: TestClient, store: Store) -> None:
    remove_graph(store.add(3))
    for path, body in (("promote", {"version": 3}), ("versions/3/load", None)):
        response = admin.post(f"/models/mnist/{path}", json=body)
        assert response.status_code == 409
        assert "no such file" in response.json()["found"]
        assert str(store.root) not in response.text
    assert answering(admin) == 2
    assert not (store.root / "mnist" / "policy.json").exists()


NOT_THERE: list[tuple[str, Any, int]] = [
    ("/models/mnist/promote", {"version": 99}, 404),
    ("/models/mnist/promote", {"version": "1"}, 400),
    ("/models/mnist/promote", {"version": 1, "label": "x"}, 400),
    ("/models/mnist/promote", {}, 400),
    ("/models/mnist/promote", [], 400),
    ("/models/mnist/promote", None, 400),
    ("/models/invented/promote", {"version": 1}, 404),
    ("/models/invented/load", None, 404),
    ("/models/invented/rollback", None, 404),
    ("/models/mnist/versions/0/load", None, 400),
    ("/models/mnist/versions/x/load", None, 400),
    ("/models/mnist/versions/1.0/load", None, 400),
    ("/models/mnist/versions/01/load", None, 400),
    ("/models/mnist/versions/99/load", None, 404),
    ("/models/..%2f..%2fetc/load", None, 404),
    (f"/models/{'a' * 10_000}/load", None, 404),
    ("/models/mnist%0d%0aX: y/load", None, 404),
]


def test_what_is_not_there_is_a_clear_no(admin: TestClient) -> None:
    for path, body, status in NOT_THERE:
        response = admin.post(path, json=body) if body is not None else admin.post(path)
        assert response.status_code == status, (path, body, response.text)
        assert response.headers["content-type"] == "application/problem+json"
    assert answering(admin) == 2


@pytest.mark.parametrize(("number", "status"), [(30, 409), (13, 409), (28, 507)])
def test_a_store_that_can_not_be_written(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("service.policy.write", broken)
    assert admin.post("/models/mnist/promote", json={"version": 1}).status_code == status
    assert answering(admin) == 2
    assert admin.post("/models/mnist/load").status_code == 200  # writes nothing


def test_a_model_whose_folder_is_gone_says_so(admin: TestClient, store: Store) -> None:
    shutil.rmtree(store.root / "mnist")
    response = admin.post("/models/mnist/unload")
    assert (response.status_code, response.json()["detail"]) == (409, "the model's folder is gone")
    assert answering(admin) == 2


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
"""What a shell runs in name spaces of its own: it sees a folder as a mount that nobody may write to, root neither."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_is_mounted_read_only(tmp_path: Path, workers: str) -> None:
    by = ("unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY)
    if subprocess.run([*by, tmp_path, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts are not allowed here")
    for version in (1, 2):
        publish(tmp_path, version)
    flags = ("--workers", workers, "--models", str(tmp_path))
    with serving(*flags, environment={"CONVOLVE_ADMIN_TOKEN": TOKEN}, by=(*by, str(tmp_path))) as server:
        changes = [(path, b'{"version": 1}') for path in CHANGES if not path.endswith("mnist/load")]
        for path, body in [*changes, ("/v2/repository/models/mnist/unload", b"")]:
            status, answer = server.ask("POST", path, body, BEARER)
            assert status == 409, (path, answer)
            assert b"can not be written" in answer or path.endswith("rollback")
        assert server.ask("POST", "/models/mnist/load", b"", BEARER)[0] == 200  # looks, and writes nothing
        details = json.loads(server.ask("GET", "/models/mnist")[1])
        assert (details["version"], details["labels"], details["policy"]["never"]) == (2, {}, [])
        events = json.loads(server.ask("GET", "/models/mnist/history")[1])["events"]
        assert [each["event"] for each in events] == ["loaded", "answers"]
        publish(tmp_path, 3)  # whoever fills the store from outside is followed
        assert json.loads(server.ask("POST", "/models/mnist/load", b"", BEARER)[1])["version"] == 3
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == ["1", "2", "3"]


def test_what_a_trial_is_compared_with_is_not_unloaded(admin: TestClient, store: Store) -> None:
    store.policy({"labels": {"stable": 1}, "canary": {"version": 2, "share": 0.5}})
    assert admin.post("/models/mnist/load").json()["trial"] == {"mode": "canary", "version": 2, "share": 0.5}
    assert admin.post("/models/mnist/versions/1/unload").status_code == 409
    assert admin.post("/models/mnist/rollback").json()["version"] == 1
    assert "trial" not in admin.get("/models/mnist").json()


def test_a_model_says_what_its_policy_is_and_why_it_is_refused(admin: TestClient, store: Store) -> None:
    store.policy({"versions": "newest"})
    assert admin.post("/models/mnist/load").json()["policy_refused"].startswith("BadPolicy")
    assert admin.post("/models/mnist/promote", json={"version": 1}).status_code == 409
    assert answering(admin) == 2


def test_a_worker_that_does_not_follow_is_said(store: Store, start: Start) -> None:
    store.add(1)
    client = start(models=store.root, admin_token=TOKEN, apply_s=0.1)
    control = client.app_state["shared"].control
    control.board.applied[1] = 0  # another worker, which has applied nothing yet
    response = client.post("/models/mnist/load", headers=BEARER)
    assert response.status_code == 504
    assert "apply_s" in response.json()["expected"]
