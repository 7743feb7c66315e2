"""What several workers count: added up, kept when a worker is replaced, gone with the version that it is of."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values

from service import tally
from service.manifest import Manifest
from service.metrics import Metrics
from tests.fakes import Store

Worker = Callable[[int], Metrics]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Make the metrics of the worker in a slot; all workers of a test are this one process."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    before = values.ValueClass

    def start(slot: int) -> Metrics:
        tally.count_in(tmp_path, slot)
        return Metrics(CollectorRegistry())

    yield start
    values.ValueClass = before


def count(metrics: Metrics, version: int) -> None:
    metrics.batch_pictures.labels("mnist", str(version)).observe(1)
    metrics.predictions.labels("mnist", str(version), "7").inc()
    metrics.queue_pictures.labels("mnist", str(version)).set(2)


def found(metrics: Metrics, version: int) -> dict[str, float]:
    return {
        name: value
        for name, series in metrics.numbers().items()
        for labels, value in series.items()
        if ("version", str(version)) in labels and not name.endswith(("_bucket", "_sum"))
    }


def test_workers_add_up_and_a_replaced_one_goes_on(worker: Worker) -> None:
    count(first := worker(0), 1)
    count(worker(1), 1)
    count(worker(1), 1)
    expected = {"convolve_batch_pictures_count": 3, "convolve_predictions_total": 3, "convolve_queue_pictures": 4}
    assert found(first, 1) == expected


def test_a_worker_that_leaves_says_no_more_of_the_present(worker: Worker) -> None:
    count(first := worker(0), 1)
    count(second := worker(1), 1)
    second.leave()
    expected = {"convolve_batch_pictures_count": 2, "convolve_predictions_total": 2, "convolve_queue_pictures": 2}
    assert found(first, 1) == expected


def test_what_a_dead_worker_said_of_the_present_goes_when_its_place_is_taken(worker: Worker) -> None:
    count(first := worker(0), 1)
    count(worker(1), 1)
    worker(1)
    expected = {"convolve_batch_pictures_count": 2, "convolve_predictions_total": 2, "convolve_queue_pictures": 2}
    assert found(first, 1) == expected


def test_what_is_of_a_version_goes_with_it_and_nothing_else(worker: Worker, tmp_path: Path, store: Store) -> None:
    manifest = Manifest.read(store.add(1))
    metrics = worker(0)
    count(metrics, 2)
    metrics.rejected.labels("queue-full").inc()
    before = {path.name for path in tmp_path.glob("*.db")}
    for _ in range(3):
        late = metrics.predictions.labels("mnist", "1", "7")
        count(metrics, 1)
        assert {path.name for path in tmp_path.glob("*.db")} > before
        metrics.forget(manifest)
        late.inc()  # by whoever still held it
        assert found(metrics, 1) == {}
    assert {path.name for path in tmp_path.glob("*.db")} == before
    assert found(metrics, 2)["convolve_predictions_total"] == 1
    assert metrics.numbers()["convolve_rejected_total"][frozenset({("reason", "queue-full")})] == 1


def test_what_a_dead_worker_counted_of_a_version_goes_with_it(worker: Worker, store: Store) -> None:
    manifest = Manifest.read(store.add(1))
    count(worker(1), 1)
    count(first := worker(0), 1)
    first.forget(manifest)
    assert found(first, 1) == {}


def test_a_version_that_leaves_while_the_files_are_read_harms_nobody(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = worker(0)
    count(metrics, 1)
    turns: list[int] = []

    def gone_at_first(registry: CollectorRegistry) -> bytes:
        turns.append(1)
        if len(turns) == 1:
            raise FileNotFoundError
        return generate_latest(registry)

    monkeypatch.setattr("service.metrics.generate_latest", gone_at_first)
    assert b"convolve_predictions_total" in metrics.page()


def test_where_there_is_no_room_answers_go_on_and_it_is_said_once(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    count(metrics := worker(0), 1)
    monkeypatch.setattr(tally.os, "posix_fallocate", full)
    count(metrics, 2)
    count(metrics, 1)
    assert found(metrics, 2) == {}
    assert found(metrics, 1)["convolve_predictions_total"] == 2
    assert [record.message for record in caplog.records if "no room" in record.message] == [caplog.records[0].message]


def test_a_file_that_could_not_grow_once_grows_later(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    count(metrics := worker(0), 1)
    mapped = tally.mmap.mmap

    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(tally.mmap, "mmap", full)
    for status in range(200):
        metrics.requests.labels("/predict", status, "", "").inc()
    monkeypatch.setattr(tally.mmap, "mmap", mapped)
    for status in range(200, 400):
        metrics.requests.labels("/predict", status, "", "").inc()
    page = metrics.page().decode()
    assert all(f'status="{status}"' in page for status in range(200, 400))
