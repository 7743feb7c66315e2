# /// script
# dependencies = ["kserve==0.21.0"]
# ///
"""KServe's inference client: its v1 and v2 over REST, binary and JSON; and v2 over gRPC."""

import asyncio
import base64

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from ours import GRPC, OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, URL, same


def request(binary: bool, kind: type, datatype: str) -> InferRequest:
    given = InferInput("image", [len(PIXELS), 28, 28, 1], datatype)
    given.set_data_from_numpy(np.array(PIXELS, kind).reshape(-1, 28, 28, 1), binary_data=binary)
    outputs = [RequestedOutput("probabilities", {"binary_data": binary})]
    return InferRequest(model_name="mnist", infer_inputs=[given], request_outputs=outputs, request_id="42")


async def rest() -> None:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(URL)
        assert await client.is_server_ready(URL)
        assert await client.is_model_ready(URL, "mnist")
        for binary in (True, False):
            for kind, datatype in ((np.uint8, "UINT8"), (np.float32, "FP32"), (np.int32, "INT32")):
                answer = await client.infer(URL, request(binary, kind, datatype), model_name="mnist")
                assert answer.id == "42"
                same(answer.outputs[0].as_numpy(), OF_PIXELS)
        file = InferInput("image", [1], "BYTES")
        file.set_data_from_numpy(np.array([SEVEN], dtype=np.object_), binary_data=True)
        answer = await client.infer(URL, InferRequest("mnist", [file]), model_name="mnist")
        same(answer.outputs[0].as_numpy(), OF_SEVEN)
    # Its v1 is TensorFlow Serving's, but for the state of a model: on that route we answer as TensorFlow Serving does.
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        answer = await client.infer(URL, {"instances": PIXELS}, model_name="mnist")
        same(answer["predictions"], OF_PIXELS)
        body = {"instances": [{"b64": base64.b64encode(SEVEN).decode()}]}
        same((await client.infer(URL, body, model_name="mnist"))["predictions"], OF_SEVEN)


async def grpc() -> None:
    async with InferenceGRPCClient(GRPC) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mnist")
        for binary in (True, False):
            answer = await client.infer(request(binary, np.float32, "FP32"))
            same(answer.outputs[0].as_numpy(), OF_PIXELS)


asyncio.run(rest())
asyncio.run(grpc())
