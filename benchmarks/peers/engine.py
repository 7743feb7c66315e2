"""What every peer computes with: OpenVINO on the weights that Convolve ships.

Set by variables, as each peer is started in an environment of its own:

PEER_MODEL      SavedModel folder, or the int8 network's XML file
PEER_THREADS    threads that compute; 1
PEER_PRECISION  f32 or bf16; empty is OpenVINO's own choice on this processor
"""

import io
import os
import threading

import numpy as np
import openvino
from PIL import Image

SHAPE = (28, 28, 1)
BULK = 1024
"""Pictures in a raw body."""


def load():
    """A function from uint8 (n, 28, 28, 1) to probabilities (n, 10)."""
    options = {
        "INFERENCE_NUM_THREADS": int(os.environ.get("PEER_THREADS", "1")),
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # pinned, two workers would sit on the same core
    }
    if precision := os.environ.get("PEER_PRECISION"):
        options["INFERENCE_PRECISION_HINT"] = precision
    network = openvino.Core().compile_model(os.environ["PEER_MODEL"], "CPU", options)
    local = threading.local()

    def run(pixels):
        if not hasattr(local, "request"):
            local.request = network.create_infer_request()
        local.request.infer([pixels], share_inputs=True)
        return np.array(local.request.get_output_tensor().data)

    for size in (1, 2, 8, 32):
        run(np.zeros((size, *SHAPE), np.uint8))
    return run


def from_pixels(rows):
    """Rows of 784 numbers 0–255."""
    return np.asarray(rows, np.uint8).reshape(-1, *SHAPE)


def from_raw(data):
    """The bytes of 1,024 pictures: one for each pixel, or four as FP32."""
    kind = np.uint8 if len(data) == BULK * 784 else np.float32
    return np.frombuffer(data, kind).astype(np.uint8, copy=False).reshape(-1, *SHAPE)


def from_png(data):
    """A picture file of 28 × 28 pixels."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).reshape(1, *SHAPE)
