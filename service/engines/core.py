"""OpenVINO's core, one for the whole process.

A core gives the thread in which it loads the processor's part a stack for signals, and takes the memory back when it is
dropped: after a few of them, the next signal there ends the process, and Ctrl-C was a crash.
"""

from pathlib import Path

import openvino

CORE = openvino.Core()
# Mapped, weights would go with a file that is overwritten while they are compiled, and this process with them.
CORE.set_property({"ENABLE_MMAP": False})


def compile_network(network: openvino.Model | Path, threads: int, precision: str = "f32") -> openvino.InferRequest:
    """What answers, one question at a time, in float32 or (`bf16`) in bfloat16."""
    options = {
        # Said even for f32, as the default is bf16 on newer processors. The few layers of int8 that have no int8 form
        # stay in f32.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Pinned, the threads of all workers would sit on the same first cores.
        "ENABLE_CPU_PINNING": False,
    }
    return CORE.compile_model(network, "CPU", options).create_infer_request()
