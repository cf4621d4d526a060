"""The operators beside the layers of `ir`: elementwise functions, pooling, movement of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fedtiny.compiler.ir import Activation, Attributes, Padding

Function = Literal[
    "hard_sigmoid",
    "hard_swish",
    "identity",
    "leaky_relu",
    "relu",
    "relu6",
    "sigmoid",
    "tanh",
    "table",
]


@dataclass(frozen=True)
class Unary(Attributes):
    """A function of every element. int8: a table of 256 entries; see `unary`.

    Attributes:
        function: `leaky_relu` is `alpha x` below 0; `hard_sigmoid` is `alpha x + beta`, clamped to
            [0, 1]; `hard_swish` is `x relu6(x + 3) / 6`; `identity` changes the quantization alone;
            `table` is what `values` say, in int8 alone.
        alpha: Of `leaky_relu` and `hard_sigmoid`.
        beta: Of `hard_sigmoid`.
        values: Of `table`: the int8 outputs of -128 .. 127; real ones until the graph is int8.
    """

    op: ClassVar[str] = "unary"
    function: Function = "identity"
    alpha: float = 0.0
    beta: float = 0.0
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sub(Attributes):
    """Elementwise difference; broadcasts as `Add` does.

    Attributes:
        activation: Fused.
        reverse: The second input less the first, which is always an activation.
    """

    op: ClassVar[str] = "sub"
    activation: Activation = "none"
    reverse: bool = False


@dataclass(frozen=True)
class Mul(Attributes):
    """Elementwise product; broadcasts as `Add` does."""

    op: ClassVar[str] = "mul"
    activation: Activation = "none"


@dataclass(frozen=True)
class MaxPool2d(Attributes):
    """Maximum pooling; padded pixels never win. int8: input and output quantization equal."""

    op: ClassVar[str] = "max_pool2d"
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    activation: Activation = "none"


@dataclass(frozen=True)
class Concat(Attributes):
    """The channels of the first input, then those of the second. int8: all quantized equally.

    Attributes:
        axis: The dimension that is joined, counted from the last: -1 for channels.
    """

    op: ClassVar[str] = "concat"
    axis: int = -1


@dataclass(frozen=True)
class Broadcast(Attributes):
    """Dimensions of size 1 repeated. int8: input and output quantization equal."""

    op: ClassVar[str] = "broadcast"


@dataclass(frozen=True)
class Mean(Attributes):
    """The mean over rows and columns, `(1, 1, 1, C)`. int8: as MEAN, which rescales."""

    op: ClassVar[str] = "mean"


@dataclass(frozen=True)
class Pad(Attributes):
    """One value around a map. int8: input and output quantization equal.

    Attributes:
        padding: Rows and columns added.
        channels: Channels added before the first and after the last.
        value: What they hold, a real number; int8: the nearest integer that stands for it.
    """

    op: ClassVar[str] = "pad"
    padding: Padding = ((0, 0), (0, 0))
    channels: tuple[int, int] = (0, 0)
    value: float = 0.0


@dataclass(frozen=True)
class Resize(Attributes):
    """Another number of rows and columns. int8: input and output quantization equal.

    Attributes:
        align_corners: The first and the last pixels of input and output lie on each other.
        half_pixel_centers: Pixels are squares whose centres count, rather than points.
    """

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class ResizeNearest(Resize):
    """Every pixel is the nearest one of the input."""

    op: ClassVar[str] = "resize_nearest"


@dataclass(frozen=True)
class ResizeBilinear(Resize):
    """Every pixel is a mean of four of the input, weighted by distance."""

    op: ClassVar[str] = "resize_bilinear"


@dataclass(frozen=True)
class Transpose(Attributes):
    """Dimensions in another order; dimension i of the output is `order[i]` of the input."""

    op: ClassVar[str] = "transpose"
    order: tuple[int, ...] = ()


@dataclass(frozen=True)
class TransposeConv2d(Attributes):
    """Transposed convolution. Inputs: x `(1, H, W, C)`, weights OHWI, bias `(O,)`.

    Input pixel (y, x) adds its products with tap (i, j) to output pixel
    `(y * stride - crop + i, ...)`; what lies outside of the output is dropped.

    Attributes:
        stride: Output pixels from the first tap of one input pixel to that of the next.
        crop: Rows and columns that are dropped at the top and at the left; how many are at the
            bottom and at the right, or how many are added there, the output's shape says.
        groups: Groups of channels; weights are `(out, kh, kw, in / groups)`.
        activation: Fused.
    """

    op: ClassVar[str] = "transpose_conv2d"
    stride: tuple[int, int] = (1, 1)
    crop: tuple[int, int] = (0, 0)
    groups: int = 1
    activation: Activation = "none"
