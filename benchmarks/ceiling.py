"""The bare engine on all cores, without HTTP: what no server can pass.

`python -m benchmarks.ceiling NETWORKS PRECISION PROCESSES THREADS SIZE SECONDS` prints pictures per second.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import VERSION, draw
from service import novelty
from service.engines import kernels
from service.engines.core import CORE
from service.engines.openvino import choose
from service.manifest import Manifest

ALONE, BOTH = "the classes alone", "both networks"
"""The network of the classes alone, or joined with the one that tells what is unlike its training set, as served."""
WAYS = ((1, 0, 1024), (0, 1, 1024), (0, 1, 64), (0, 1, 16))
"""Ways to use all cores: processes, threads in each, pictures in a batch; 0 is one for each core."""


def measure(networks: str, precision: str, processes: int, threads: int, size: int, seconds: float) -> float:
    """Pictures per second of one way, in processes of its own.

    Args:
        networks: `ALONE` or `BOTH`.
        precision: As the service's setting.
        processes: As in `WAYS`, as the next two.
        threads: In each.
        size: Pictures in a batch.
        seconds: To compute for.
    """
    cores = len(os.sched_getaffinity(0))
    numbers = [str(number) for number in (processes or cores, threads or cores, size, seconds)]
    command = [sys.executable, "-m", "benchmarks.ceiling", networks, precision, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def compute(
    networks: str, precision: str, threads: int, seconds: float, pixels: NDArray[np.uint8], together: Barrier
) -> float:
    """Pictures per second of one process."""
    manifest = Manifest.read(VERSION)
    precision = choose(precision, manifest, CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    network = CORE.read_model(VERSION / manifest.precisions[precision].network)
    if networks == BOTH:
        network = novelty.join(network, novelty.read(VERSION, manifest))
    kernels.prefer_quicker(network)  # as the service has them
    network.reshape(pixels.shape)
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    request = CORE.compile_model(network, "CPU", options).create_infer_request()
    request.infer([pixels])
    together.wait()
    count, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        request.infer([pixels])
        count += len(pixels)
    return count / elapsed


def work(answers: "multiprocessing.SimpleQueue[float]", *arguments: object) -> None:
    answers.put(compute(*arguments))  # type: ignore[arg-type]


if __name__ == "__main__":
    networks, precision = sys.argv[1:3]
    processes, threads, size = map(int, sys.argv[3:6])
    drawn = draw(64).pixels
    context = multiprocessing.get_context("spawn")  # drawing has compiled a network, whose threads no fork would have
    together, answers = context.Barrier(processes), context.SimpleQueue()
    pixels = np.resize(drawn, (size, *drawn.shape[1:]))
    arguments = (answers, networks, precision, threads, float(sys.argv[6]), pixels, together)
    workers = [context.Process(target=work, args=arguments) for _ in range(processes)]
    for worker in workers:
        worker.start()
    print(sum(answers.get() for _ in workers))
