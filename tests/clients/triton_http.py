# /// script
# dependencies = ["tritonclient[http]==2.73.0"]
# ///
"""Triton's client over HTTP: binary tensors and JSON, compressed, classes, health, metadata, the repository."""

import base64

import numpy as np
import tritonclient.http as triton
from ours import ADDRESS, ADMIN, OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, same
from tritonclient.utils import InferenceServerException

with triton.InferenceServerClient(ADDRESS, concurrency=2) as client:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist")
    assert client.is_model_ready("mnist", "1")
    assert not client.is_model_ready("nope")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("mnist")
    assert client.get_model_repository_index()[0]["state"] == "READY"
    name, output = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]

    pixels = np.array(PIXELS).reshape(-1, 28, 28, 1)
    for datatype, kind in (("UINT8", np.uint8), ("INT64", np.int64), ("FP32", np.float32), ("FP16", np.float16)):
        for binary in (True, False):
            if datatype == "FP16" and not binary:
                continue  # the client itself has no such form
            given = triton.InferInput(name, pixels.shape, datatype)
            given.set_data_from_numpy(pixels.astype(kind), binary_data=binary)
            wanted = [triton.InferRequestedOutput(output, binary_data=binary)]
            for outputs in (wanted, None):
                answer = client.infer("mnist", [given], outputs=outputs, request_id="42")
                assert answer.get_response()["id"] == "42"
                same(answer.as_numpy(output), OF_PIXELS)

    for algorithm in ("gzip", "deflate"):
        answer = client.infer(
            "mnist", [given], request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
        )
        same(answer.as_numpy(output), OF_PIXELS)
    waiting = [client.async_infer("mnist", [given], model_version="1") for _ in range(8)]
    for each in waiting:
        same(each.get_result().as_numpy(output), OF_PIXELS)

    given = triton.InferInput(name, [1], "BYTES")
    given.set_data_from_numpy(np.array([SEVEN], dtype=np.object_))
    same(client.infer("mnist", [given]).as_numpy(output), OF_SEVEN)
    classes = client.infer("mnist", [given], outputs=[triton.InferRequestedOutput(output, class_count=3)])
    (best, *rest) = classes.as_numpy(output)[0]
    assert best.endswith(b":7:7"), best
    assert len(rest) == 2
    given.set_data_from_numpy(np.array([base64.b64encode(SEVEN)], dtype=np.object_), binary_data=False)
    same(client.infer("mnist", [given]).as_numpy(output), OF_SEVEN)

    given = triton.InferInput(name, [1, 784], "FP32")
    given.set_data_from_numpy(np.full((1, 784), 0.5, np.float32))
    try:
        client.infer("mnist", [given])
    except InferenceServerException as error:
        refusal = str(error)
    assert "round(255 * x)" in refusal

    client.unload_model("mnist", headers=ADMIN)
    assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    assert not client.is_model_ready("mnist")
    client.load_model("mnist", headers=ADMIN)
    assert client.is_model_ready("mnist")
