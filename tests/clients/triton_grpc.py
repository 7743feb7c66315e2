# /// script
# dependencies = ["tritonclient[grpc]==2.73.0"]
# ///
"""Triton's client over gRPC, and its asynchronous one."""

import asyncio

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from ours import ADMIN, GRPC, OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, same
from tritonclient.utils import InferenceServerException

pixels = np.array(PIXELS, np.float32).reshape(-1, 28, 28, 1)
numbers = triton.InferInput("image", pixels.shape, "FP32")
numbers.set_data_from_numpy(pixels)
file = triton.InferInput("image", [1], "BYTES")
file.set_data_from_numpy(np.array([SEVEN], dtype=np.object_))

with triton.InferenceServerClient(GRPC) as client:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist", "1")
    assert client.get_server_metadata().name == "convolve"
    assert client.get_model_metadata("mnist").inputs[0].datatype == "UINT8"
    assert client.get_model_repository_index().models[0].state == "READY"
    same(client.infer("mnist", [numbers], request_id="42").as_numpy("probabilities"), OF_PIXELS)
    same(client.infer("mnist", [file], compression_algorithm="gzip").as_numpy("probabilities"), OF_SEVEN)
    wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
    assert client.infer("mnist", [file], outputs=wanted).as_numpy("probabilities")[0][0].endswith(b":7:7")
    try:
        client.infer("nope", [file])
    except InferenceServerException as error:
        refusal = str(error.status())
    assert "NOT_FOUND" in refusal
    try:
        client.unload_model("mnist")
    except InferenceServerException as error:
        refusal = str(error.status())
    assert "UNAUTHENTICATED" in refusal
    client.unload_model("mnist", headers=ADMIN)
    assert client.get_model_repository_index().models[0].state == "UNAVAILABLE"
    assert not client.is_server_ready()
    client.load_model("mnist", headers=ADMIN)
    assert client.is_model_ready("mnist", "1")


async def main() -> None:
    async with aio.InferenceServerClient(GRPC) as client:
        for answer in await asyncio.gather(*(client.infer("mnist", [file]) for _ in range(16))):
            same(answer.as_numpy("probabilities"), OF_SEVEN)


asyncio.run(main())
