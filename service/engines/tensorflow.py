"""TensorFlow: for those who have it, and a graphics card that it knows."""

from pathlib import Path

import numpy as np
import openvino
import tensorflow
from numpy.typing import NDArray

from service import novelty
from service.engines import Answers
from service.engines.core import compile_network
from service.errors import BadVersion
from service.manifest import Manifest


class TensorFlowEngine:
    """The concrete function behind the signature `serving_default`.

    Keras' `predict()` is never called: it builds an iterator and callbacks each time, which takes fifty times as long
    as the graph itself.
    """

    name = "tensorflow"
    precision = "f32"
    warm = False

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        limit_threads(threads)
        try:
            self.module = tensorflow.saved_model.load(str(folder))
            self.signature = self.module.signatures["serving_default"]
        except (OSError, ValueError, KeyError, tensorflow.errors.OpError) as error:
            raise BadVersion(f"{folder} can not be loaded", expected="a SavedModel", found=str(error)[:200]) from error
        self.input = manifest.input.name
        self.output = manifest.output
        self.check(manifest)
        self.novelty = compile_novelty(folder, manifest, threads) if manifest.novelty is not None else None

    def check(self, manifest: Manifest) -> None:
        """Compare the network's signature with the manifest's.

        Raises:
            BadVersion: They differ.
        """
        expected = [
            f"{manifest.input.name} uint8 {[None, *manifest.input.shape]}",
            f"{manifest.output} float32 {[None, len(manifest.labels)]}",
        ]
        _, inputs = self.signature.structured_input_signature
        found = [
            f"{name} {spec.dtype.name} {spec.shape.as_list()}"
            for name, spec in [*inputs.items(), *self.signature.structured_outputs.items()]
        ]
        if found != expected:
            raise BadVersion(
                "the network's signature is not the one in its manifest",
                expected=" → ".join(expected),
                found=" → ".join(found),
            )

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        answer = self.signature(**{self.input: tensorflow.constant(pixels)})[self.output]
        scores = None if self.novelty is None else np.array(self.novelty.infer([pixels])[0][:, 0])
        return Answers(np.asarray(answer.numpy(), np.float32), scores)


def compile_novelty(folder: Path, manifest: Manifest, threads: int) -> openvino.InferRequest:
    """The network that tells novelty, which is OpenVINO's under any engine.

    Raises:
        BadVersion: It can not be loaded.
    """
    try:
        return compile_network(novelty.read(folder, manifest), threads)
    except RuntimeError as error:
        raise BadVersion("the novelty network can not be loaded", expected="a network of OpenVINO's") from error


def limit_threads(threads: int) -> None:
    """TensorFlow takes the number once for a whole process, so the first network loaded decides."""
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
