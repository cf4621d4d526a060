"""What the packings share: shapes of nodes, row accesses, clamps, and folded biases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import AveragePool2d, Conv2d, DepthwiseConv2d, Graph, Node
from fedtiny.compiler.operators import MaxPool2d
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Access, Constant

FLOAT_MAX = float(np.finfo(np.float32).max)
"""Stands for "no clamp": emitters can write it as a plain number."""

U16_MAX = 0xFFFF


def row_count(shape: tuple[int, ...]) -> int:
    """Rows of a tensor: the height of `(1, H, W, C)`; any other shape is one row."""
    return shape[1] if len(shape) == 4 else 1


@dataclass(frozen=True)
class Window:
    """The geometry of a node that slides a window over `(1, in_h, in_w, in_c)`.

    Attributes:
        in_h: Input rows.
        in_w: Pixels of an input row.
        in_c: Channels of an input pixel.
        out_h: Output rows.
        out_w: Pixels of an output row.
        out_c: Channels of an output pixel.
        kernel_h: Rows of the window.
        kernel_w: Columns of the window.
        stride_h: Vertical stride.
        stride_w: Horizontal stride.
        dilation_h: Rows from tap to tap.
        dilation_w: Columns from tap to tap.
        pad_top: Rows of padding above the input.
        pad_left: Columns of padding left of the input.
        groups: Groups of channels; `in_c` for a depthwise convolution.
    """

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    groups: int

    @property
    def reach_h(self) -> int:
        """Input rows from the first tap of an output row to its last."""
        return (self.kernel_h - 1) * self.dilation_h + 1

    @property
    def reach_w(self) -> int:
        """Input columns from the first tap of an output pixel to its last."""
        return (self.kernel_w - 1) * self.dilation_w + 1

    def accesses(self, node: Node) -> tuple[Access, Access]:
        """The rows that one output row needs, and that row."""
        reads = Access(node.inputs[0], self.reach_h, self.stride_h, -self.pad_top)
        return reads, Access(node.output, 1, 1)

    def inner_taps(self) -> int:
        """Taps of the kernel over all output pixels that meet a pixel of the input."""
        counts = []
        for out, size, kernel, stride, dilation, pad in (
            (self.out_h, self.in_h, self.kernel_h, self.stride_h, self.dilation_h, self.pad_top),
            (self.out_w, self.in_w, self.kernel_w, self.stride_w, self.dilation_w, self.pad_left),
        ):
            at = np.arange(out)[:, None] * stride + np.arange(kernel) * dilation - pad
            counts.append(int(((at >= 0) & (at < size)).sum()))
        return counts[0] * counts[1]

    def inner_rows(self) -> int:
        """Rows of the kernel over all output rows that meet a row of the input."""
        at = np.arange(self.out_h)[:, None] * self.stride_h - self.pad_top
        at = at + np.arange(self.kernel_h) * self.dilation_h
        return int(((at >= 0) & (at < self.in_h)).sum())

    def fits(self) -> bool:
        """Whether every number fits the 16-bit fields of the parameter structs."""
        return max(vars(self).values()) <= U16_MAX and self.reach_h <= U16_MAX

    def params(self, *names: str) -> dict[str, int | float]:
        """Fields of a parameter struct by their names here."""
        return {name: getattr(self, name) for name in names}


def window(node: Node, graph: Graph) -> Window:
    """The geometry of a convolution or a pooling node."""
    attributes = node.attributes
    assert isinstance(attributes, Conv2d | DepthwiseConv2d | AveragePool2d | MaxPool2d)
    _, in_h, in_w, in_c = graph[node.inputs[0]].shape
    _, out_h, out_w, out_c = graph[node.output].shape
    if isinstance(attributes, AveragePool2d | MaxPool2d):
        (kernel_h, kernel_w), dilation, groups = attributes.kernel, (1, 1), in_c
    else:
        _, kernel_h, kernel_w, _ = graph[node.inputs[1]].shape
        dilation = attributes.dilation
        groups = attributes.groups if isinstance(attributes, Conv2d) else in_c
    return Window(
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        kernel_h,
        kernel_w,
        *attributes.stride,
        *dilation,
        attributes.padding[0][0],
        attributes.padding[1][0],
        groups,
    )


def is_image(node: Node, graph: Graph) -> bool:
    """Whether input and output are `(1, H, W, C)` and of one type, constants constant."""
    ends = (graph[node.inputs[0]], graph[node.output])
    constants = (graph[name].data is not None for name in node.inputs[1:])
    same = ends[0].dtype == ends[1].dtype
    return same and all(len(t.shape) == 4 for t in ends) and all(constants)


def element_bytes(node: Node, graph: Graph) -> int:
    """Bytes of one element of the node's output."""
    return np.dtype(graph[node.output].dtype).itemsize


def float_clamp(node: Node) -> dict[str, int | float]:
    """`output_min` and `output_max` of a float node."""
    activation = getattr(node.attributes, "activation", "none")
    low = -FLOAT_MAX if activation == "none" else 0.0
    return {"output_min": low, "output_max": 6.0 if activation == "relu6" else FLOAT_MAX}


def int8_clamp(node: Node, graph: Graph) -> dict[str, int | float]:
    """`output_min` and `output_max` of an int8 node."""
    low, high = clamp_limits(node, graph)
    return {"output_min": low, "output_max": high}


def ties(node: Node, graph: Graph) -> int:
    """1 where halves of negative numbers show in an int8 node: its clamp does not hide them.

    Such a node has no activation, so that its clamp is that of int8.
    """
    low, high = clamp_limits(node, graph)
    seen = low < zero_point_of(graph, node.output)
    assert not seen or (low, high) == (-128, 127)
    return int(seen)


def clamp(node: Node, graph: Graph) -> dict[str, int | float]:
    """`output_min` and `output_max`."""
    return int8_clamp(node, graph) if graph[node.output].dtype == "int8" else float_clamp(node)


def zero_points(node: Node, graph: Graph) -> dict[str, int | float]:
    """`input_zero_point` and `output_zero_point` of an int8 node."""
    return {
        "input_zero_point": zero_point_of(graph, node.inputs[0]),
        "output_zero_point": zero_point_of(graph, node.output),
    }


def weights_of(node: Node, graph: Graph) -> NDArray[np.generic]:
    """The weights as the graph has them."""
    return graph[node.inputs[1]].value


def bias_constant(node: Node, graph: Graph) -> Constant:
    """The bias as the graph has it."""
    bias = graph[node.inputs[2]].value
    return Constant("bias", bias.reshape(-1), f"{bias.dtype} ({bias.size})")


def folded_bias(node: Node, graph: Graph) -> NDArray[np.int32]:
    """Bias minus the input's zero point times each output's sum of weights, int32 `(O,)`.

    With it `acc = bias + sum(w * x)` over raw inputs, where padding reads as the zero point.
    """
    outputs = graph[node.output].shape[-1]
    sums = weights_of(node, graph).astype(np.int64).reshape(outputs, -1).sum(1)
    return folded(node, graph, sums)


def folded(node: Node, graph: Graph, sums: NDArray[np.int64]) -> NDArray[np.int32]:
    """`folded_bias` where each output's sum of weights is known."""
    bias = graph[node.inputs[2]].value.astype(np.int64)
    exact = bias - zero_point_of(graph, node.inputs[0]) * sums
    wrapped: NDArray[np.int32] = ((exact + 2**31) % 2**32 - 2**31).astype(np.int32)
    return wrapped


def left_shifts(node: Node, graph: Graph) -> int:
    """How many of a convolution's scales shift to the left, which takes other instructions."""
    return int(np.count_nonzero(conv_multipliers(node, graph)[1] > 0))


def left_outputs(node: Node, graph: Graph) -> int:
    """Outputs of those scales; of float nodes none."""
    output = graph[node.output]
    if output.dtype != "int8":
        return 0
    return left_shifts(node, graph) * output.size // output.shape[-1]


def stored_features(node: Node, graph: Graph, calls: int) -> dict[str, float]:
    """What storing channels executes (`fedtiny_store_channel`; float nodes have one form).

    Outputs of scales that shift right by 1 to 22, which are stored in one multiplication, and
    calls for them; outputs of scales that shift left, and of others.

    Args:
        node: A convolution.
        graph: Its graph.
        calls: Of each channel in one inference.
    """
    output = graph[node.output]
    channels = output.shape[-1]
    pixels = output.size // channels
    if output.dtype != "int8":
        return {"outputs": output.size}
    shifts = conv_multipliers(node, graph)[1]
    once = int(np.count_nonzero((shifts < 0) & (shifts >= -22)))
    left = int(np.count_nonzero(shifts > 0))
    return {
        "outputs": once * pixels,
        "once_calls": once * calls,
        "left_outputs": left * pixels,
        "other_outputs": (channels - once - left) * pixels,
    }


def multiplier_constants(node: Node, graph: Graph) -> tuple[Constant, Constant]:
    """`multipliers` and `shifts` of an int8 convolution."""
    multipliers, shifts = conv_multipliers(node, graph)
    size = multipliers.size
    return (
        Constant("multipliers", multipliers, f"int32 ({size})"),
        Constant("shifts", shifts, f"int8 ({size})", 1),
    )
