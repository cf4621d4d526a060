"""What torch's elementwise operators become: sums, differences, products, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.torch_translation import Translation, argument
from fedtiny.compiler.frontends.views import arranged, broadcast
from fedtiny.compiler.ir import Activation, Add, Attributes, Relu
from fedtiny.compiler.operators import Function, Mul, Sub, Unary

if TYPE_CHECKING:
    from torch import fx


def _keep(translation: Translation, source: fx.Node, attributes: Attributes) -> None:
    """Append an operator of the first argument alone."""
    x = translation.activation(source)
    translation.make(source, attributes, [x.tensor], x)


def relu(translation: Translation, source: fx.Node) -> None:
    """Relu and relu6."""
    kind: Activation = "relu6" if "relu6" in str(source.target) else "relu"
    _keep(translation, source, Relu(kind))


def hardtanh(translation: Translation, source: fx.Node) -> None:
    """Hardtanh from 0 to 6, which is relu6."""
    if (argument(source, 1, -1.0), argument(source, 2, 1.0)) != (0, 6):
        raise translation.error(source, "hardtanh is supported from 0 to 6 (ReLU6)")
    _keep(translation, source, Relu("relu6"))


def leaky_relu(translation: Translation, source: fx.Node) -> None:
    """leaky_relu."""
    _keep(translation, source, Unary("leaky_relu", float(argument(source, 1, 0.01))))


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
    if source.kwargs.get("alpha", 1) != 1 or argument(source, 2, 1) != 1:
        raise translation.error(source, "add and sub with a factor are not supported")
    for position in (1, 0):
        constant = _constant(translation, source, position)
        if constant is not None:
            if position == 0 and isinstance(attributes, Sub):
                attributes = Sub(reverse=not attributes.reverse)
            _with_constant(translation, source, attributes, 1 - position, constant)
            return
    a, b = translation.activation(source, 0), translation.activation(source, 1)
    target = broadcast(a.shape, b.shape)
    if target is None:
        raise translation.error(source, f"{a.shape} and {b.shape} do not broadcast")
    label = translation.label(source)
    a, b = translation.alike(label, a, b, target)
    made = replace(a, shape=target)
    inputs = translation.builder.operands(label, a.tensor, b.tensor, made.physical)
    translation.make(source, attributes, inputs, made)


def _constant(
    translation: Translation, source: fx.Node, position: int
) -> NDArray[np.float32] | None:
    """A number, parameter or buffer that is an argument; None for an activation."""
    value = argument(source, position, None)
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
    x, label = translation.activation(source, position), translation.label(source)
    target = broadcast(x.shape, constant.shape)
    if target is None:
        raise translation.error(source, f"{x.shape} and {constant.shape} do not broadcast")
    x = translation.of_rank(label, x, len(target))
    if x.flat is not None and constant.size > 1:
        x = translation.linear(label, x)
    data = np.ascontiguousarray(arranged(constant, x, target))
    name = translation.constant(f"{label}.constant", data)
    made = replace(x, shape=target)
    inputs = translation.builder.operands(label, x.tensor, name, made.physical)
    translation.make(source, attributes, inputs, made)


def silu(translation: Translation, source: fx.Node) -> None:
    """silu: x sigmoid(x)."""
    x = translation.activation(source)
    label = f"{translation.label(source)}.sigmoid"
    gate = translation.make(source, Unary("sigmoid"), [x.tensor], x, label=label)
    translation.make(source, Mul(), [x.tensor, gate.tensor], x)


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
