"""LitServe with its batching. One API has one form of body: PEER_INPUT is json, png or raw."""

import os
from typing import Annotated

import engine
import litserve
import numpy as np
from fastapi import Body
from fastapi.responses import Response


class Numbers(litserve.LitAPI):
    def setup(self, device):
        self.run = engine.load()

    def decode_request(self, request):
        return engine.from_pixels(request["instances"])

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        rows = self.run(np.concatenate(inputs))
        return np.split(rows, np.cumsum([len(each) for each in inputs])[:-1])

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"predictions": output.tolist()}


class Files(Numbers):
    def decode_request(self, request: Annotated[bytes, Body()]):
        return engine.from_png(request)


class Raw(Numbers):
    def decode_request(self, request: Annotated[bytes, Body()]):
        return engine.from_raw(request)

    def encode_response(self, output) -> Response:
        return Response(np.ascontiguousarray(output).tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    api = {"json": Numbers, "png": Files, "raw": Raw}[os.environ["PEER_INPUT"]]
    server = litserve.LitServer(
        api(max_batch_size=32, batch_timeout=0.002), accelerator="cpu", devices=1, workers_per_device=1
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        num_api_servers=2,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
