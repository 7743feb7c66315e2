"""Triton, as NVIDIA ships it for Python: its C++ front end and dynamic batcher, the network in a Python process."""

import os

import engine
import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

PIXELS = {"UINT8": np.uint8, "FP32": np.float32}

run = engine.load()


@batch
def infer(image):
    return {"probabilities": run(engine.from_pixels(image))}


@batch
def infer_files(image):
    return {"probabilities": run(np.concatenate([engine.from_png(bytes(file)) for file in image.reshape(-1)]))}


port = int(os.environ["PEER_PORT"])
config = ModelConfig(max_batch_size=1024, batcher=DynamicBatcher(max_queue_delay_microseconds=0))
front = TritonConfig(
    http_address="127.0.0.1",
    http_port=port,
    http_thread_count=8,
    grpc_address="127.0.0.1",
    grpc_port=port + 1,
    metrics_port=port + 2,
)
with Triton(config=front) as triton:
    kind = os.environ["PEER_INPUT"]
    triton.bind(
        model_name="mnist",
        infer_func=infer_files if kind == "BYTES" else infer,
        inputs=[
            Tensor(name="image", dtype=bytes, shape=(1,))
            if kind == "BYTES"
            else Tensor(name="image", dtype=PIXELS[kind], shape=(784,))
        ],
        outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
        config=config,
        strict=False,
    )
    triton.serve()
