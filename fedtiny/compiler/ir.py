"""The graph that every front door produces, every pass rewrites and the planner reads.

Activations are NHWC, convolution weights are OHWI `(out, kh, kw, in / groups)`, depthwise weights
are `(1, kh, kw, channels)`, fully connected weights are `(out, in)`: the TensorFlow Lite
conventions, so that the int8 meaning of every op is the TensorFlow Lite int8 specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fedtiny.errors import FedTinyError

DType = Literal["float32", "int8", "int32"]
Activation = Literal["none", "relu", "relu6"]
Layout = Literal["hwc", "chw"]
PatternKind = Literal["dense", "unstructured", "block1x4", "block4x1", "n:m", "channel"]


class GraphError(FedTinyError):
    """A graph that breaks its own rules: a defect of the pass or front door that made it."""


@dataclass(frozen=True)
class Quantization:
    """Affine quantization `real = scale * (q - zero_point)`.

    Attributes:
        scale: float32, shape `()` per tensor or `(channels,)` per channel.
        zero_point: int32, same shape as `scale`; all zero for weights.
        axis: The channel axis when per channel, else None.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    axis: int | None = None

    def __post_init__(self) -> None:
        scale = np.asarray(self.scale, np.float32)
        zero_point = np.asarray(self.zero_point, np.int32)
        if scale.shape != zero_point.shape or scale.ndim != (0 if self.axis is None else 1):
            shapes = f"scale {scale.shape}, zero_point {zero_point.shape}"
            raise GraphError(f"quantization: {shapes}, axis {self.axis}")
        if not np.all(np.isfinite(scale) & (scale > 0)):
            raise GraphError("quantization: every scale must be finite and positive")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", zero_point)


@dataclass(frozen=True)
class Pattern:
    """What kind of logical mask a weight tensor has; how bytes are packed belongs to a kernel.

    Attributes:
        kind: The pattern; `"dense"` says nothing about zeros being absent.
        density: nonzeros / total.
    """

    kind: PatternKind = "dense"
    density: float = 1.0

    @classmethod
    def of(cls, data: NDArray[np.generic]) -> Pattern:
        """The pattern of a weight array: unstructured where it holds a zero, else dense."""
        density = float(np.count_nonzero(data)) / max(1, data.size)
        return cls("dense" if density == 1.0 else "unstructured", density)


@dataclass(frozen=True)
class Tensor:
    """A value of the graph: an activation (`data` is None) or a constant.

    Attributes:
        name: Unique in its graph, and stable: layer names in reports come from it.
        shape: Fully known; the batch dimension of activations is 1.
        dtype: Element type.
        quantization: Present exactly when an int8 tensor, or an int32 bias, has a real meaning.
        data: The constant's value.
        pattern: For weights, the logical mask's kind.
        layout: How an activation lies in memory; its shape stays `(1, H, W, C)`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: NDArray[np.generic] | None = None
    pattern: Pattern | None = None
    layout: Layout = "hwc"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def value(self) -> NDArray[np.generic]:
        """The constant's data; a defect of ours when there is none."""
        if self.data is None:
            raise GraphError(f"tensor {self.name!r} is not a constant")
        return self.data


Padding = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right)), in pixels."""


@dataclass(frozen=True)
class Attributes:
    """Base of the typed attributes of a node; one subclass an op, `op` is its name."""

    op: ClassVar[str]


@dataclass(frozen=True)
class Conv2d(Attributes):
    """2-D convolution. Inputs: x `(1, H, W, C)`, weights OHWI, bias `(O,)`."""

    op: ClassVar[str] = "conv2d"
    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: Activation = "none"


@dataclass(frozen=True)
class DepthwiseConv2d(Attributes):
    """Depthwise convolution. Inputs: x `(1, H, W, C)`, weights `(1, kh, kw, C)`, bias `(C,)`."""

    op: ClassVar[str] = "depthwise_conv2d"
    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    activation: Activation = "none"


@dataclass(frozen=True)
class FullyConnected(Attributes):
    """Fully connected. Inputs: x `(1, I)`, weights `(O, I)`, bias `(O,)`."""

    op: ClassVar[str] = "fully_connected"
    activation: Activation = "none"


@dataclass(frozen=True)
class Add(Attributes):
    """Elementwise sum. The first input is an activation, the second one or a constant.

    Shapes are equal, or one input has size 1 in some dimensions where the other has not.
    """

    op: ClassVar[str] = "add"
    activation: Activation = "none"


@dataclass(frozen=True)
class AveragePool2d(Attributes):
    """Average pooling; padded pixels are not counted. int8: input and output quantization equal."""

    op: ClassVar[str] = "average_pool2d"
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    activation: Activation = "none"


@dataclass(frozen=True)
class Relu(Attributes):
    """max(x, 0), or clamped to [0, 6]; fused into its producer before planning."""

    op: ClassVar[str] = "relu"
    activation: Activation = "relu"


@dataclass(frozen=True)
class BatchNorm(Attributes):
    """Inference batch normalization. Inputs: x, scale, offset, mean, variance, each `(C,)`."""

    op: ClassVar[str] = "batch_norm"
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Reshape(Attributes):
    """The same elements in the same order under another shape; costs nothing at run time."""

    op: ClassVar[str] = "reshape"


@dataclass(frozen=True)
class ConvertLayout(Attributes):
    """The same values in the memory layout of the output; placed by the planner."""

    op: ClassVar[str] = "convert_layout"


@dataclass(frozen=True)
class Softmax(Attributes):
    """exp(beta x) / sum over the last dimension. int8: output scale 1/256, zero point -128."""

    op: ClassVar[str] = "softmax"
    beta: float = 1.0


@dataclass(frozen=True)
class Node:
    """One operation. `inputs` and `outputs` are tensor names in the op's documented order."""

    name: str
    attributes: Attributes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def op(self) -> str:
        """The op's name, for example ``"conv2d"``."""
        return self.attributes.op

    @property
    def output(self) -> str:
        """The one output (every op here has exactly one)."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, and every tensor they name.

    Attributes:
        name: The model's name.
        tensors: By name; insertion order is deterministic and is kept in every exported file.
        nodes: Topologically sorted.
        inputs: Names of the graph's inputs.
        outputs: Names of the graph's outputs.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    _producers: dict[str, Node] = field(init=False, repr=False, compare=False)

    __hash__ = object.__hash__  # by identity, for caches

    def __post_init__(self) -> None:
        object.__setattr__(self, "_producers", {n.output: n for n in self.nodes})

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def producer(self, tensor: str) -> Node | None:
        """The node that makes a tensor; None for inputs and constants."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read a tensor, in order."""
        return tuple(n for n in self.nodes if tensor in n.inputs)

    def activations(self) -> Iterator[Tensor]:
        """Every tensor that exists at run time, inputs first."""
        for name in self.inputs:
            yield self.tensors[name]
        for node in self.nodes:
            for name in node.outputs:
                yield self.tensors[name]

    def rewrite(
        self,
        nodes: Iterable[Node],
        tensors: Iterable[Tensor] = (),
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """Make a graph with other nodes; tensors that nothing names any more are dropped.

        Args:
            nodes: The new nodes, topologically sorted.
            tensors: New or replaced tensors.
            outputs: New outputs when they change.
        """
        nodes = tuple(nodes)
        outputs = self.outputs if outputs is None else outputs
        pool = {**self.tensors, **{t.name: t for t in tensors}}
        used = {*self.inputs, *outputs}
        for node in nodes:
            used.update(node.inputs, node.outputs)
        kept = {name: tensor for name, tensor in pool.items() if name in used}
        return replace(self, nodes=nodes, tensors=kept, outputs=outputs)

    def verify(self) -> Graph:
        """Check every rule of the graph; returns the graph itself.

        Raises:
            GraphError: A tensor is missing, made twice, read before it is made, or its data
                disagree with its shape or type.
        """
        known = set(self.inputs) | {n for n, t in self.tensors.items() if t.data is not None}
        for name, tensor in self.tensors.items():
            if name != tensor.name:
                raise GraphError(f"tensor {tensor.name!r} is filed under {name!r}")
            data = tensor.data
            if data is not None and (data.shape != tensor.shape or data.dtype != tensor.dtype):
                raise GraphError(
                    f"tensor {name!r} says {tensor.dtype}{tensor.shape} "
                    f"but holds {data.dtype}{data.shape}"
                )
        for node in self.nodes:
            for name in node.inputs:
                if name not in known:
                    raise GraphError(f"node {node.name!r} reads {name!r} before it is made")
            for name in node.outputs:
                if name in known:
                    raise GraphError(f"node {node.name!r} makes {name!r} a second time")
                if name not in self.tensors:
                    raise GraphError(f"node {node.name!r} makes unknown tensor {name!r}")
                known.add(name)
        missing = [name for name in (*self.inputs, *self.outputs) if name not in known]
        if missing:
            raise GraphError(f"graph outputs are never made: {', '.join(missing)}")
        return self
