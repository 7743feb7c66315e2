import numpy as np
import pytest

from service import engines
from service.manifest import Manifest
from tests.service.conftest import ROOT

SHIPPED = ROOT / "models" / "mnist" / "1"


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
