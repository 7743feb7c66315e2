# /// script
# dependencies = ["tritonclient[http]==2.73.0"]
# ///
"""Triton's asynchronous client over HTTP."""

import asyncio

import numpy as np
import tritonclient.http.aio as triton
from ours import ADDRESS, OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, same


async def main() -> None:
    async with triton.InferenceServerClient(ADDRESS) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mnist")
        file = triton.InferInput("image", [1], "BYTES")
        file.set_data_from_numpy(np.array([SEVEN], dtype=np.object_))
        pixels = np.array(PIXELS, np.float32).reshape(-1, 28, 28, 1)
        numbers = triton.InferInput("image", pixels.shape, "FP32")
        numbers.set_data_from_numpy(pixels)
        answers = await asyncio.gather(*(client.infer("mnist", [each]) for each in [file, numbers] * 16))
        for index, answer in enumerate(answers):
            same(answer.as_numpy("probabilities"), OF_PIXELS if index % 2 else OF_SEVEN)


asyncio.run(main())
