"""OpenVINO: reads the SavedModel folder as it is, needs no TensorFlow, and is the quickest on a processor."""

import ctypes
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
from numpy.typing import NDArray

from service import novelty
from service.engines import Answers, kernels
from service.engines.core import CORE, compile_network
from service.errors import BadVersion
from service.manifest import Manifest

SIZES = (64, 16, 4, 1)
"""Batch sizes that a small network is compiled for, the one that answers anything last. Each copy takes 5 MB, and the
largest another 4."""
WIDE = (16, 1)
"""Of these, the ones that are compiled for spare threads, too. A batch is never larger for them: 16 pictures are work
enough for several threads."""
SMALL = 5_000_000
"""A network of fewer parameters is compiled for each size, others once for any: each copy costs their memory again."""

QUICKEST = ("int8", "bf16")
"""Arithmetics that are quicker than f32, best first."""
CAPABILITIES = {"int8": "INT8", "bf16": "BF16"}
"""What OpenVINO calls the processor's instructions for them."""
MAX_LOSS = 0.0002
"""Share of right answers on the validation part that a quicker arithmetic may cost."""
MAX_DIFFERENCE = 0.002
"""Mean distance from f32's probabilities that it may have."""
NICENESS = 5
"""How far compiling, a fifth of a second of work, stands back behind those who answer."""


class Fixed(NamedTuple):
    """The network for one batch size, with what goes in and comes out lying ready: to ask for that takes a while."""

    size: int
    request: openvino.InferRequest
    given: NDArray[np.uint8]
    found: list[NDArray[np.float32]]

    @classmethod
    def of(cls, request: openvino.InferRequest) -> "Fixed":
        given = request.input_tensors[0].data
        fixed = cls(len(given), request, given, [each.data for each in request.output_tensors])
        given[:] = 0
        request.infer()  # the first time takes longer
        return fixed


class OpenVINOEngine:
    """One network, compiled for a few batch sizes: going from one size to another costs a dynamic one 0.3 ms."""

    name = "openvino"

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int,
        precision: str = "f32",
        *,
        spare: int = 0,
        at_once: bool = False,
    ) -> None:
        self.precision = choose(precision, manifest, CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        self.classes = len(manifest.labels)
        self.scores = manifest.novelty is not None
        self.warm = self.fixed = manifest.parameters < SMALL
        own = manifest.precisions[self.precision].network if self.precision in manifest.precisions else ""
        # Only what needs no interpreter is done by the compiler, which may stand back.
        self.compiler = ThreadPoolExecutor(1, "compiler", initializer=stand_back if threads == 1 else None)
        try:
            network = CORE.read_model(folder / own)
            check(network, manifest)
            if self.scores:
                network = novelty.join(network, novelty.read(folder, manifest))
            if self.fixed:
                kernels.prefer_quicker(network)
                drafts = [resize(network, size) for size in SIZES]
                first, later = (drafts[-1:], drafts[:-1]) if at_once else (drafts, [])
                self.narrow = self.wide = self.compiler.submit(self.compile_all, first, threads).result()
                # Nobody waits for the others, nor for those for more threads.
                completing = self.compiler.submit(self.complete, later, drafts, threads, spare)
                completing.add_done_callback(lambda done: done.result())  # an error is logged there
            else:
                self.any = self.compiler.submit(compile_network, resize(network, -1), threads, self.precision).result()
        except RuntimeError as error:
            raise BadVersion(
                f"{folder / own} can not be loaded", expected="a network", found=str(error).strip().splitlines()[-1]
            ) from error
        finally:
            self.compiler.shutdown(wait=False)

    def compile_all(self, drafts: Sequence[openvino.Model], threads: int) -> list[Fixed]:
        """A network for each batch size."""
        made = [Fixed.of(compile_network(draft, threads, self.precision)) for draft in drafts]
        trim()
        return made

    def complete(
        self, later: Sequence[openvino.Model], drafts: Sequence[openvino.Model], threads: int, spare: int
    ) -> None:
        """Have the larger sizes too, and networks that compute with spare threads, for when they are free."""
        if later:
            self.narrow = self.wide = [*self.compile_all(later, threads), *self.narrow]
        if spare:
            self.wide = [
                Fixed.of(compile_network(draft, threads + spare, self.precision)) if fixed.size in WIDE else fixed
                for draft, fixed in zip(drafts, self.narrow, strict=True)
                if fixed.size <= max(WIDE)
            ]
            trim()

    def predict(self, pixels: NDArray[np.uint8], *, spare: bool = False) -> Answers:
        if not self.fixed:
            found = self.any.infer([pixels])
            return Answers(np.array(found[0]), np.array(found[1][:, 0]) if self.scores else None)
        probabilities = np.empty((len(pixels), self.classes), np.float32)
        scores = np.empty((len(pixels), 1), np.float32) if self.scores else None
        start = 0
        for size, request, given, found in self.wide if spare else self.narrow:
            # An eighth short of it, what stands there from before is computed along: quicker than several small ones.
            while (count := min(size, len(pixels) - start)) >= size - size // 8:
                # Copied: OpenVINO shares only arrays that it could write to, and 784 bytes are nothing.
                given[:count] = pixels[start : start + count]
                request.infer()
                probabilities[start : start + count] = found[0][:count]
                if scores is not None:
                    scores[start : start + count] = found[1][:count]
                start += count
        return Answers(probabilities, None if scores is None else scores[:, 0])


def resize(network: openvino.Model, size: int) -> openvino.Model:
    """A copy for one batch size; -1 is any."""
    network = network.clone()
    network.reshape([size, *network.input().partial_shape[1:]])
    return network


def trim() -> None:
    """Give back what compiling needed, 5 MB: the C library keeps it, where that is glibc."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def stand_back() -> None:
    """Lower the priority of this thread, and of those that it starts; where one thread computes, that is none of these.

    Never raise it: who may not do that has a server with a low one.

    Linux has a priority for each thread; elsewhere there is only that of the process.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def choose(asked: str, manifest: Manifest, capabilities: list[str]) -> str:
    """The arithmetic to compute in.

    Args:
        asked: `auto`, or one by name.
        manifest: Says which of them the version has, and what each costs.
        capabilities: What the processor has instructions for, in OpenVINO's words.

    Returns:
        What was asked for, or f32 where the version or the processor lacks that. For `auto` the quickest that costs
        at most `MAX_LOSS` and `MAX_DIFFERENCE`.
    """
    measured = manifest.precisions
    possible = [name for name in QUICKEST if name in measured and CAPABILITIES[name] in capabilities]
    if asked != "auto":
        return asked if asked in possible else "f32"
    for name in possible:
        loss = round(measured["f32"].validation - measured[name].validation, 9)  # one of 5,000 is the limit itself
        if loss <= MAX_LOSS and measured[name].mean_difference <= MAX_DIFFERENCE:
            return name
    return "f32"


def check(network: openvino.Model, manifest: Manifest) -> None:
    """Compare the network's signature with the manifest's.

    Raises:
        BadVersion: They differ.
    """
    expected = [
        f"{manifest.input.name} u8 [?,{','.join(map(str, manifest.input.shape))}]",
        f"{manifest.output} f32 [?,{len(manifest.labels)}]",
    ]
    found = [
        f"{port.any_name} {port.element_type.to_string()} {port.partial_shape.to_string()}"
        for port in [*network.inputs, *network.outputs]
    ]
    if found != expected:
        raise BadVersion(
            "the network's signature is not the one in its manifest",
            expected=" → ".join(expected),
            found=" → ".join(found),
        )
