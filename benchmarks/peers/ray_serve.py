"""Ray Serve: one replica that batches, and the proxy before it. The plain ingress; FastAPI's is slower."""

import os
import signal
from pathlib import Path

import engine
import numpy as np
import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=512, ray_actor_options={"num_cpus": 1})
class Mnist:
    def __init__(self):
        self.run = engine.load()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def infer(self, inputs: list) -> list:
        rows = self.run(np.concatenate(inputs))
        return np.split(rows, np.cumsum([len(each) for each in inputs])[:-1])

    async def __call__(self, request: Request):
        body = await request.body()
        if request.url.path == "/raw":
            rows = await self.infer(engine.from_raw(body))
            return Response(np.ascontiguousarray(rows).tobytes(), media_type="application/octet-stream")
        if request.url.path == "/png":
            rows = await self.infer(engine.from_png(body))
        else:
            rows = await self.infer(engine.from_pixels(orjson.loads(body)["instances"]))
        content = orjson.dumps({"predictions": np.ascontiguousarray(rows)}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json")


if __name__ == "__main__":
    variables = {name: value for name, value in os.environ.items() if name.startswith(("PEER_", "RAY_SERVE"))}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        runtime_env={"env_vars": {**variables, "PYTHONPATH": str(Path(__file__).parent)}},
    )
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])}, logging_config=quiet)
    serve.run(Mnist.bind(), route_prefix="/")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
