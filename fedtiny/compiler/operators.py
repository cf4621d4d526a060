"""The operators without weights of their own: elementwise functions, pooling, movement of data.

Layers and what is fused into them are in `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fedtiny.compiler.ir import Activation, Attributes, Padding

Function = Literal[
    "hard_sigmoid", "hard_swish", "identity", "leaky_relu", "relu", "relu6", "sigmoid", "tanh"
]


@dataclass(frozen=True)
class Unary(Attributes):
    """A function of every element. int8: a table of 256 entries; see `unary`.

    Attributes:
        function: `leaky_relu` is `alpha x` below 0; `hard_sigmoid` is `alpha x + beta`, clamped to
            [0, 1]; `hard_swish` is `x relu6(x + 3) / 6`; `identity` changes the quantization alone.
        alpha: Of `leaky_relu` and `hard_sigmoid`.
        beta: Of `hard_sigmoid`.
    """

    op: ClassVar[str] = "unary"
    function: Function = "identity"
    alpha: float = 0.0
    beta: float = 0.0


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
    """The channels of the first input, then those of the second. int8: all quantized equally."""

    op: ClassVar[str] = "concat"


@dataclass(frozen=True)
class Mean(Attributes):
    """The mean over rows and columns, `(1, 1, 1, C)`. int8: as MEAN, which rescales."""

    op: ClassVar[str] = "mean"
