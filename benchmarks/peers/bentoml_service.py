"""BentoML: adaptive batching for numbers; files and raw bytes through mounted routes, quicker than its own forms."""

import bentoml
import engine
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

loaded = {}


def compute(read, body):
    return loaded["run"](read(body))


async def raw(request: Request):
    rows = await run_in_threadpool(compute, engine.from_raw, await request.body())
    return Response(np.ascontiguousarray(rows).tobytes(), media_type="application/octet-stream")


async def png(request: Request):
    rows = await run_in_threadpool(compute, engine.from_png, await request.body())
    return JSONResponse({"predictions": rows.tolist()})


mounted = Starlette(routes=[Route("/raw", raw, methods=["POST"]), Route("/png", png, methods=["POST"])])


@bentoml.service(workers=2, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, metrics={"enabled": True})
@bentoml.asgi_app(mounted, path="/x")
class Mnist:
    def __init__(self):
        self.run = loaded["run"] = engine.load()

    # 20 ms of latency gave errors under this load.
    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=128, max_latency_ms=1000)
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return self.run(engine.from_pixels(instances))
