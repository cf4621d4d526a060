"""The front door for torch modules: a float32 graph, NHWC, exactly the module in eval mode."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends import torch_elementwise as elementwise
from fedtiny.compiler.ir import (
    Attributes,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Pattern,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.compiler.operators import Concat, MaxPool2d
from fedtiny.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import fx, nn

    from fedtiny.compiler.frontends.torch_capture import Capture
    from fedtiny.sparse_model import SparseModel

SUPPORTED = (
    "Conv2d, BatchNorm, ReLU, ReLU6, LeakyReLU, Hardswish, Hardsigmoid, SiLU, Sigmoid, Tanh, "
    "add, sub, mul, div by a constant, cat, AdaptiveAvgPool2d, AvgPool2d, AdaptiveMaxPool2d, "
    "MaxPool2d, mean over height and width, flatten, Linear, softmax of a vector, Dropout and "
    "Identity"
)


def from_torch(module: nn.Module, input_shape: Sequence[int], name: str) -> Graph:
    """Capture a module and translate it.

    Args:
        module: Takes one float32 tensor `(N, *input_shape)`; captured in eval mode.
        input_shape: `(C, H, W)`, or `(I,)` for a module without spatial dimensions.
        name: The graph's name.

    Returns:
        A float32 graph whose input is `(1, H, W, C)` (or `(1, I)`). Batch normalization and
        activations are nodes of their own; `fedtiny.compiler.passes.lower` folds them.

    Raises:
        UnsupportedError: An operator, or a use of one, has no translation; names the node.
    """
    from fedtiny.compiler.frontends.torch_capture import capture

    return _Translation(capture(module, input_shape), name).graph()


def from_sparse_model(model: SparseModel) -> Graph:
    """Translate a trained model; pruned weights are exact zeros and carry their pattern.

    Args:
        model: Its ranges name the tensors of this graph.

    Raises:
        UnsupportedError: As for `from_torch`.
    """
    module = model.module()
    state = dict(module.named_parameters())
    for parameter, mask in model.masks.items():
        state[parameter].data.mul_(mask)
    name = model.architecture.replace(":", ".").rpartition(".")[2]
    return from_torch(module, model.input_shape, name)


class _Translation:
    """One capture being translated, node by node."""

    def __init__(self, captured: Capture, name: str) -> None:
        self.captured = captured
        self.name = name
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        # Flattening (C, H, W) and flattening (H, W, C) order elements differently: by tensor,
        # where element i of ours is element order[i] of torch's.
        self.orders: dict[str, NDArray[np.int64]] = {}

    def graph(self) -> Graph:
        for source, name in self.captured.names.items():
            if source.op == "placeholder":
                self.add_tensor(name, _shape(source))
                inputs = (name,)
        for source in self.captured.nodes:
            if source in self.captured.names:
                self.translate(source)
        outputs = tuple(self.captured.names[source] for source in self.captured.outputs)
        for output in outputs:
            if output in self.orders:
                raise UnsupportedError(
                    f"output {output!r}: a flattened map would leave the graph in another order "
                    "than torch's; a Linear after it, or a map of 1x1, is supported."
                )
        return Graph(self.name, self.tensors, tuple(self.nodes), inputs, outputs).verify()

    def translate(self, source: fx.Node) -> None:
        from fedtiny.compiler.frontends.torch_capture import ALIASES, short_name

        kind = short_name(source)
        if source.target is operator.getitem or kind in ALIASES:
            if kind == "dropout" and source.args[2]:
                raise self.error(source, "dropout in training mode is not supported")
            return
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise self.error(source, f"operator {source.target} is not supported")
        handler(self, source)

    def error(self, source: fx.Node, what: str) -> UnsupportedError:
        name = self.captured.names.get(source, source.name)
        return UnsupportedError(f"node {name!r}: {what}. Supported: {SUPPORTED}.")

    def add_tensor(self, name: str, shape: Sequence[int]) -> None:
        self.tensors[name] = Tensor(name, _nhwc(shape), "float32")

    def add_node(self, source: fx.Node, attributes: Attributes, inputs: Sequence[str]) -> str:
        name = self.captured.names[source]
        self.add_tensor(name, _shape(source))
        self.nodes.append(Node(name, attributes, tuple(inputs), (name,)))
        return name

    def activation(self, source: fx.Node, index: int = 0) -> str:
        """Name of the activation that is an operator's argument."""
        value = source.args[index]
        name = self.captured.names.get(value)  # type: ignore[arg-type]
        if name is None or name not in self.tensors:
            raise self.error(source, f"argument {index} is not an activation")
        return name

    def parameter(self, source: fx.Node, index: int) -> tuple[str, NDArray[np.float32]] | None:
        """Name and value of the parameter or buffer that is an argument; None where it is None."""
        value = _argument(source, index, None)
        if value is None:
            return None
        if value not in self.captured.state:
            raise self.error(source, f"argument {index} is computed; a parameter is supported")
        name, tensor = self.captured.state[value]
        if tensor.is_floating_point():
            return name, tensor.detach().cpu().float().numpy()
        raise self.error(source, f"parameter {name!r} is {tensor.dtype}; floats are supported")

    def constant(self, name: str, data: NDArray[np.float32], prunable: bool = False) -> str:
        """Add a constant; a module that is called twice gets one a call."""
        unique, count = name, 0
        while unique in self.tensors:
            count += 1
            unique = f"{name}_{count}"
        # Adding zero copies (never an alias of the module's) and turns -0 into 0.
        array = np.ascontiguousarray(data + np.float32(0), np.float32)
        pattern = Pattern.of(array) if prunable else None
        self.tensors[unique] = Tensor(unique, array.shape, "float32", data=array, pattern=pattern)
        return unique

    def weights_and_bias(
        self, source: fx.Node
    ) -> tuple[str, NDArray[np.float32], str, NDArray[np.float32]]:
        found = self.parameter(source, 1)
        if found is None:
            raise self.error(source, "it has no weights")
        name, weights = found
        bias = self.parameter(source, 2)
        if bias is None:
            bias = (f"{self.captured.names[source]}.bias", np.zeros(len(weights), np.float32))
        return name, weights, *bias

    def conv2d(self, source: fx.Node) -> None:
        x = self.activation(source)
        name, weights, bias_name, bias = self.weights_and_bias(source)
        stride, padding, dilation = (_pair(_argument(source, i, d)) for i, d in _CONV_DEFAULTS)
        groups = int(_argument(source, 6, 1))
        kernel = weights.shape[2:]
        if isinstance(padding[0], str):  # torch puts the odd pixel of "same" after
            spans = [
                d * (k - 1) if padding[0] == "same" else 0
                for k, d in zip(kernel, dilation, strict=True)
            ]
            pads = tuple((span // 2, span - span // 2) for span in spans)
        else:
            pads = tuple((p, p) for p in padding)
        window: dict[str, Any] = {"stride": stride, "padding": pads, "dilation": dilation}
        attributes: Attributes
        if groups > 1 and groups == weights.shape[0] == self.tensors[x].shape[3]:
            attributes = DepthwiseConv2d(**window)
            weights = weights.transpose(1, 2, 3, 0)
        else:
            attributes = Conv2d(**window, groups=groups)
            weights = weights.transpose(0, 2, 3, 1)
        constants = [self.constant(name, weights, True), self.constant(bias_name, bias)]
        self.add_node(source, attributes, [x, *constants])

    def linear(self, source: fx.Node) -> None:
        x = self.activation(source)
        if len(self.tensors[x].shape) != 2:
            raise self.error(source, "Linear on a map is not supported; flatten it first")
        name, weights, bias_name, bias = self.weights_and_bias(source)
        if x in self.orders:
            weights = weights[:, self.orders[x]]
        constants = [self.constant(name, weights, True), self.constant(bias_name, bias)]
        self.add_node(source, FullyConnected(), [x, *constants])

    def batch_norm(self, source: fx.Node) -> None:
        x = self.activation(source)
        functional = len(source.args) == 7  # (x, w, b, mean, variance, momentum, epsilon)
        if not functional and source.args[5]:
            raise self.error(source, "batch normalization without running statistics")
        epsilon = float(source.args[6 if functional else 7])  # type: ignore[arg-type]
        own = self.captured.names[source]
        channels = self.tensors[x].shape[-1]
        defaults = {"weight": 1.0, "bias": 0.0, "running_mean": None, "running_var": None}
        constants = []
        for index, (part, default) in enumerate(defaults.items(), start=1):
            found = self.parameter(source, index)
            if found is None and default is None:
                raise self.error(source, "batch normalization without running statistics")
            name, value = found or (f"{own}.{part}", np.full(channels, default, np.float32))
            value = value[self.orders[x]] if x in self.orders else value
            constants.append(self.constant(name, value))
        self.keep_order(x, self.add_node(source, BatchNorm(epsilon), [x, *constants]))

    def adaptive_kernel(self, source: fx.Node) -> tuple[int, int]:
        size, out = self.tensors[self.activation(source)].shape[1:3], _shape(source)[2:]
        if any(n % m for n, m in zip(size, out, strict=True)):
            raise self.error(source, f"adaptive pooling of {size} to {out} has uneven windows")
        return size[0] // out[0], size[1] // out[1]

    def adaptive_avg_pool2d(self, source: fx.Node) -> None:
        kernel = self.adaptive_kernel(source)
        self.add_node(source, AveragePool2d(kernel, kernel), [self.activation(source)])

    def adaptive_max_pool2d(self, source: fx.Node) -> None:
        kernel = self.adaptive_kernel(source)
        self.add_node(source, MaxPool2d(kernel, kernel), [self.activation(source)])

    def max_pool2d(self, source: fx.Node) -> None:
        x = self.activation(source)
        kernel = _pair(source.args[1])
        stride = _pair(_argument(source, 2, None) or kernel)
        pads, dilation = _pair(_argument(source, 3, 0)), _pair(_argument(source, 4, 1))
        if _argument(source, 5, False) or dilation != (1, 1):
            raise self.error(source, "MaxPool2d is supported with ceil_mode=False, dilation=1")
        padding = ((pads[0], pads[0]), (pads[1], pads[1]))
        self.add_node(source, MaxPool2d(kernel, stride, padding), [x])

    def avg_pool2d(self, source: fx.Node) -> None:
        x = self.activation(source)
        kernel = _pair(source.args[1])
        stride = _pair(_argument(source, 2, None) or kernel)
        pads = _pair(_argument(source, 3, 0))
        ceil_mode, count_include_pad, divisor = (
            _argument(source, i, d) for i, d in ((4, False), (5, True), (6, None))
        )
        if ceil_mode or divisor is not None or (any(pads) and count_include_pad):
            raise self.error(
                source,
                "AvgPool2d is supported with ceil_mode=False, divisor_override=None and, "
                "where it pads, count_include_pad=False",
            )
        padding = ((pads[0], pads[0]), (pads[1], pads[1]))
        self.add_node(source, AveragePool2d(kernel, stride, padding), [x])

    def cat(self, source: fx.Node) -> None:
        given: Any = source.args[0]
        parts = [self.captured.names.get(part, "") for part in given]
        axis, rank = _argument(source, 1, 0), len(_shape(source))
        known = all(name in self.tensors and name not in self.orders for name in parts)
        if not known or axis not in (1, 1 - rank) or rank not in (2, 4):
            raise self.error(source, "cat is supported over the channels of activations")
        made = parts[0]
        for position, part in enumerate(parts[1:], start=1):
            if position == len(parts) - 1:
                break
            step = f"{self.captured.names[source]}.{position}"
            shape = self.tensors[made].shape
            wide = shape[-1] + self.tensors[part].shape[-1]
            self.tensors[step] = Tensor(step, (*shape[:-1], wide), "float32")
            self.nodes.append(Node(step, Concat(), (made, part), (step,)))
            made = step
        self.add_node(source, Concat(), [made, parts[-1]])

    def mean(self, source: fx.Node) -> None:
        x = self.activation(source)
        shape = self.tensors[x].shape
        given: Any = source.args[1]
        axes = sorted(axis % len(shape) for axis in given or ())
        if len(shape) != 4 or axes != [2, 3]:
            raise self.error(source, "mean is supported over height and width")
        attributes = AveragePool2d((shape[1], shape[2]), (shape[1], shape[2]))
        if _argument(source, 2, False):
            self.add_node(source, attributes, [x])
            return
        pooled = f"{self.captured.names[source]}.pooled"
        self.tensors[pooled] = Tensor(pooled, (1, 1, 1, shape[3]), "float32")
        self.nodes.append(Node(pooled, attributes, (x,), (pooled,)))
        self.add_node(source, Reshape(), [pooled])

    def reshape(self, source: fx.Node) -> None:
        x = self.activation(source)
        before, after = self.tensors[x].shape, _shape(source)
        has_pixels = len(before) == 4 and before[1:3] != (1, 1)
        flattens = len(after) == 2
        unchanged = _nhwc(after) == before
        vector = not has_pixels and (len(after) < 4 or after[2:] == (1, 1))
        if np.prod(before) != np.prod(after) or not (flattens or unchanged or vector):
            raise self.error(source, f"reshaping to {('N', *after[1:])} is not supported")
        if has_pixels and flattens:
            _, height, width, channels = before
            indices = np.arange(channels * height * width).reshape(channels, height, width)
            order = indices.transpose(1, 2, 0).ravel()
            if not np.array_equal(order, np.arange(order.size)):
                self.orders[self.captured.names[source]] = order
        self.keep_order(x, self.add_node(source, Reshape(), [x]))

    def softmax(self, source: fx.Node) -> None:
        x = self.activation(source)
        axis = source.args[1]
        if len(self.tensors[x].shape) != 2 or axis not in (1, -1):
            raise self.error(source, "softmax is supported over the values of a vector")
        self.keep_order(x, self.add_node(source, Softmax(), [x]))

    def keep_order(self, x: str, y: str) -> None:
        if x in self.orders:
            self.orders[y] = self.orders[x]


def _shape(source: fx.Node) -> tuple[int, ...]:
    """Torch's shape of a value, with batch 1."""
    value = source.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    return (1, *(int(n) for n in value.shape[1:]))


def _nhwc(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) == 4:
        return (shape[0], shape[2], shape[3], shape[1])
    return tuple(shape)


def _argument(source: fx.Node, index: int, default: Any) -> Any:
    return source.args[index] if index < len(source.args) else default


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, list | tuple):
        return (value[0], value[-1])
    return (value, value)


_CONV_DEFAULTS = ((3, 1), (4, 0), (5, 1))
"""Position and default of stride, padding and dilation in aten::conv2d."""

_HANDLERS: dict[str, Callable[[_Translation, fx.Node], None]] = {
    "conv2d": _Translation.conv2d,
    "linear": _Translation.linear,
    "batch_norm": _Translation.batch_norm,
    "_native_batch_norm_legit_no_training": _Translation.batch_norm,
    "adaptive_avg_pool2d": _Translation.adaptive_avg_pool2d,
    "avg_pool2d": _Translation.avg_pool2d,
    "adaptive_max_pool2d": _Translation.adaptive_max_pool2d,
    "cat": _Translation.cat,
    "max_pool2d": _Translation.max_pool2d,
    "max_pool2d_with_indices": _Translation.max_pool2d,
    "mean": _Translation.mean,
    "flatten": _Translation.reshape,
    "reshape": _Translation.reshape,
    "softmax": _Translation.softmax,
    "_softmax": _Translation.softmax,
    "view": _Translation.reshape,
    "squeeze": _Translation.reshape,
    **elementwise.OPS,
}
