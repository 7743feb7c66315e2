"""Health that tells the truth, models as they are, metrics that count everything, documentation that works offline."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tests.fakes import Reader, picture
from tests.service.conftest import SEVEN, Start, png


def samples(client: TestClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def value(client: TestClient, name: str, **labels: str) -> float | None:
    return samples(client).get((name, frozenset(labels.items())))


def test_one_worker_has_the_series_of_several(client: TestClient) -> None:
    client.post("/predict", content=SEVEN)
    assert [name for name, _ in samples(client) if name.endswith("_created")] == []


def test_live_and_ready(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"


def test_not_ready_without_a_model_but_live(start: Start, tmp_path: Path) -> None:
    client = start(models=tmp_path)
    assert client.get("/health/live").status_code == 200
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "make train" in response.json()["fix"]
    assert client.get("/models").json() == {"models": []}
    assert client.post("/predict", content=SEVEN).status_code == 404


def test_models_tells_what_serves(client: TestClient) -> None:
    (model,) = [each for each in client.get("/models").json()["models"] if each["state"] == "serving"]
    assert model["name"] == "mnist"
    assert model["labels"] == list("0123456789")
    assert model["input"]["shape"] == [28, 28, 1]
    assert model["parameters"] == 1_199_882
    assert model["accuracy"]["test"] >= 0.994
    assert model["engine"] == "openvino"
    assert model["precision"] in ("f32", "bf16", "int8")


@pytest.mark.parametrize("path", ["/nope", "/models/../etc", "/predict/", "/health"])
def test_unknown_paths_get_problem_details(client: TestClient, path: str) -> None:
    response = client.get(path, follow_redirects=False)
    assert response.status_code in (404, 307)
    if response.status_code == 404:
        assert response.headers["content-type"] == "application/problem+json"


def test_invented_paths_and_models_add_no_series(client: TestClient) -> None:
    client.get("/invented/0")
    client.post("/predict?model=invented0", content=SEVEN)
    samples(client)  # this route has series of its own
    before = len(samples(client))
    for number in range(200):
        client.get(f"/invented/{number}")
        client.post(f"/predict?model=invented{number}", content=SEVEN)
    assert len(samples(client)) == before


def test_every_answer_is_counted_by_route_status_and_version(start: Start) -> None:
    client = start(Reader())
    version = str(client.get("/models").json()["models"][0]["version"])
    for _ in range(3):
        client.post("/predict", json={"image": picture(4).tolist()})
    client.post("/predict", content=b"not a picture")
    client.get("/nope")
    served = {"model": "mnist", "version": version}
    assert value(client, "convolve_requests_total", route="/predict", status="200", **served) == 3
    assert value(client, "convolve_requests_total", route="/predict", status="415", **served) == 1
    assert value(client, "convolve_requests_total", route="unknown", status="404", model="", version="") == 1
    assert value(client, "convolve_request_seconds_count", route="/predict", **served) == 4
    assert value(client, "convolve_rejected_total", reason="unsupported-picture") == 1
    assert value(client, "convolve_predictions_total", label="4", **served) == 3
    assert value(client, "convolve_predictions_total", label="5", **served) == 0
    for stage, count in (("prepare", 4), ("queue", 3), ("compute", 3)):
        assert value(client, "convolve_stage_seconds_count", stage=stage, **served) == count
    assert value(client, "convolve_batch_pictures_sum", **served) == 3
    assert value(client, "convolve_queue_pictures", **served) == 0
    assert value(client, "convolve_requests_in_flight") == 1  # the scrape itself
    assert value(client, "convolve_model_loaded", engine="reader", precision="f32", **served) == 1
    assert any(name == "convolve_build_info" for name, _ in samples(client))


def test_bad_pictures_of_a_good_call_are_counted_as_rejected(start: Start) -> None:
    client = start(Reader())
    client.post("/predict", json={"images": ["AAAA", picture(1).tolist()]})
    assert value(client, "convolve_rejected_total", reason="unsupported-picture") == 1


class Links(HTMLParser):
    """What a page loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            str(link) for name, link in attrs if name in ("src", "href") and tag in ("script", "link", "img")
        ]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    links = Links(page.text).found
    assert links
    for link in links:
        assert not re.match(r"(https?:)?/", link), link  # which a proxy may have put under a path
        assert client.get(f"/{link}").status_code == 200, link


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/")
    for header in ({"if-none-match": first.headers["etag"]}, {"if-modified-since": first.headers["last-modified"]}):
        again = client.get("/", headers=header)
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/", headers={"if-none-match": '"another"'}).content == first.content


@pytest.mark.parametrize(
    ("path", "place"),
    [("/predict/?top=1", "../predict?top=1"), ("/models/mnist/", "../mnist"), ("/docs/", "../docs")],
)
def test_a_slash_too_many_leads_to_the_right_place_behind_any_proxy(client: TestClient, path: str, place: str) -> None:
    answer = client.request("POST" if "predict" in path else "GET", path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, place)
    assert client.get("/models/").json() == client.get("/models").json()


def test_the_documentation_finds_its_document_under_a_path_too(client: TestClient) -> None:
    assert "url: 'openapi.json'" in client.get("/docs").text


def test_a_large_picture_is_prepared_like_a_small_one(client: TestClient) -> None:
    large = np.full((1200, 1600), 255, np.uint8)
    large[300:900, 780:840] = 0
    response = client.post("/predict", content=png(large))
    assert response.json()["predictions"][0]["label"] == "1"
