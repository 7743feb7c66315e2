"""MLServer with a runtime of our own and its adaptive batching: numbers as v2 JSON, files as v2 base64.

Run as a program, it writes the settings and becomes `mlserver start`.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import engine
import numpy as np
from fastapi import Request, Response
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse


class Mnist(MLModel):
    async def load(self) -> bool:
        self.run = engine.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = payload.inputs[0]
        if given.datatype == "BYTES":
            pixels = np.concatenate([engine.from_png(file) for file in Base64Codec.decode_input(given)])
        else:
            pixels = engine.from_pixels(NumpyCodec.decode_input(given))
        rows = await asyncio.to_thread(self.run, pixels)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", rows)])

    @custom_handler(rest_path="/raw")
    async def raw(self, request: Request) -> Response:
        rows = await asyncio.to_thread(self.run, engine.from_raw(await request.body()))
        return Response(np.ascontiguousarray(rows).tobytes(), media_type="application/octet-stream")


def main() -> None:
    folder, port = Path(tempfile.mkdtemp()), int(os.environ["PEER_PORT"])
    server = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "metrics_dir": str(folder),
        "parallel_workers": 0,  # 1 and 2 were slower
        "gzip_enabled": False,
    }
    model = {
        "name": "mnist",
        "implementation": "mlserver_runtime.Mnist",
        "max_batch_size": 32,
        "max_batch_time": 0.0005,
    }
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(folder)])


if __name__ == "__main__":
    main()
