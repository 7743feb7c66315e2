"""Which kernels convolve: those that OpenVINO prefers, or its older ones, whatever is quicker on this processor.

It prefers `brgconv`, which makes many small products of matrices out of a convolution, to `jit`, which was written for
convolutions. Which of them is quicker depends on processor and network: on AMD's Zen 4, with the network of
`models/mnist/2`, `jit` takes 8 % less time in int8, 4 to 7 % in f32 and 3 to 5 % in bf16. The answers are the same up
to rounding, in int8 to the last bit.
"""

import time
from collections.abc import Callable

import openvino

PREFERRED, OLDER = "brgconv", "jit"
WISH = "primitives_priority"
"""What OpenVINO calls the attribute of a layer that names kernels to prefer. Python can set it to text only, and has it
from a network that was read."""
NETWORK = """<net name="wish" version="11"><layers>
<layer id="0" name="pixels" type="Parameter" version="opset1"><data shape="1" element_type="u8"/>
<rt_info><attribute name="{name}" version="0" value="{value}"/></rt_info>
<output><port id="0" precision="U8"><dim>1</dim></port></output></layer>
<layer id="1" name="same" type="Result" version="opset1"><input><port id="0" precision="U8"><dim>1</dim></port></input>
</layer></layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>"""
ROUNDS = 20
"""Of each, in turns; the best counts, as somebody else may want the processor meanwhile."""
GAIN = 0.01
"""Share of the time that others must save."""


def choose(
    core: openvino.Core, draft: openvino.Model, compiled: Callable[[openvino.Model], openvino.InferRequest]
) -> openvino.OVAny | None:
    """The wish for other kernels, where those are quicker.

    Args:
        core: What read the network.
        draft: The network, for a batch size that is typical.
        compiled: Makes of it what computes.
    """
    now = compiled(draft)
    others = name_others(core, now.get_compiled_model())
    if others is None:
        return None
    rival = draft.clone()
    wish(rival, others)
    return others if quicker(compiled(rival), now) else None


def name_others(core: openvino.Core, compiled: openvino.CompiledModel) -> openvino.OVAny | None:
    """A wish for other kernels than those that convolve in a compiled network; None where there are none."""
    layers = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops()]
    taken = {str(about["primitiveType"].astype(str)) for about in layers if "Conv" in about["layerType"].astype(str)}
    names = sorted(name.replace(PREFERRED, OLDER) for name in taken if PREFERRED in name)
    if not names:
        return None
    donor = core.read_model(NETWORK.format(name=WISH, value=",".join(names)).encode())
    return donor.get_parameters()[0].get_rt_info()[f"{WISH}_0"]


def wish(network: openvino.Model, kernels: openvino.OVAny) -> None:
    """Let a network have other kernels for its convolutions when it is compiled."""
    for layer in network.get_ops():
        if layer.get_type_name() == "Convolution":
            layer.set_rt_info(kernels, f"{WISH}_0")


def quicker(one: openvino.InferRequest, other: openvino.InferRequest) -> bool:
    """Whether `one` clearly takes less time than `other`, for blank pictures."""
    times: dict[openvino.InferRequest, list[float]] = {one: [], other: []}
    for request in times:
        request.input_tensors[0].data[:] = 0
    for _ in range(ROUNDS):
        for request, taken in times.items():
            started = time.perf_counter()
            request.infer()
            taken.append(time.perf_counter() - started)
    return min(times[one]) < (1 - GAIN) * min(times[other])
