"""OpenVINO: reads the SavedModel folder as it is, needs no TensorFlow, and is the quickest on a processor."""

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from service.errors import BadVersion
from service.manifest import Manifest

SIZES = (16, 8, 4, 2, 1)
"""Batch sizes that a small network is compiled for. A larger one computes a picture no quicker than 16 do."""
SMALL = 5_000_000
"""A network of fewer parameters is compiled for each size, others once for any: each copy costs their memory again."""


class OpenVINOEngine:
    """One network, compiled for a few batch sizes: going from one size to another costs a dynamic one 0.3 ms."""

    name = "openvino"
    precision = "f32"

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        self.threads = threads
        self.classes = len(manifest.labels)
        self.sizes = SIZES if manifest.parameters < SMALL else ()
        core = openvino.Core()
        try:
            network = core.read_model(folder)
            check(network, manifest)
            self.fixed = [self.compile(core, network, size) for size in self.sizes]
            self.any = None if self.sizes else self.compile(core, network, -1)
        except RuntimeError as error:
            raise BadVersion(
                f"{folder} can not be loaded", expected="a SavedModel", found=str(error).strip().splitlines()[-1]
            ) from error

    def compile(self, core: openvino.Core, network: openvino.Model, size: int) -> openvino.InferRequest:
        """The network for one batch size; -1 is any."""
        network = network.clone()
        network.reshape([size, *network.input().partial_shape[1:]])
        options = {
            # The default is bfloat16 on newer processors, and moves probabilities by up to 0.01.
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.threads,
            # Pinned, the threads of all workers would sit on the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        return core.compile_model(network, "CPU", options).create_infer_request()

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.any is not None:
            return np.array(self.any.infer([pixels])[0])
        answers = np.empty((len(pixels), self.classes), np.float32)
        start = 0
        for size, request in zip(self.sizes, self.fixed, strict=True):
            while len(pixels) - start >= size:
                # Copied: OpenVINO shares only arrays that it could write to, and 784 bytes are nothing.
                request.get_input_tensor().data[:] = pixels[start : start + size]
                request.infer()
                answers[start : start + size] = request.get_output_tensor().data
                start += size
        return answers


def check(network: openvino.Model, manifest: Manifest) -> None:
    """Compare the network's signature with the manifest's.

    Raises:
        BadVersion: They differ.
    """
    expected = [
        f"{manifest.input.name} u8 [?,{','.join(map(str, manifest.input.shape))}]",
        f"{manifest.output} f32 [?,{len(manifest.labels)}]",
    ]
    found = [
        f"{port.any_name} {port.element_type.to_string()} {port.partial_shape.to_string()}"
        for port in [*network.inputs, *network.outputs]
    ]
    if found != expected:
        raise BadVersion(
            "the network's signature is not the one in its manifest",
            expected=" → ".join(expected),
            found=" → ".join(found),
        )
