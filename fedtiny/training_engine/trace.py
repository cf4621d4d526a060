"""What a network does in training, as the few operations that the C step knows."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn import functional as F

from fedtiny.errors import UnsupportedError

Pair = tuple[int, int]


@dataclass(eq=False)
class Tensor:
    """An activation.

    Attributes:
        channels: Its channels.
        height: Rows of its map.
        width: Columns of its map.
        border: Zeros on either side that convolutions read, rows and columns.
        flat: Whether it is read as one vector of all its numbers.
    """

    channels: int
    height: int
    width: int
    border: Pair = (0, 0)
    flat: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether it is one position without borders."""
        return (self.height, self.width, *self.border) == (1, 1, 0, 0)


@dataclass(eq=False)
class Convolution:
    """Also a linear layer, whose kernel is as large as its input's map.

    Attributes:
        name: Of the module, which owns `weight` and perhaps `bias`.
        source: What it reads.
        target: What it makes.
        kernel: Rows and columns.
        stride: The same.
        pad: The same.
        dilation: The same.
        groups: Of channels.
        bias: Whether it has one.
        norm: The normalization that reads what it makes.
        followed: The activation after that; `target` where there is none.
    """

    name: str
    source: Tensor
    target: Tensor
    kernel: Pair
    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int
    bias: bool
    norm: Norm | None = None
    followed: Tensor | None = None

    @property
    def is_linear(self) -> bool:
        """Whether it maps vectors to vectors."""
        return self.source.is_vector and self.target.is_vector


@dataclass(eq=False)
class Norm:
    """Batch normalization of a convolution's output.

    Attributes:
        name: Of the module.
        channels: Of what it normalizes.
        values: Of each channel in one sample.
        momentum: Of running statistics.
        epsilon: Added to variances.
    """

    name: str
    channels: int
    values: int
    momentum: float
    epsilon: float


@dataclass(eq=False)
class Combination:
    """A sum of one or two terms, perhaps normalized, perhaps rectified.

    Attributes:
        terms: What is added, and by what it is normalized.
        target: What it makes.
        rectified: Whether negative sums become zero.
        ceiling: What larger sums become.
    """

    terms: list[tuple[Tensor, Norm | None]]
    target: Tensor
    rectified: bool
    ceiling: float


@dataclass(eq=False)
class Pooling:
    """The largest or the mean of windows."""

    source: Tensor
    target: Tensor
    kernel: Pair
    stride: Pair
    pad: Pair
    maximum: bool


Operation = Convolution | Combination | Pooling


@dataclass
class Network:
    """Operations in the order in which they run.

    Attributes:
        input: What samples are read into.
        output: What the loss is of.
        operations: All of them.
        tensors: All activations.
    """

    input: Tensor
    operations: list[Operation] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None


@dataclass(eq=False)
class _Sum:
    """A sum that nothing has computed yet."""

    terms: list[tuple[Tensor, Norm | None]]


_Value = Tensor | _Sum


def trace(module: nn.Module, input_shape: tuple[int, int, int]) -> Network:
    """Read a network.

    Args:
        module: The network; it does not change.
        input_shape: `(C, H, W)`.

    Raises:
        UnsupportedError: It does something that the C step does not know, which is named.
    """
    try:
        graph = fx.Tracer().trace(module)
    except Exception as error:  # the network's own code runs on proxies, and may raise anything
        raise UnsupportedError(f"{type(module).__name__} cannot be traced: {error}.") from error
    return _Reader(module, graph, input_shape).network


class _Reader:
    def __init__(self, module: nn.Module, graph: fx.Graph, shape: tuple[int, int, int]) -> None:
        self._module = module
        self._values: dict[fx.Node, _Value] = {}
        self._called: set[str] = set()
        self._owner: dict[Tensor, Convolution] = {}
        channels, height, width = shape
        first = next(iter(graph.nodes))
        flat = all(_is_flatten(module, user) for user in first.users)
        start = Tensor(channels * height * width, 1, 1) if flat else Tensor(*shape)
        self.network = Network(start, tensors=[start])
        for node in graph.nodes:
            if node.op == "placeholder":
                if self._values:
                    raise UnsupportedError("it takes more than one input.")
                self._values[node] = start
            elif node.op == "output":
                self.network.output = self._tensor(self._value(node.args[0]))
            else:
                value = self._operation(node)
                self._values[node] = self._tensor(value) if len(node.users) > 1 else value
        output = self.network.output
        if output is None or output is start or not output.is_vector:
            raise UnsupportedError("its output is no vector that a layer makes.")

    def _value(self, node: Any) -> _Value:
        if not isinstance(node, fx.Node) or node not in self._values:
            raise UnsupportedError("an operand is no activation.")
        return self._values[node]

    def _new(self, channels: int, height: int, width: int) -> Tensor:
        if min(channels, height, width) < 1:
            raise UnsupportedError("an activation is empty.")
        made = Tensor(channels, height, width)
        self.network.tensors.append(made)
        return made

    def _tensor(self, value: _Value) -> Tensor:
        """Compute a sum if that is still to be done."""
        return value if isinstance(value, Tensor) else self._combine(value, False)

    def _combine(self, value: _Sum, rectified: bool, ceiling: float = float("inf")) -> Tensor:
        like = value.terms[0][0]
        target = self._new(like.channels, like.height, like.width)
        made = Combination(value.terms, target, rectified, ceiling)
        self.network.operations.append(made)
        for tensor, norm in value.terms:
            if norm is not None:
                self._owner[tensor].followed = target
        return target

    def _operation(self, node: fx.Node) -> _Value:
        if node.op == "call_module":
            return self._layer(node)
        name = _function(node)
        operand = self._value(node.args[0]) if node.args else None
        if operand is None:
            raise UnsupportedError(f"{node.op} of {node.target}.")
        if name == "relu":
            return self._rectify(operand)
        if name == "add" and len(node.args) == 2 and not node.kwargs:
            return self._add(operand, self._value(node.args[1]))
        if _is_flatten(self._module, node):
            return self._flatten(operand)
        given = {**dict(zip(("dim", "keepdim"), node.args[1:], strict=False)), **node.kwargs}
        dims = given.get("dim")
        if name == "mean" and dims is not None and sorted(d % 4 for d in cast(Any, dims)) == [2, 3]:
            return self._mean(self._tensor(operand))
        raise UnsupportedError(f"it calls {name or node.target}.")

    def _layer(self, node: fx.Node) -> _Value:
        name = str(node.target)
        layer = self._module.get_submodule(name)
        operand = self._value(node.args[0])
        if isinstance(layer, nn.Identity):
            return operand
        if isinstance(layer, (nn.ReLU, nn.ReLU6)):
            return self._rectify(operand, 6.0 if isinstance(layer, nn.ReLU6) else float("inf"))
        if isinstance(layer, nn.Flatten) and _is_flatten(self._module, node):
            return self._flatten(operand)
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
            return self._mean(self._tensor(operand))
        if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            return self._pool(layer, self._tensor(operand))
        if isinstance(layer, nn.Dropout) and layer.p == 0:
            return operand
        if name in self._called:
            raise UnsupportedError(f"{name} is called twice.")
        self._called.add(name)
        if isinstance(layer, nn.Conv2d):
            return self._convolution(name, layer, self._tensor(operand))
        if isinstance(layer, nn.Linear):
            return self._linear(name, layer, self._tensor(operand))
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if isinstance(operand, Tensor) and len(cast(fx.Node, node.args[0]).users) > 1:
                raise UnsupportedError(f"something else reads what {name} normalizes.")
            return self._norm(name, layer, operand)
        raise UnsupportedError(f"{name} is a {type(layer).__name__}.")

    def _add_convolution(self, made: Convolution) -> Tensor:
        border = made.source.border
        made.source.border = (max(border[0], made.pad[0]), max(border[1], made.pad[1]))
        self.network.operations.append(made)
        self._owner[made.target] = made
        return made.target

    def _convolution(self, name: str, layer: nn.Conv2d, x: Tensor) -> Tensor:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str) or x.flat:
            raise UnsupportedError(f"{name} pads otherwise than by a number of zeros.")
        kernel, stride, pad, dilation = (
            cast(Pair, tuple(v))
            for v in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        size = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                (x.height, x.width), kernel, stride, pad, dilation, strict=True
            )
        ]
        target = self._new(layer.out_channels, *size)
        bias = layer.bias is not None
        return self._add_convolution(
            Convolution(name, x, target, kernel, stride, pad, dilation, layer.groups, bias)
        )

    def _linear(self, name: str, layer: nn.Linear, x: Tensor) -> Tensor:
        if layer.in_features != x.channels * x.height * x.width:
            raise UnsupportedError(f"{name} is not applied to whole samples.")
        target = self._new(layer.out_features, 1, 1)
        kernel, one = (x.height, x.width), (1, 1)
        bias = layer.bias is not None
        return self._add_convolution(
            Convolution(name, x, target, kernel, one, (0, 0), one, 1, bias)
        )

    def _norm(self, name: str, layer: nn.modules.batchnorm._BatchNorm, value: _Value) -> _Sum:
        owner = self._owner.get(value) if isinstance(value, Tensor) else None
        if owner is None or owner.norm is not None or not isinstance(value, Tensor):
            raise UnsupportedError(f"{name} does not normalize a convolution's output.")
        if not (layer.affine and layer.track_running_stats) or layer.momentum is None:
            raise UnsupportedError(f"{name} has unusual options.")
        values = value.height * value.width
        owner.norm = Norm(name, value.channels, values, layer.momentum, layer.eps)
        return _Sum([(value, owner.norm)])

    def _rectify(self, value: _Value, ceiling: float = float("inf")) -> Tensor:
        found = value if isinstance(value, _Sum) else _Sum([(value, None)])
        return self._combine(found, True, ceiling)

    def _add(self, a: _Value, b: _Value) -> _Sum:
        terms: list[tuple[Tensor, Norm | None]] = []
        for value in (a, b):
            single = isinstance(value, _Sum) and len(value.terms) == 1
            terms += value.terms if single else [(self._tensor(value), None)]  # type: ignore[union-attr]
        shapes = {(t.channels, t.height, t.width, t.flat) for t, _ in terms}
        if len(shapes) > 1 or a is b:
            raise UnsupportedError("a sum's terms differ in shape, or are the same.")
        return _Sum(terms)

    def _flatten(self, value: _Value) -> Tensor:
        tensor = self._tensor(value)
        if not (tensor.height == tensor.width == 1):
            tensor.flat = True
        return tensor

    def _mean(self, x: Tensor) -> Tensor:
        return self._add_pooling(x, (x.height, x.width), (1, 1), (0, 0), False)

    def _pool(self, layer: nn.MaxPool2d | nn.AvgPool2d, x: Tensor) -> Tensor:
        kernel, stride, pad = (_pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
        maximum = isinstance(layer, nn.MaxPool2d)
        if isinstance(layer, nn.MaxPool2d):
            unusual = layer.ceil_mode or _pair(layer.dilation) != (1, 1)
        else:
            unusual = layer.ceil_mode or layer.divisor_override is not None or pad != (0, 0)
        if unusual:
            raise UnsupportedError("pooling has unusual options.")
        return self._add_pooling(x, kernel, stride, pad, maximum)

    def _add_pooling(
        self, x: Tensor, kernel: Pair, stride: Pair, pad: Pair, maximum: bool
    ) -> Tensor:
        height = (x.height + 2 * pad[0] - kernel[0]) // stride[0] + 1
        width = (x.width + 2 * pad[1] - kernel[1]) // stride[1] + 1
        target = self._new(x.channels, height, width)
        self.network.operations.append(Pooling(x, target, kernel, stride, pad, maximum))
        return target


_FUNCTIONS: dict[Callable[..., Any], str] = {
    torch.relu: "relu", torch.relu_: "relu", F.relu: "relu",
    operator.add: "add", operator.iadd: "add", torch.add: "add",
    torch.flatten: "flatten", torch.mean: "mean",
}  # fmt: skip


def _function(node: fx.Node) -> str:
    if node.op == "call_function":
        return _FUNCTIONS.get(cast(Any, node.target), "")
    name = str(node.target).rstrip("_") if node.op == "call_method" else ""
    return name if name in _FUNCTIONS.values() else ""


def _is_flatten(module: nn.Module, node: fx.Node) -> bool:
    """Whether it makes vectors of whole samples."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        return isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1)
    given = {**dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)), **node.kwargs}
    ends = given.get("start_dim"), given.get("end_dim", -1)
    return _function(node) == "flatten" and ends == (1, -1)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else cast(Pair, tuple(value))
