"""The engine computes in the quickest arithmetic that costs nothing, and says which."""

import ctypes
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest

from service.engines import kernels
from service.engines.openvino import NICENESS, OpenVINOEngine, choose, stand_back
from service.manifest import Manifest, Precision
from tests.service.conftest import ROOT, SHIPPED, Start
from training import strokes

MANIFEST = Manifest.read(SHIPPED)
ALL = ["FP32", "BF16", "INT8"]


def costs(**losses: float) -> Manifest:
    """A version whose arithmetics cost this many right answers of 10,000."""
    return replace(
        MANIFEST, precisions={name: Precision(0.99 - loss / 10_000, 0.99, 0, 0) for name, loss in losses.items()}
    )


@pytest.mark.parametrize(
    ("asked", "manifest", "capabilities", "chosen"),
    [
        ("auto", costs(f32=0, bf16=0, int8=0), ALL, "int8"),
        ("auto", costs(f32=0, bf16=0, int8=1), ALL, "int8"),
        ("auto", costs(f32=0, bf16=0, int8=3), ALL, "bf16"),
        ("auto", costs(f32=0, bf16=3, int8=3), ALL, "f32"),
        ("auto", costs(f32=0, bf16=0, int8=0), ["FP32", "BF16"], "bf16"),
        ("auto", costs(f32=0, bf16=0, int8=0), ["FP32"], "f32"),
        ("auto", costs(), ALL, "f32"),
        ("f32", costs(f32=0, int8=0), ALL, "f32"),
        ("int8", costs(f32=0, int8=99), ALL, "int8"),
        ("int8", costs(f32=0), ALL, "f32"),
        ("bf16", costs(f32=0, bf16=0), ["FP32"], "f32"),
    ],
)
def test_the_choice(asked: str, manifest: Manifest, capabilities: list[str], chosen: str) -> None:
    assert choose(asked, manifest, capabilities) == chosen


@pytest.mark.parametrize("exact", [0.9906, 0.9964])  # of which floating point makes more and less than the limit
def test_a_loss_of_just_the_limit_is_none(exact: float) -> None:
    measured = {"f32": Precision(exact, 0.99, 0, 0), "int8": Precision(round(exact - 0.0002, 4), 0.99, 0, 0)}
    assert choose("auto", replace(MANIFEST, precisions=measured), ALL) == "int8"


def test_a_difference_in_the_probabilities_counts_as_well() -> None:
    far = Precision(0.99, 0.99, mean_difference=0.003, max_difference=0.5)
    manifest = replace(MANIFEST, precisions={"f32": Precision(0.99, 0.99, 0, 0), "int8": far})
    assert choose("auto", manifest, ALL) == "f32"


def test_any_number_of_pictures_is_answered_as_each_by_itself() -> None:
    engine = OpenVINOEngine(ROOT / "models" / "mnist" / "2", Manifest.read(ROOT / "models" / "mnist" / "2"), 1)
    pictures = np.concatenate([strokes.golden((28, 28, 1))] * 9)
    alone = [engine.predict(picture[None]) for picture in pictures]
    for count in (*range(1, 36), 55, 56, 57, 63, 64, 65, 80, 81):
        together = engine.predict(pictures[:count])
        assert together.novelty is not None
        np.testing.assert_allclose(
            together.probabilities, np.concatenate([each.probabilities for each in alone[:count]]), atol=1e-5
        )
        np.testing.assert_allclose(together.novelty, [each.novelty[0] for each in alone[:count]], atol=1e-5)


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_spare_threads_answer_the_same(precision: str) -> None:
    folder = ROOT / "models" / "mnist" / "2"
    engine = OpenVINOEngine(folder, Manifest.read(folder), 1, precision, spare=1)
    pictures = np.concatenate([strokes.golden((28, 28, 1))] * 4)
    engine.compiler.shutdown(wait=True)
    assert engine.wide is not engine.narrow
    for count in (1, 4, 16, 31):
        expected, found = engine.predict(pictures[:count]), engine.predict(pictures[:count], spare=True)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.novelty, expected.novelty, atol=1e-5)


def test_a_network_that_is_there_at_once_answers_the_same_and_is_complete_in_the_end() -> None:
    folder = ROOT / "models" / "mnist" / "2"
    pictures = np.concatenate([strokes.golden((28, 28, 1))] * 4)
    expected = OpenVINOEngine(folder, Manifest.read(folder), 1).predict(pictures)
    engine = OpenVINOEngine(folder, Manifest.read(folder), 1, spare=1, at_once=True)
    first = engine.predict(pictures)
    engine.compiler.shutdown(wait=True)
    assert [fixed.size for fixed in engine.narrow] == [64, 16, 4, 1]
    assert [fixed.size for fixed in engine.wide] == [16, 4, 1]
    for found in (first, engine.predict(pictures), engine.predict(pictures, spare=True)):
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.novelty, expected.novelty, atol=1e-5)


class Stack(ctypes.Structure):
    """Linux's `stack_t`."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def test_a_signal_finds_its_stack_after_versions_have_come_and_gone() -> None:
    """OpenVINO gives the thread a stack for signals: in memory that is gone, it would end the process."""
    stack, mapped = Stack(), []

    def come_and_go() -> None:
        for _ in range(3):
            OpenVINOEngine(SHIPPED, MANIFEST, 1).compiler.shutdown()
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
        for line in Path("/proc/self/maps").read_text().splitlines():
            first, last = (int(each, 16) for each in line.split()[0].split("-"))
            mapped.extend([line.split()[1]] if first <= (stack.base or 0) < last else [])

    thread = threading.Thread(target=come_and_go)
    thread.start()
    thread.join()
    assert stack.base is None or mapped == ["rw-p"]


def flags() -> list[str]:
    """What the processor can do."""
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text().split()
    return []


def convolving(engine: OpenVINOEngine) -> list[set[str]]:
    """The kernels that convolve, in each network that answers."""
    return [
        {
            str(about["primitiveType"].astype(str))
            for layer in fixed.request.get_compiled_model().get_runtime_model().get_ops()
            if "Conv" in (about := layer.get_rt_info())["layerType"].astype(str)
        }
        for fixed in [*engine.narrow, *engine.wide]
    ]


@pytest.mark.skipif("avx512f" not in flags(), reason="there are no other kernels for this processor")
@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_other_kernels_convolve_where_they_are_quicker_and_answer_the_same(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    folder = ROOT / "models" / "mnist" / "2"
    pictures = np.concatenate([strokes.golden((28, 28, 1))] * 4)
    engines = []
    for maker in ("nobody", ""):  # of which every name has the second
        monkeypatch.setattr(kernels, "MAKER", maker)
        engines.append(OpenVINOEngine(folder, Manifest.read(folder), 1, precision, spare=1, at_once=True))
        engines[-1].compiler.shutdown(wait=True)
    own, others = engines
    assert not any(name.startswith(kernels.OTHERS) for names in convolving(own) for name in names)
    assert all(name.startswith(kernels.OTHERS) for names in convolving(others) for name in names)
    expected = own.predict(pictures)
    for found in (others.predict(pictures), others.predict(pictures, spare=True)):
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.novelty, expected.novelty, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "suited"),
    [
        ([32, 1, 3, 3], True),
        ([64, 32, 3, 3], True),
        ([16, 1, 5, 5], True),
        ([20, 3, 7, 7], False),  # not a multiple
        ([64, 32, 1, 1], False),
        ([-1, 1, 3, 3], False),  # not known
    ],
)
def test_only_convolutions_that_gain_have_other_kernels(shape: list[int], suited: bool) -> None:
    assert kernels.suits(openvino.PartialShape(shape)) is suited


def test_models_tells_which_was_taken(start: Start) -> None:
    asked = start(precision="f32").get("/models").json()["models"]
    assert [model["precision"] for model in asked if model["state"] == "serving"] == ["f32"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
@pytest.mark.parametrize(("before", "after"), [(0, NICENESS), (10, 10)])
def test_who_compiles_stands_back_and_never_forward(before: int, after: int) -> None:
    def work() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), before)
        stand_back()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    if os.getpriority(os.PRIO_PROCESS, 0) > before:
        pytest.skip("this process has a lower priority already")
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(work).result() == after
