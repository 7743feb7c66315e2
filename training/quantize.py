"""A version's network in cheaper arithmetic: int8 beside the SavedModel, and what f32, bf16 and int8 each cost."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

from service import engines
from service.engines.core import CORE
from service.manifest import Manifest, Precision
from training.datasets import Part

NETWORK = "int8/network.xml"
"""Where the quantized network lies in the version's folder."""
CALIBRATION = 300
"""Training pictures from which the ranges of activations are read; 1,000 gave the same network to within noise."""
CALIBRATION_SEED = 300
"""Which ones: a version's seed must not change what quantizing costs."""
THREADS = 2


def quantize(folder: Path, training: Part) -> None:
    """Write the int8 network of a version.

    Args:
        folder: With the SavedModel.
        training: Pictures to calibrate on.
    """
    write_int8(CORE.read_model(folder), training, folder / NETWORK)


def write_int8(network: openvino.Model, training: Part, path: Path) -> None:
    """Write a network in int8, into a folder that is not there yet; its activations' ranges are those of training
    pictures.
    """
    nncf.set_log_level(logging.ERROR)
    chosen = np.random.RandomState(CALIBRATION_SEED).permutation(len(training))[:CALIBRATION]
    pictures = [training.pictures[index : index + 1] for index in chosen]
    # The last layer decides between classes, and is a thousandth of the work.
    last = [operation for operation in network.get_ordered_ops() if operation.get_type_name() == "MatMul"][-1]
    kept = nncf.IgnoredScope(names=[last.get_friendly_name()])
    # The fast correction of biases looks at each layer's mean alone: it cost one network 4 points, and this none.
    quantized = nncf.quantize(
        network, nncf.Dataset(pictures), subset_size=len(pictures), fast_bias_correction=False, ignored_scope=kept
    )
    path.parent.mkdir()
    openvino.save_model(quantized, path, compress_to_fp16=False)


def compare(folder: Path, manifest: Manifest, parts: Mapping[str, Part]) -> dict[str, Precision]:
    """What each arithmetic costs that this processor has.

    Args:
        folder: With the SavedModel and the int8 network.
        manifest: Of the version.
        parts: `validation` and `test`.
    """
    asked = {"f32": "", "bf16": "", "int8": NETWORK}
    drafts = {name: Precision(0, 0, 0, 0, network) for name, network in asked.items()}
    answers: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name in asked:
        engine = engines.load("openvino", folder, replace(manifest, precisions=drafts), THREADS, name)
        if engine.precision == name:
            answers[name] = {part: engine.predict(pictures.pictures).probabilities for part, pictures in parts.items()}
    right = {
        name: {part: float((found[part].argmax(axis=1) == parts[part].labels).mean()) for part in parts}
        for name, found in answers.items()
    }
    apart = {name: np.abs(found["validation"] - answers["f32"]["validation"]) for name, found in answers.items()}
    return {
        name: Precision(
            **right[name],
            mean_difference=float(apart[name].mean()),
            max_difference=float(apart[name].max()),
            network=asked[name],
        )
        for name in answers
    }
