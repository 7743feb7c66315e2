# /// script
# dependencies = ["requests==2.32.5", "numpy"]
# ///
"""The calls of TensorFlow Serving's documentation and tutorials, by `requests`."""

import base64
import json

import numpy as np
import requests
from ours import OF_PIXELS, OF_SEVEN, PIXELS, SEVEN, URL, same

MODEL = f"{URL}/v1/models/mnist"
b64 = {"b64": base64.b64encode(SEVEN).decode("utf-8")}

# The tutorial "Train and serve a TensorFlow model with TensorFlow Serving"
images = np.array(PIXELS).reshape(-1, 28, 28, 1)
data = json.dumps({"signature_name": "serving_default", "instances": images.tolist()})
headers = {"content-type": "application/json"}
answer = requests.post(f"{MODEL}:predict", data=data, headers=headers, timeout=30)
same(json.loads(answer.text)["predictions"], OF_PIXELS)
answer = requests.post(f"{MODEL}/versions/1:predict", data=data, headers=headers, timeout=30)
same(json.loads(answer.text)["predictions"], OF_PIXELS)
scaled = json.dumps({"instances": (images / 255.0).tolist()})
refusal = requests.post(f"{MODEL}:predict", data=scaled, headers=headers, timeout=30)
assert refusal.status_code == 400
assert "float_pixels: unit" in refusal.json()["error"]

# The ResNet client of its examples: bytes of a picture file
answer = requests.post(f"{MODEL}:predict", data=f'{{"instances" : [{json.dumps(b64)}]}}', timeout=30)
answer.raise_for_status()
same(answer.json()["predictions"], OF_SEVEN)

# The page on its REST interface: column form, classification, status, metadata, errors
same(requests.post(f"{MODEL}:predict", json={"inputs": {"image": PIXELS}}, timeout=30).json()["outputs"], OF_PIXELS)
examples = {"examples": [{"image": b64, "caption": "seaside"}]}
(pairs,) = requests.post(f"{MODEL}:classify", json=examples, timeout=30).json()["result"]
assert max(pairs, key=lambda pair: pair[1])[0] == "7"
body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}
refusal = requests.post(f"{MODEL}:regress", json=body, timeout=30)
assert refusal.status_code == 400
assert "not a regression model" in refusal.json()["error"]
(status,) = requests.get(MODEL, timeout=30).json()["model_version_status"]
assert status == {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
assert requests.get(f"{MODEL}/metadata", timeout=30).json()["model_spec"]["name"] == "mnist"
refusal = requests.post(f"{URL}/v1/models/half:predict", json={"instances": [1.0, 5.0]}, timeout=30)
assert (refusal.status_code, list(refusal.json())) == (404, ["error"])
