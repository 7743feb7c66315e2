"""What a new version must show before it is published: that it is what was trained, no worse, and no slower."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import engines
from service.engines import Engine
from service.errors import ServiceError
from service.manifest import Manifest
from training.datasets import Part
from training.errors import TrainingError

TOLERANCE = 1e-5
"""How far the probabilities of two engines may be apart, both computing in float32."""
MARGIN = 0.001
"""Share of the validation pictures that a version may get wrong beyond what the newest one gets wrong, at least."""
CERTAINTY = 1.645
"""Or so many standard errors of the difference, where that is more: beyond them, a version is worse with 95 %
certainty. The newest one was chosen, by luck too, and an equal one must not be refused for having less of it."""
SLOWDOWN = 3.0
"""How many times as long as the newest version's an answer may take, both in f32: which arithmetic a version is served
in depends on the processor, and on a few pictures of validation."""
BATCH = 64
"""Pictures of the larger of the two questions that are timed."""
WAY_OUT = "to publish it as it is, give the same command with --resume --force: nothing is learnt again"
TURNS = 30
"""Times that each question is asked; the quickest answer counts, since the others say what else the machine did."""


class Version(NamedTuple):
    """One that can be loaded."""

    folder: Path
    manifest: Manifest

    def load(self, engine: str = "openvino", precision: str = "f32") -> Engine:
        return engines.load(engine, self.folder, self.manifest, 1, precision)


@dataclass(frozen=True)
class Check:
    """One condition, in words for whoever reads the manifest."""

    name: str
    passed: bool
    expected: str
    found: str


@dataclass(frozen=True)
class Latency:
    """How long one thread takes."""

    precision: str
    one_ms: float
    """Milliseconds for one picture."""
    batch_ms: float
    """For a batch of `BATCH`."""
    batch: int = BATCH

    @property
    def words(self) -> str:
        return f"{self.one_ms:.3f} ms, and {self.batch_ms:.2f} ms for {self.batch} ({self.precision})"


def judge(folder: Path, manifest: Manifest, validation: Part, before: Path | None, *, force: bool) -> dict[str, Any]:
    """Try a version that is ready.

    Args:
        folder: With its networks.
        manifest: Of the version, its precisions measured.
        validation: Pictures that nothing was learnt from.
        before: Folder of the newest version of the same name, if there is one.
        force: Let it pass whatever is found.

    Returns:
        What goes into the manifest: `passed`, `forced`, `latency` in the arithmetic that serving would choose on this
        machine, and each of the `checks`.

    Raises:
        TrainingError: It does not pass, and is not forced.
        BadVersion: It can not be loaded at all.
    """
    new = Version(folder, manifest)
    old, missing = recall(before)
    classes = check_classes(manifest, old.manifest) if old else None
    if old and (missing := compare_kinds(manifest, old.manifest)):
        old = None
    (latency,) = measure([new], "auto")
    checks = [
        *([classes] if classes else []),
        check_golden(new),
        check_accuracy(new, old, validation) if old else Check("validation accuracy", True, missing, "not compared"),
        check_latency(*measure([new, old], "f32")) if old else Check("latency", True, missing, latency.words),
    ]
    failed = [check for check in checks if not check.passed]
    if failed and not force:
        words = "; ".join(f"{check.name}: expected {check.expected}, found {check.found}" for check in failed)
        raise TrainingError(f"not published: {words}; {WAY_OUT}")
    return {
        "passed": not failed,
        "forced": bool(failed),
        "latency": asdict(latency),
        "checks": [asdict(check) for check in checks],
    }


def recall(before: Path | None) -> tuple[Version | None, str]:
    """The newest version, or why there is nothing to compare with. A damaged one must not stop a better one."""
    if before is None:
        return None, "no version before"
    try:
        old = Version(before, Manifest.read(before))
        old.load()
    except ServiceError as error:
        return None, f"version {before.name} can not be loaded: {type(error).__name__}"
    return old, ""


def check_golden(new: Version) -> Check:
    """Whether both engines answer to the golden pictures what Keras answered, and the service will take it too, in the
    arithmetic that it chooses on this machine.
    """
    shape = new.manifest.input.shape
    pictures = np.stack([np.frombuffer(golden.pixels, np.uint8).reshape(shape) for golden in new.manifest.golden])
    expected = np.array([golden.probabilities for golden in new.manifest.golden])

    def measure_distance(engine: Engine) -> float:
        return float(np.abs(engine.predict(pictures).probabilities - expected).max())

    apart = {engine: measure_distance(new.load(engine)) for engine in ("openvino", "tensorflow")}
    served = new.load(precision="auto")
    limit, distance = engines.TOLERANCE[served.precision], measure_distance(served)
    return Check(
        "golden pictures",
        all(each <= TOLERANCE for each in apart.values()) and distance <= limit,
        f"probabilities within {TOLERANCE} of Keras', and {limit} as served",
        ", ".join(f"{each:.1e} apart in {name}" for name, each in {**apart, served.precision: distance}.items()),
    )


def check_accuracy(new: Version, old: Version, validation: Part) -> Check:
    """Whether it is as good as the newest version, on the same validation pictures."""
    name = "validation accuracy"
    right, before = (find_right(version.load(), validation) for version in (new, old))
    margin = max(MARGIN * len(validation), CERTAINTY * math.sqrt((right != before).sum()))
    return Check(
        name,
        bool(before.sum() - right.sum() <= margin),
        f"at most {margin / len(validation):.2%} below the {before.mean():.2%} of version {old.manifest.version}",
        f"{right.mean():.2%} of {len(validation):,} pictures",
    )


def check_classes(new: Manifest, old: Manifest) -> Check | None:
    """That it tells other classes than the version before: who asks for the model by name would be surprised. None if
    it does not. `python -m training` looks before it learns; meanwhile, another run may have published.
    """
    if new.labels == old.labels:
        return None
    expected, found = tell_apart(old.labels, new.labels)
    return Check("classes", False, f"those of version {old.version}: {expected}", found)


def tell_apart(labels: Sequence[str], others: Sequence[str]) -> tuple[str, str]:
    """What two lists of classes have that the other has not; where they have the same in another order, all of them."""

    def tell(some: Sequence[str], beside: Sequence[str]) -> str:
        own = [name for name in some if name not in beside] or some
        return ", ".join([*own[:12], *(["…"] if len(own) > 12 else [])])

    return tell(labels, others), tell(others, labels)


def compare_kinds(new: Manifest, old: Manifest) -> str:
    """Why two versions can not be compared; empty if they can."""
    if new.labels != old.labels:
        return f"version {old.version} has other labels"
    if (new.input.shape, new.input.preparation) != (old.input.shape, old.input.preparation):
        return f"version {old.version} takes pictures that are prepared otherwise"
    return ""


def find_right(engine: Engine, part: Part) -> NDArray[np.bool_]:
    """Which pictures are answered rightly."""
    right: NDArray[np.bool_] = engine.predict(part.pictures).probabilities.argmax(axis=1) == part.labels
    return right


def check_latency(new: Latency, old: Latency) -> Check:
    """Whether it is quick enough beside the newest version."""
    return Check(
        "latency",
        new.one_ms <= SLOWDOWN * old.one_ms and new.batch_ms <= SLOWDOWN * old.batch_ms,
        f"at most {SLOWDOWN:g} × the version before: {old.words}",
        new.words,
    )


def measure(versions: Sequence[Version], precision: str) -> list[Latency]:
    """Time each version. They take turns, so that what else the machine does harms all of them alike."""
    loaded = [version.load(precision=precision) for version in versions]
    times: list[dict[int, list[float]]] = [{1: [], BATCH: []} for _ in versions]
    for _ in range(TURNS):
        for version, engine, kept in zip(versions, loaded, times, strict=True):
            for size in (1, BATCH):
                pictures = np.zeros((size, *version.manifest.input.shape), np.uint8)
                began = time.perf_counter()
                engine.predict(pictures)
                kept[size].append(1000 * (time.perf_counter() - began))
    return [
        Latency(engine.precision, round(min(kept[1]), 4), round(min(kept[BATCH]), 3))
        for engine, kept in zip(loaded, times, strict=True)
    ]
