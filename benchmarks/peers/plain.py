"""What a good engineer writes by hand in a day: FastAPI, orjson and OpenVINO, computed on the event loop itself.

With PEER_STYLE=noop: the same framework with a fixed answer, and neither picture nor network.
"""

import os

from fastapi import FastAPI, Request
from fastapi.responses import Response

app = FastAPI()

if os.environ.get("PEER_STYLE") == "noop":

    @app.post("/predict")
    async def noop():
        return {"predictions": [[0.1] * 10]}

else:
    import engine
    import numpy as np
    import orjson

    run = engine.load()

    def answer(rows):
        content = orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, media_type="application/json")

    @app.post("/predict")
    async def predict(request: Request):
        return answer(run(engine.from_pixels(orjson.loads(await request.body())["instances"])))

    @app.post("/png")
    async def png(request: Request):
        return answer(run(engine.from_png(await request.body())))

    @app.post("/raw")
    async def raw(request: Request):
        rows = run(engine.from_raw(await request.body()))
        return Response(np.ascontiguousarray(rows).tobytes(), media_type="application/octet-stream")
