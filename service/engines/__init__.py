"""What computes: one file for each engine behind one protocol."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.manifest import Manifest

TOLERANCE = {"f32": 1e-3, "bf16": 0.1, "int8": 0.25}
"""How far an answer to a golden input may be from the recorded one, by arithmetic, on whatever processor this is."""


class Answers(NamedTuple):
    """What a network says of pictures, in their order."""

    probabilities: NDArray[np.float32]
    """(n, classes); rows add up to 1."""
    novelty: NDArray[np.float32] | None = None
    """(n,): how unlike the training set each picture is, 0 (like it) to 1; None where the version can not tell."""

    def part(self, start: int, end: int) -> "Answers":
        """What is said of some of them."""
        return Answers(self.probabilities[start:end], None if self.novelty is None else self.novelty[start:end])

    @classmethod
    def together(cls, parts: "list[Answers]") -> "Answers":
        """What one network says of all of them."""
        scores = [part.novelty for part in parts if part.novelty is not None]
        return Answers(
            np.concatenate([part.probabilities for part in parts]), np.concatenate(scores) if scores else None
        )


class Engine(Protocol):
    """A loaded network. Used by one thread at a time."""

    name: str
    """`openvino` or `tensorflow`."""
    precision: str
    """Arithmetic it computes in, such as `f32`."""
    warm: bool
    """Whether it has computed batches of every size already, so that none takes longer than the next one."""

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        """Probabilities of every class, and how unlike the training set each picture is, if the version can tell.

        Args:
            pixels: (n, height, width, channels), 0 to 255, n ≥ 1.
            spare: Whether the spare threads may compute, too.

        Returns:
            The caller's own: not overwritten by the next call.
        """


def load(
    engine: str,
    folder: Path,
    manifest: Manifest,
    threads: int,
    precision: str = "f32",
    *,
    spare: int = 0,
    at_once: bool = False,
) -> Engine:
    """Load the SavedModel in `folder`.

    Engines are imported here and not above, so that only the one in use needs to be installed.

    Args:
        engine: `openvino` or `tensorflow`.
        folder: One version, with saved_model.pb.
        manifest: What the version says of itself.
        threads: How many may compute.
        precision: `f32`, `bf16`, `int8`, or `auto`; f32 where the version or the processor lacks that.
        spare: How many more, at times. Only OpenVINO's small networks make use of them.
        at_once: Be there as soon as pictures can be answered at all, and quick a moment later.

    Raises:
        BadVersion: The files can not be loaded, or hold other signatures than the manifest says.
    """
    if engine == "tensorflow":
        from service.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine(folder, manifest, threads)
    from service.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(folder, manifest, threads, precision, spare=spare, at_once=at_once)
