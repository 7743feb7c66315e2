from pathlib import Path

import numpy as np
import openvino
import pytest

from service import engines
from service.manifest import Manifest
from tests.service.conftest import SHIPPED
from tests.training.conftest import draw_part


def test_what_each_arithmetic_costs_is_recorded() -> None:
    precisions = Manifest.read(SHIPPED).precisions
    assert precisions.keys() >= {"f32", "int8"}
    assert precisions["f32"].mean_difference == precisions["f32"].max_difference == 0
    for precision in precisions.values():
        assert 0.99 < precision.validation <= 1
        assert 0.99 < precision.test <= 1


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_shipped_version_answers_nearly_the_same_in_cheaper_arithmetic(precision: str) -> None:
    manifest = Manifest.read(SHIPPED)
    engine = engines.load("openvino", SHIPPED, manifest, 1, precision)
    if engine.precision != precision:
        pytest.skip(f"this processor has no {precision}")
    exact = engines.load("openvino", SHIPPED, manifest, 1, "f32")
    pictures = np.stack([np.frombuffer(golden.pixels, np.uint8).reshape(28, 28, 1) for golden in manifest.golden])
    found, expected = (each.predict(pictures).probabilities.argmax(axis=1) for each in (engine, exact))
    np.testing.assert_array_equal(found, expected)


def test_int8_network_is_a_quarter_of_the_size() -> None:
    weights = next((SHIPPED / "variables").glob("*.data-*")).stat().st_size
    assert (SHIPPED / "int8" / "network.bin").stat().st_size < 0.27 * weights


@pytest.mark.tensorflow
def test_last_layer_stays_exact(tmp_path: Path) -> None:
    import keras

    from training.network import build_network
    from training.quantize import write_int8

    network = build_network()
    converted = openvino.convert_model(keras.Model(network.inputs, network.outputs))
    write_int8(converted, draw_part(range(2)), tmp_path / "int8" / "network.xml")
    operations = openvino.Core().read_model(tmp_path / "int8" / "network.xml").get_ordered_ops()
    layers = [each for each in operations if each.get_type_name() in ("Convolution", "MatMul")]
    assert [find_kind(each.input_value(1).get_node()) for each in layers] == ["i8", "i8", "i8", "f32"]


def find_kind(operation: openvino.Node) -> str:
    """Element type in which a layer's weights are stored."""
    while operation.get_type_name() != "Constant":
        operation = operation.input_value(0).get_node()
    return str(operation.get_element_type().get_type_name())
