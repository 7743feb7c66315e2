# /// script
# dependencies = ["openapi-python-client==0.29.1"]
# ///
"""A client generated from our OpenAPI document calls /predict, /models, and the dialects' routes."""

import base64
import importlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ours import OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, URL, same

folder = Path(tempfile.mkdtemp()) / "generated"
command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
subprocess.run([*command, "--url", f"{URL}/openapi.json", "--output-path", str(folder)], check=True)
sys.path.insert(0, str(folder.parent))


def get(path: str, name: str) -> Any:
    return getattr(importlib.import_module(f"generated.{path}"), name)


client = get("client", "Client")(base_url=URL)
predict = importlib.import_module("generated.api.predict.predict")
list_models = importlib.import_module("generated.api.models.list_models")
infer = importlib.import_module("generated.api.open_inference_protocol_v_2.v2_infer")
rows = importlib.import_module("generated.api.tensor_flow_serving.v1_predict")

(model,) = list_models.sync(client=client).models
assert (model.name, model.state, model.labels) == ("mnist", "serving", [str(digit) for digit in range(10)])

file = get("types", "File")(payload=io.BytesIO(SEVEN))
answer = predict.sync(client=client, body=file, top=2)
assert (answer.model, answer.version, len(answer.predictions[0].top)) == ("mnist", 1, 2)
assert answer.predictions[0].label == "7"
same([answer.predictions[0].probabilities], OF_SEVEN)
many = get("models.predict_json_body_type_1", "PredictJsonBodyType1")(images=PIXELS)
same([each.probabilities for each in predict.sync(client=client, body=many).predictions], OF_PIXELS)
problem = predict.sync(client=client, body=get("types", "File")(payload=io.BytesIO(b"no picture")))
assert problem.status == 415, problem

b64 = base64.b64encode(SEVEN).decode()
asked = get("models", "InferRequest").from_dict(
    {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [b64]}]}
)
same([infer.sync("mnist", client=client, body=asked).outputs[0].data], OF_SEVEN)
asked = get("models", "Rows").from_dict({"instances": [{"b64": b64}]})
same(rows.sync("mnist", client=client, body=asked).predictions, OF_SEVEN)
