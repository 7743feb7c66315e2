# /// script
# dependencies = ["mlserver==1.7.1", "requests==2.32.5"]
# ///
"""MLServer's types and codecs: questions are made of them, answers are read by them."""

import numpy as np
import requests
from mlserver.codecs import Base64Codec, NumpyCodec, NumpyRequestCodec
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    Parameters,
    RepositoryIndexResponse,
    RequestOutput,
)  # fmt: skip
from ours import OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, URL, same


def infer(request: InferenceRequest) -> InferenceResponse:
    answer = requests.post(f"{URL}/v2/models/mnist/infer", data=request.model_dump_json(exclude_none=True), timeout=30)
    answer.raise_for_status()
    return InferenceResponse.model_validate(answer.json())


MetadataServerResponse.model_validate(requests.get(f"{URL}/v2", timeout=30).json())
metadata = MetadataModelResponse.model_validate(requests.get(f"{URL}/v2/models/mnist", timeout=30).json())
index = requests.post(f"{URL}/v2/repository/index", json={}, timeout=30).json()
assert RepositoryIndexResponse.model_validate(index).root[0].name == "mnist"
name, output = metadata.inputs[0].name, metadata.outputs[0].name

for kind in (np.uint8, np.int64, np.float32, np.float64):
    given = NumpyCodec.encode_input(name, np.array(PIXELS, kind).reshape(-1, 28, 28, 1))
    answer = infer(InferenceRequest(id="42", inputs=[given], outputs=[RequestOutput(name=output)]))
    assert answer.id == "42"
    same(NumpyCodec.decode_output(answer.outputs[0]), OF_PIXELS)
    same(NumpyRequestCodec.decode_response(answer), OF_PIXELS)

file = Base64Codec.encode_input(name, [SEVEN])
file.parameters = Parameters(content_type="base64")
same(NumpyCodec.decode_output(infer(InferenceRequest(inputs=[file])).outputs[0]), OF_SEVEN)
