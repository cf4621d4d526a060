"""What torch's elementwise operators become: sums, differences, products, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Activation, Add, Attributes, Node, Relu, Tensor
from fedtiny.compiler.operators import Function, Mul, Sub, Unary

if TYPE_CHECKING:
    from torch import fx

    from fedtiny.compiler.frontends.torch_module import _Translation as Translation


def _argument(source: fx.Node, index: int, default: Any) -> Any:
    return source.args[index] if index < len(source.args) else default


def _keep(translation: Translation, source: fx.Node, attributes: Attributes) -> None:
    """Append an operator of the first argument that keeps the order of its elements."""
    x = translation.activation(source)
    translation.keep_order(x, translation.add_node(source, attributes, [x]))


def relu(translation: Translation, source: fx.Node) -> None:
    """Relu and relu6."""
    kind: Activation = "relu6" if "relu6" in str(source.target) else "relu"
    _keep(translation, source, Relu(kind))


def hardtanh(translation: Translation, source: fx.Node) -> None:
    """Hardtanh from 0 to 6, which is relu6."""
    if (_argument(source, 1, -1.0), _argument(source, 2, 1.0)) != (0, 6):
        raise translation.error(source, "hardtanh is supported from 0 to 6 (ReLU6)")
    _keep(translation, source, Relu("relu6"))


def leaky_relu(translation: Translation, source: fx.Node) -> None:
    """leaky_relu."""
    _keep(translation, source, Unary("leaky_relu", float(_argument(source, 1, 0.01))))


def hard_sigmoid(translation: Translation, source: fx.Node) -> None:
    """hardsigmoid: x / 6 + 1 / 2, clamped."""
    _keep(translation, source, Unary("hard_sigmoid", 1 / 6, 0.5))


def _function(name: Function) -> Callable[[Translation, fx.Node], None]:
    def translate(translation: Translation, source: fx.Node) -> None:
        _keep(translation, source, Unary(name))

    return translate


def add(translation: Translation, source: fx.Node) -> None:
    """Add."""
    _binary(translation, source, Add())


def mul(translation: Translation, source: fx.Node) -> None:
    """Mul."""
    _binary(translation, source, Mul())


def sub(translation: Translation, source: fx.Node) -> None:
    """Sub."""
    _binary(translation, source, Sub())


def reversed_sub(translation: Translation, source: fx.Node) -> None:
    """rsub: the second argument less the first."""
    _binary(translation, source, Sub(reverse=True))


def divide(translation: Translation, source: fx.Node) -> None:
    """Div by a number or a parameter."""
    divisor = _constant(translation, source, 1)
    if divisor is None or not np.all(divisor):
        raise translation.error(source, "division by a constant other than 0 is supported")
    _with_constant(translation, source, Mul(), 0, np.float32(1) / divisor)


def _binary(translation: Translation, source: fx.Node, attributes: Add | Mul | Sub) -> None:
    if source.kwargs.get("alpha", 1) != 1 or _argument(source, 2, 1) != 1:
        raise translation.error(source, "add and sub with a factor are not supported")
    for position in (1, 0):
        constant = _constant(translation, source, position)
        if constant is not None:
            if position == 0 and isinstance(attributes, Sub):
                attributes = Sub(reverse=not attributes.reverse)
            _with_constant(translation, source, attributes, 1 - position, constant)
            return
    a, b = translation.activation(source, 0), translation.activation(source, 1)
    shapes = [translation.tensors[name].shape for name in (a, b)]
    whole = max(shapes, key=lambda shape: int(np.prod(shape)))
    pixel = (1, 1, 1, whole[-1])
    if any(shape not in (whole, pixel) for shape in shapes):
        raise translation.error(
            source,
            f"{shapes[0]} and {shapes[1]}: equal shapes or one value a channel are supported",
        )
    unordered = np.arange(0)
    orders = [translation.orders.get(name, unordered) for name in (a, b)]
    if not np.array_equal(orders[0], orders[1]):
        raise translation.error(source, "differently flattened tensors cannot be combined")
    translation.keep_order(a, translation.add_node(source, attributes, [a, b]))


def _constant(
    translation: Translation, source: fx.Node, position: int
) -> NDArray[np.float32] | None:
    """A number, parameter or buffer that is an argument; None for an activation."""
    value = _argument(source, position, None)
    if isinstance(value, int | float):
        return np.array(value, np.float32)
    if value in translation.captured.state:
        found = translation.parameter(source, position)
        return None if found is None else found[1]
    return None


def _with_constant(
    translation: Translation,
    source: fx.Node,
    attributes: Attributes,
    position: int,
    constant: NDArray[np.float32],
) -> None:
    x = translation.activation(source, position)
    shape = translation.tensors[x].shape
    rank = len(shape)
    if constant.ndim > rank or (constant.size > 1 and x in translation.orders):
        raise translation.error(source, f"a constant of shape {constant.shape} is not supported")
    data = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    data = data.transpose(0, 2, 3, 1) if rank == 4 else data
    if any(n not in (1, wanted) for n, wanted in zip(data.shape, shape, strict=True)):
        raise translation.error(source, "a constant may not widen what it is combined with")
    if data.size == 1:
        data = data.reshape(1)
    elif data.size != data.shape[-1]:
        data = np.broadcast_to(data, shape)
    own = translation.captured.names[source]
    name = translation.constant(f"{own}.constant", np.ascontiguousarray(data))
    translation.keep_order(x, translation.add_node(source, attributes, [x, name]))


def silu(translation: Translation, source: fx.Node) -> None:
    """silu: x sigmoid(x)."""
    x = translation.activation(source)
    gate = f"{translation.captured.names[source]}.sigmoid"
    translation.tensors[gate] = Tensor(gate, translation.tensors[x].shape, "float32")
    translation.nodes.append(Node(gate, Unary("sigmoid"), (x,), (gate,)))
    translation.keep_order(x, translation.add_node(source, Mul(), [x, gate]))


OPS: Mapping[str, Callable[[Translation, fx.Node], None]] = {
    "add": add,
    "div": divide,
    "hardsigmoid": hard_sigmoid,
    "hardswish": _function("hard_swish"),
    "hardtanh": hardtanh,
    "leaky_relu": leaky_relu,
    "mul": mul,
    "relu": relu,
    "relu6": relu,
    "rsub": reversed_sub,
    "sigmoid": _function("sigmoid"),
    "silu": silu,
    "sub": sub,
    "tanh": _function("tanh"),
}
"""By operator, what translates it."""
