"""Which of OpenVINO's kernels convolve.

It prefers `brgconv`, which makes many small products of matrices out of a convolution, to `jit`, which was written for
convolutions. On AMD's Zen 4, with the networks of `models/mnist/2`, `jit` takes 8 % less time in int8, 5 % in f32 and
3 % in bf16; the answers are the same up to rounding, in int8 to the last bit. Elsewhere OpenVINO's order stands.
"""

import functools

import openvino

from service.engines.core import CORE

MAKER = "AMD"
"""In the name of processors on which the others are quicker."""
WIDTH = 16
"""Channels that the others compute at once. Where a convolution has not a multiple of them, `jit` takes up to 18 % more
time, and where its kernel is 1 × 1 about as much as `brgconv`."""
OTHERS = "jit_avx512"
"""Where the processor has no such instructions, there are no such kernels, and OpenVINO goes by its own order."""
WISH = "primitives_priority"
"""OpenVINO's name for the attribute of a layer that lists the kernels to prefer. Python can set attributes to text
only, which is not looked at here: so the attribute is taken from a network that was read."""
NETWORK = f"""<net name="wish" version="11"><layers>
<layer id="0" name="pixels" type="Parameter" version="opset1"><data shape="1" element_type="u8"/>
<rt_info><attribute name="{WISH}" version="0" value="{OTHERS}"/></rt_info>
<output><port id="0" precision="U8"><dim>1</dim></port></output></layer>
<layer id="1" name="same" type="Result" version="opset1"><input><port id="0" precision="U8"><dim>1</dim></port></input>
</layer></layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>"""


def prefer_quicker(network: openvino.Model) -> None:
    """Have a network's convolutions computed by the kernels that are quicker on this processor, once it is compiled.

    Args:
        network: For pictures of few channels: of many, `jit` would not take them as they come.
    """
    if MAKER in CORE.get_property("CPU", "FULL_DEVICE_NAME"):
        for layer in network.get_ops():
            if layer.get_type_name() == "Convolution" and suits(layer.input(1).get_partial_shape()):
                layer.set_rt_info(wish(), f"{WISH}_0")


def load() -> None:
    """Have OpenVINO load its libraries for this processor, and for reading a network."""
    CORE.get_versions("CPU")
    wish()


@functools.cache
def wish() -> openvino.OVAny:
    """The attribute, from a network that has it."""
    return CORE.read_model(NETWORK.encode()).get_parameters()[0].get_rt_info()[f"{WISH}_0"]


def suits(shape: openvino.PartialShape) -> bool:
    """Whether the others are quicker for a kernel of this shape: channels out, channels in, rows, columns."""
    if shape.is_dynamic:
        return False
    channels, _, *window = shape.to_shape()
    return bool(channels % WIDTH == 0 and max(window) > 1)
