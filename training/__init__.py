"""Makes versions for `service`: documented network, labelled pictures, one finished folder under `models/`."""

import os

# Keras reads this once, at its import: a keras.json or a shell that names another backend must not change our networks.
os.environ["KERAS_BACKEND"] = "tensorflow"
# TensorFlow greets every start with lines about instructions and missing graphics cards. What fails raises anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
