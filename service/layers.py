"""A SavedModel's graph → the layers that people know: convolution, pooling, flatten, dense.

Walks from the picture to the probabilities and collects, layer by layer, shape, weights and reach. Takes what a plain
sequential network consists of; anything else is refused, rather than shown wrongly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from service.engines.core import CORE
from service.errors import BadVersion, OpaqueNetwork

Numbers = NDArray[np.float32]
Pair = tuple[int, int]
Kind = Literal["input", "conv", "pool", "flatten", "dense"]

SCALING = ("Transpose", "Convert", "Multiply", "Add", "Subtract", "Divide")
"""What may happen to the pixels before the first layer."""
ACTIVATIONS = {"Relu": "relu", "Softmax": "softmax"}
SPATIAL = {"Convolution": "conv", "MaxPool": "pool", "AvgPool": "pool"}


@dataclass(frozen=True)
class Reach:
    """Which pixels of the input one value comes from: its receptive field.

    Along each axis (rows, columns), the value at position i comes from the `size` pixels from `start` + i × `jump` on;
    some may lie outside of the picture, where the layers pad.
    """

    jump: Pair = (1, 1)
    size: Pair = (1, 1)
    start: Pair = (0, 0)


@dataclass(frozen=True)
class Layer:
    """One layer, with its activation."""

    name: str
    """`conv_1`, `pool_1`, `fc_1`: its kind, counted from 1."""
    kind: Kind
    shape: tuple[int, ...]
    """Of its output for one picture: rows, columns, channels; or one number."""
    reach: Reach | None = None
    """None: every value comes from the whole picture."""
    kernel: Numbers | None = None
    """Convolution: rows, columns, channels in, channels out. Dense: values in, values out."""
    bias: Numbers | None = None
    window: Pair | None = None
    """Rows and columns that one value of a convolution or pooling comes from, in the layer below."""
    stride: Pair | None = None
    padding: Pair | None = None
    """Rows of nothing above, and columns of nothing to the left."""
    pooling: Literal["max", "mean"] | None = None
    activation: str | None = None
    """relu or softmax."""

    @property
    def parameters(self) -> int:
        return sum(weights.size for weights in (self.kernel, self.bias) if weights is not None)


@dataclass
class Anatomy:
    """A network taken apart."""

    network: openvino.Model
    """Its outputs are the values of the layers, by the names in `ports`; channels first."""
    layers: list[Layer]
    ports: list[str]
    """What each output is: `conv_1.before` is before the activation, `conv_1` after it."""


def read(folder: Path) -> Anatomy:
    """Take the SavedModel in `folder` apart.

    Raises:
        OpaqueNetwork: Not a plain sequence of convolutions, pooling and dense layers.
        BadVersion: The files can not be loaded any more.
    """
    try:
        network = CORE.read_model(folder)
        network.reshape([1, *network.input().partial_shape[1:]])
    except RuntimeError as error:
        raise BadVersion(f"{folder} can not be loaded", expected="a SavedModel", found=str(error)[:200]) from error
    walk = Walk()
    for node in chain(network):
        walk.step(node)
    walk.end()
    network = openvino.Model([node.output(0) for node in walk.ports.values()], network.get_parameters(), "layers")
    return Anatomy(network, walk.layers, list(walk.ports))


def chain(network: openvino.Model) -> Iterator[Any]:
    """The nodes from the picture to the probabilities, each fed by the one before it.

    Raises:
        OpaqueNetwork: The road forks, or ends elsewhere.
    """
    node = network.get_parameters()[0]
    while True:
        # The batch size, which Flatten asks for, is no fork of the road.
        users = [port.get_node() for port in node.output(0).get_target_inputs()]
        users = [user for user in users if user.get_type_name() != "ShapeOf"]
        if len(users) != 1:
            raise opaque(f"a value that {len(users)} others are made of")
        if users[0].get_type_name() == "Result":
            return
        yield users[0]
        node = users[0]


@dataclass
class Walk:
    """Nodes in, layers out."""

    layers: list[Layer] = field(default_factory=list)
    ports: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    pixels: Any = None
    """Where the scaled pixels come from."""

    def step(self, node: Any) -> None:
        """One node further."""
        kind = node.get_type_name()
        if kind in SPATIAL or kind == "MatMul":
            if not self.layers:
                self.start(node)
            (self.dense if kind == "MatMul" else self.spatial)(node)
        elif not self.layers:
            if kind not in SCALING:
                raise opaque(f"{kind} before the first layer")
        elif kind == "Add":
            self.add(node)
        elif kind in ACTIVATIONS:
            self.activate(node)
        elif kind == "Transpose":
            return  # channels first → last, on the way to Flatten, which reads the shape from `layers`
        elif kind == "Reshape":
            self.flatten(node)
        else:
            raise opaque(kind)

    @property
    def last(self) -> Layer:
        return self.layers[-1]

    def name(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}_{self.counts[kind]}"

    def push(self, layer: Layer, node: Any) -> None:
        self.layers.append(layer)
        self.ports[layer.name] = node

    def start(self, node: Any) -> None:
        """The first layer has come: what it reads is the input."""
        source = node.input_value(0).get_node()
        shape = tuple(source.output(0).get_shape())
        if len(shape) != 4:
            raise opaque("no picture before the first layer")
        self.push(Layer("input", "input", channels_last(shape), Reach()), source)

    def spatial(self, node: Any) -> None:
        """A convolution or a pooling."""
        kind = node.get_type_name()
        options = node.get_attributes()
        below = self.last
        if below.reach is None or any(step != 1 for step in options.get("dilations", ())):
            raise opaque(f"{kind} with dilation, or after Flatten")
        kernel = weights_of(node).transpose(2, 3, 1, 0) if kind == "Convolution" else None
        window = pair(options["kernel"] if kernel is None else kernel.shape)
        stride, padding = pair(options["strides"]), pair(options["pads_begin"])
        layer = Layer(
            self.name(SPATIAL[kind]),
            "pool" if kernel is None else "conv",
            channels_last(tuple(node.output(0).get_shape())),
            stack(below.reach, window, stride, padding),
            kernel=kernel,
            window=window,
            stride=stride,
            padding=padding,
            pooling={"MaxPool": "max", "AvgPool": "mean"}.get(kind),  # type: ignore[arg-type]
        )
        self.push(layer, node)

    def dense(self, node: Any) -> None:
        """A matrix: (values in, values out)."""
        options = node.get_attributes()
        if self.last.reach is not None or options["transpose_a"]:
            raise opaque("a matrix before Flatten")
        kernel = weights_of(node)
        kernel = kernel.T if options["transpose_b"] else kernel
        self.push(Layer(self.name("fc"), "dense", (kernel.shape[1],), kernel=kernel), node)

    def flatten(self, node: Any) -> None:
        """All values of the maps in one row: row by row, column by column, channel by channel."""
        shape = tuple(node.output(0).get_shape())
        last_first = node.input_value(0).get_node().get_type_name() == "Transpose"
        if shape != (1, math.prod(self.last.shape)) or not (last_first or 1 in self.last.shape[2:]):
            raise opaque("a reshape that is not Flatten")
        self.push(Layer("flatten", "flatten", shape[1:]), node)

    def add(self, node: Any) -> None:
        """The bias: one number for each channel."""
        bias = weights_of(node).ravel()
        if self.last.kernel is None or self.last.bias is not None or self.last.activation:
            raise opaque("an addition that is no bias")
        if bias.size != self.last.shape[-1]:
            raise opaque("a bias that is not one number for each channel")
        self.layers[-1] = replace(self.last, bias=bias)
        self.ports[self.last.name] = node

    def activate(self, node: Any) -> None:
        """ReLU or softmax, after a convolution or a dense layer."""
        if self.last.kernel is None or self.last.activation:
            raise opaque(f"{node.get_type_name()} after {self.last.kind}")
        self.layers[-1] = replace(self.last, activation=ACTIVATIONS[node.get_type_name()])
        self.ports[f"{self.last.name}.before"] = self.ports.pop(self.last.name)
        self.ports[self.last.name] = node

    def end(self) -> None:
        """The last layer must give the probabilities."""
        if not self.layers or self.last.activation != "softmax":
            raise opaque("no softmax at the end")


def stack(below: Reach, window: Pair, stride: Pair, padding: Pair) -> Reach:
    """The reach of a layer over the one below it."""
    rows, columns = (
        (
            below.jump[axis] * stride[axis],
            below.size[axis] + (window[axis] - 1) * below.jump[axis],
            below.start[axis] - padding[axis] * below.jump[axis],
        )
        for axis in (0, 1)
    )
    jump, size, start = zip(rows, columns, strict=True)
    return Reach(jump, size, start)


def weights_of(node: Any) -> Numbers:
    """The constant that a node takes beside the picture."""
    source = node.input_value(1).get_node()
    if source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    if source.get_type_name() != "Constant":
        raise opaque(f"{node.get_type_name()} of two things that both come from the picture")
    return np.array(source.get_data(), np.float32)


def pair(values: Any) -> Pair:
    return int(values[0]), int(values[1])


def channels_last(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return shape[2], shape[3], shape[1]


def opaque(found: str) -> OpaqueNetwork:
    return OpaqueNetwork(
        "this network can not be looked into",
        expected="a plain sequence of convolutions with ReLU, pooling, Flatten and dense layers that ends in softmax",
        found=found,
    )
