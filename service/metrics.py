"""Every series, in one class.

Several workers count together (see `tally`), and whichever of them is scraped adds them all up.
"""

import platform
from collections.abc import Sequence
from typing import Literal

import openvino
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from service import __version__
from service.errors import ServiceError
from service.manifest import Manifest
from service.tally import Tally

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PICTURES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SHARES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)

VERSION = ("model", "version")
"""Labels of what concerns one version."""

# Several workers have none, and one is to have the same series.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class BatchMetrics:
    """What the batcher of one version counts."""

    def __init__(self, metrics: "Metrics", model: str, version: str) -> None:
        self.queue_seconds = metrics.stage_seconds.labels("queue", model, version)
        self.compute_seconds = metrics.stage_seconds.labels("compute", model, version)
        self.batch_pictures = metrics.batch_pictures.labels(model, version)
        self.queue_pictures = metrics.queue_pictures.labels(model, version)
        self.queue_pictures.set(0)
        self.failures = metrics.batch_failures.labels(model, version)


class VersionMetrics:
    """The children of one version, made at start: they exist at zero, and the hot path holds them."""

    def __init__(self, metrics: "Metrics", manifest: Manifest, engine: str, precision: str) -> None:
        model, version = manifest.name, str(manifest.version)
        self.batch = BatchMetrics(metrics, model, version)
        self.prepare_seconds = metrics.stage_seconds.labels("prepare", model, version)
        self.predictions = [metrics.predictions.labels(model, version, label) for label in manifest.labels]
        self.unrecognized = metrics.unrecognized.labels(model, version) if manifest.novelty is not None else None
        metrics.loaded.labels(model, version, engine, precision).set(1)


class TrialMetrics:
    """What a version on trial counts, and the stable one while it is compared."""

    def __init__(self, metrics: "Metrics", candidate: Manifest, stable: int) -> None:
        model = candidate.name
        self.confidence = {
            version: metrics.confidence.labels(model, str(version)) for version in (candidate.version, stable)
        }
        self.agreed, self.differed, self.dropped = (
            metrics.compared.labels(model, str(candidate.version), outcome)
            for outcome in ("agreed", "differed", "dropped")
        )


class Series:
    """Makes series in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def counter(self, name: str, words: str, labels: Sequence[str]) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def histogram(self, name: str, words: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(name, words, labels, buckets=buckets, registry=self.registry)

    def gauge(self, name: str, words: str, labels: Sequence[str], *, of_all: Literal["sum", "min", "max"]) -> Gauge:
        """A gauge; `of_all` says what several workers show together."""
        return Gauge(name, words, labels, multiprocess_mode=of_all, registry=self.registry)


class Metrics:
    """All series of one process, in the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        series = Series(registry)
        self.add_requests(series)
        self.add_pictures(series)
        self.add_versions(series)
        self.add_trials(series)
        self.feedback = series.counter(
            "convolve_feedback",
            "Pictures kept to train on: unsure, flagged, corrected; and those dropped because too many came at once.",
            ("reason",),
        )
        self.build = series.gauge(
            "convolve_build_info",
            "1, with the versions of what is running.",
            ("version", "python", "openvino"),
            of_all="max",
        )
        self.build.labels(__version__, platform.python_version(), openvino.__version__).set(1)

    def add_requests(self, series: Series) -> None:
        """What the door counts."""
        self.requests = series.counter(
            "convolve_requests",
            "Answers given, by route, status, and the version that answered (empty where none did).",
            ("route", "status", *VERSION),
        )
        self.request_seconds = series.histogram(
            "convolve_request_seconds",
            "Seconds from the request's arrival to the end of its answer.",
            ("route", *VERSION),
            SECONDS,
        )
        self.in_flight = series.gauge(
            "convolve_requests_in_flight", "Requests that are being answered.", (), of_all="sum"
        )
        self.in_flight.set(0)
        self.rejected = series.counter(
            "convolve_rejected",
            "Requests, or pictures of a larger request, that were refused, by reason.",
            ("reason",),
        )
        for kind in ServiceError.family():
            self.rejected.labels(kind.slug())

    def add_pictures(self, series: Series) -> None:
        """What each version counts on a picture's way to its answer."""
        self.stage_seconds = series.histogram(
            "convolve_stage_seconds",
            "Seconds in a stage: prepare (all pictures of a call), queue (until its first batch), compute (one batch).",
            ("stage", *VERSION),
            SECONDS,
        )
        self.batch_pictures = series.histogram("convolve_batch_pictures", "Pictures in a batch.", VERSION, PICTURES)
        self.queue_pictures = series.gauge(
            "convolve_queue_pictures", "Pictures that wait for a batch.", VERSION, of_all="sum"
        )
        self.batch_failures = series.counter("convolve_batch_failures", "Batches on which the network failed.", VERSION)
        self.predictions = series.counter(
            "convolve_predictions", "Pictures answered, by the class found most probable.", (*VERSION, "label")
        )
        self.unrecognized = series.counter(
            "convolve_unrecognized",
            "Pictures answered that are unlike the training set; none for a version that can not tell.",
            VERSION,
        )

    def add_versions(self, series: Series) -> None:
        """Which versions serve, and what became of the others."""
        self.loaded = series.gauge(
            "convolve_model_loaded", "1 for each version that serves.", (*VERSION, "engine", "precision"), of_all="max"
        )
        self.versions = series.gauge(
            "convolve_model_versions",
            "Versions in each state: serving, refused, available.",
            ("model", "state"),
            of_all="max",
        )
        self.loads = series.counter(
            "convolve_model_loads", "Versions that a worker has loaded, refused or unloaded.", ("model", "outcome")
        )
        self.policy_valid = series.gauge(
            "convolve_policy_valid",
            "1 where a model's policy.json can be read, or is not there.",
            ("model",),
            of_all="min",
        )

    def add_trials(self, series: Series) -> None:
        """What a new version beside the stable one is judged by."""
        self.confidence = series.histogram(
            "convolve_confidence",
            "Probability of the class found: of the version on trial and of the stable one, while there is a trial.",
            VERSION,
            SHARES,
        )
        self.compared = series.counter(
            "convolve_compared",
            "Pictures of a version on trial that were compared with the stable one: agreed, differed, dropped as busy.",
            (*VERSION, "outcome"),
        )

    @property
    def tally(self) -> Tally | None:
        """Where this worker counts, if it is one of several."""
        return values.ValueClass if isinstance(values.ValueClass, Tally) else None

    def unload(self, manifest: Manifest, engine: str, precision: str) -> None:
        """A version serves no longer; requests that it answers still count."""
        self.loaded.labels(manifest.name, str(manifest.version), engine, precision).set(0)

    def forget(self, manifest: Manifest) -> None:
        """Let go of the series of a version that answers nobody any more."""
        model, version = manifest.name, str(manifest.version)
        for series in (each for each in vars(self).values() if isinstance(each, MetricWrapperBase)):
            if {"model", "version"} <= set(series._labelnames):
                series.remove_by_labels({"model": model, "version": version})
        if self.tally is not None:
            self.tally.forget(model, version)

    def leave(self) -> None:
        """Say no more of the present: this worker ends."""
        if self.tally is not None:
            self.tally.leave()

    def numbers(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """All series of all workers as numbers, by name and labels."""
        found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(self.page().decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return found

    def page(self) -> bytes:
        """All series of all workers, in Prometheus' text format."""
        if self.tally is None:
            return generate_latest(self.registry)
        while True:
            together = CollectorRegistry()
            self.tally.folder.mkdir(exist_ok=True)
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            try:
                return generate_latest(together)
            except FileNotFoundError:  # a version left between the listing of the files and their reading
                continue
