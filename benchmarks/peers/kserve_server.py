"""KServe's Python server. Its batching lives in a Kubernetes sidecar, so that there is none here."""

import os

import engine
from kserve import Model, ModelServer


class Mnist(Model):
    def __init__(self):
        super().__init__("mnist")
        self.load()

    def load(self):
        self.run = engine.load()
        self.ready = True
        return True

    def __getstate__(self):
        """Pickled into each worker, which then loads a network of its own."""
        return {name: value for name, value in vars(self).items() if name != "run"}

    def __setstate__(self, state):
        vars(self).update(state)
        self.load()

    def predict(self, payload, headers=None, response_headers=None):
        if not isinstance(payload, bytes):
            pixels = engine.from_pixels(payload["instances"])
        elif payload.startswith(b"\x89PNG"):
            pixels = engine.from_png(payload)
        else:
            pixels = engine.from_raw(payload)
        return {"predictions": self.run(pixels).tolist()}


if __name__ == "__main__":
    ModelServer(
        http_port=int(os.environ["PEER_PORT"]),
        workers=2,
        enable_grpc=False,
        enable_latency_logging=False,
        access_log_format=None,
    ).start([Mnist()])
