"""A version's network that tells pictures which are unlike its training set. It is OpenVINO's under any engine."""

from pathlib import Path

import openvino

from service.engines.core import CORE
from service.errors import BadVersion
from service.manifest import Manifest


def read(folder: Path, manifest: Manifest) -> openvino.Model:
    """The network that `manifest.novelty` names.

    Raises:
        BadVersion: It does not take this version's pictures, or gives something else than one score for each.
        RuntimeError: The file holds no network.
    """
    assert manifest.novelty is not None  # noqa: S101 - for the caller to know
    network = CORE.read_model(folder / manifest.novelty.network)
    expected = [f"u8 [?,{','.join(map(str, manifest.input.shape))}]", "f32 [?,1]"]
    found = [
        f"{port.element_type.to_string()} {port.partial_shape.to_string()}"
        for port in [*network.inputs, *network.outputs]
    ]
    if found != expected:
        raise BadVersion(
            "the novelty network's signature is not what it must be",
            expected=f"novelty: {' → '.join(expected)}",
            found=" → ".join(found),
        )
    return network


def join(network: openvino.Model, novelty: openvino.Model) -> openvino.Model:
    """One network of two that read the same pixels: the probabilities are its first output, the scores its second."""
    novelty.get_parameters()[0].output(0).replace(network.get_parameters()[0].output(0))
    return openvino.Model([*network.get_results(), *novelty.get_results()], network.get_parameters())
