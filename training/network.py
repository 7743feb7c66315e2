"""The documented network: 28 × 28 × 1 digits in, 10 softmax probabilities out, 1,199,882 parameters."""

import keras

from training.config import SHAPE
from training.errors import TrainingError

CLASSES = 10

# Layer, output, parameters, as the lecture slides "Summary of Convolutional Neural Networks" document them. They print
# 18,494 for conv_2; their own formula, ((3·3·32) + 1) · 64, and their own total give 18,496.
TABLE: tuple[tuple[str, tuple[int, ...], int], ...] = (
    ("conv_1", (26, 26, 32), 320),
    ("conv_2", (24, 24, 64), 18_496),
    ("max_pool", (12, 12, 64), 0),
    ("flatten", (9_216,), 0),
    ("fc_1", (128,), 1_179_776),
    ("fc_2", (10,), 1_290),
)
PARAMETERS = 1_199_882


def build_network(classes: int = CLASSES) -> keras.Model:
    """The documented layers, with scaling before them, which holds no parameter.

    Args:
        classes: Outputs of the last layer; the documented network has 10.

    Returns:
        Takes raw uint8 (n, 28, 28, 1), 0 to 255; gives float32 (n, classes). Its start comes from Keras' global seed.

    Raises:
        TrainingError: A layer is not what the table says.
    """
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8", name="image"),
            # First, and part of the network: nobody who serves it can scale otherwise than we trained.
            layers.Rescaling(1 / 255, name="scaling"),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(2, name="max_pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="fc_1"),
            layers.Dense(classes, activation="softmax", name="fc_2"),
        ],
        name="documented",
    )
    check_network(network, classes)
    return network


def check_network(network: keras.Model, classes: int = CLASSES) -> None:
    """Compare a network with the table, layer by layer; its last layer may have another number of classes.

    Raises:
        TrainingError: Names the layer, what was expected and what was found.
    """
    layers = {layer.name: layer for layer in network.layers}
    *same, (last, _, _) = TABLE
    expected = [*same, (last, (classes,), 129 * classes)]
    for name, shape, parameters in expected:
        if name not in layers:
            raise TrainingError(f"layer {name}: expected in the network, found none of that name")
        found = (tuple(layers[name].output.shape[1:]), layers[name].count_params())
        if found != (shape, parameters):
            raise TrainingError(f"layer {name}: expected output and parameters {(shape, parameters)}, found {found}")
    total = sum(parameters for _, _, parameters in expected)
    if network.count_params() != total:
        raise TrainingError(f"the network: expected {total:,} parameters, found {network.count_params():,}")
