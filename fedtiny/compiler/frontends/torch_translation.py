"""The state of translating one torch module: where each value is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import patterns
from fedtiny.compiler.frontends.views import IMAGES, NCHW, NCL, Value, Views
from fedtiny.compiler.ir import Attributes, Graph
from fedtiny.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import fx

    from fedtiny.compiler.frontends.torch_capture import Capture

_WINDOWS = ("conv1d", "conv_transpose1d", "max_pool1d", "avg_pool1d", "batch_norm")
"""Operators that show that three dimensions are `(N, C, L)`."""


class Translation(Views):
    """One capture being translated, node by node.

    Args:
        captured: The module.
        name: The graph's name.
        supported: The operators that errors list.
    """

    def __init__(self, captured: Capture, name: str, supported: Sequence[str]) -> None:
        super().__init__(name)
        self.captured = captured
        self.supported = supported
        self.values: dict[str, Value] = {}
        self.inputs: tuple[str, ...] = ()
        for source, label in captured.names.items():
            if source.op == "placeholder":
                shape = shape_of(source)
                order = tuple(range(len(shape)))
                if len(shape) == 4 or (len(shape) == 3 and self._has_sequences()):
                    order = IMAGES[len(shape)]
                value = Value("", shape, order)
                tensor = self.builder.activation(label, value.physical, "float32", None)
                self.values[label] = replace(value, tensor=tensor)
                self.inputs = (tensor,)

    def _has_sequences(self) -> bool:
        from fedtiny.compiler.frontends.torch_capture import short_name

        return any(short_name(node) in _WINDOWS for node in self.captured.nodes)

    def graph(self) -> Graph:
        """The graph, its outputs in torch's order, a map's in ours."""
        outputs = []
        for source in self.captured.outputs:
            label = self.captured.names[source]
            value = self.values[label]
            if len(value.shape) == 4:
                value = self.ordered(label, value, NCHW)
            elif value.order != NCL:
                value = self.ordered(label, value, tuple(range(len(value.shape))))
            outputs.append(value.tensor)
        return self.builder.finish(self.inputs, tuple(outputs))

    def label(self, source: fx.Node) -> str:
        """What a node and its value are called."""
        return self.captured.names[source]

    def error(self, source: fx.Node, what: str) -> UnsupportedError:
        """Make the error for an operator that is used in an unsupported way."""
        name = self.captured.names.get(source, source.name)
        known = ", ".join(sorted(name for name in self.supported if name[0] != "_"))
        return UnsupportedError(f"node {name!r}: {what}. Supported: {known}.")

    def activation(self, source: fx.Node, index: int = 0) -> Value:
        """The activation that is an operator's argument."""
        return self.activation_of(source, argument(source, index, None), f"argument {index}")

    def activation_of(self, source: fx.Node, value: Any, what: str) -> Value:
        """The activation that is somewhere among an operator's arguments."""
        name = self.captured.names.get(value)
        if name is None or name not in self.values:
            raise self.error(source, f"{what} is not an activation")
        return self.values[name]

    def image(self, source: fx.Node, index: int = 0) -> Value:
        """An activation `(N, C, H, W)` or `(N, C, L)`, in our order."""
        value = self.activation(source, index)
        if len(value.shape) not in IMAGES:
            raise self.error(source, f"its input is {value.shape}, not (N, C, H, W) or (N, C, L)")
        return self.ordered(self.label(source), value, IMAGES[len(value.shape)])

    def make(
        self,
        source: fx.Node,
        attributes: Attributes,
        inputs: Sequence[str],
        like: Value,
        shape: tuple[int, ...] | None = None,
        label: str | None = None,
    ) -> Value:
        """Append the node that makes an operator's value, or one on the way to it.

        Args:
            source: The operator.
            attributes: What it becomes.
            inputs: Names in the graph, activations first.
            like: Whose order of dimensions the value has.
            shape: The value's as torch sees it, `like.shape` when None.
            label: Its name, where it is on the way.
        """
        made = Value("", like.shape if shape is None else shape, like.order, like.flat)
        own = self.label(source) if label is None else label
        name = self.builder.activation(own, made.physical, "float32", None)
        self.builder.node(own, attributes, tuple(inputs), name)
        made = replace(made, tensor=name)
        if label is None:
            self.values[own] = made
        return made

    def parameter(self, source: fx.Node, index: int) -> tuple[str, NDArray[np.float32]] | None:
        """Name and value of the parameter or buffer that is an argument; None where it is None."""
        value = argument(source, index, None)
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
        while unique in self.builder.tensors:
            count += 1
            unique = f"{name}_{count}"
        # Adding zero copies (never an alias of the module's) and turns -0 into 0.
        array = np.ascontiguousarray(data + np.float32(0), np.float32)
        pattern = patterns.of(array) if prunable else None
        return self.builder.constant(unique, array, None, pattern)


def shape_of(source: fx.Node) -> tuple[int, ...]:
    """Torch's shape of a value, with batch 1."""
    value = source.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    return (1, *(int(n) for n in value.shape[1:]))


def argument(source: fx.Node, index: int, default: Any) -> Any:
    """A positional argument; where it is left out, its default."""
    return source.args[index] if index < len(source.args) else default


def pair(value: Any, image: Value) -> tuple[Any, Any]:
    """A number for rows and columns of an image, or one for each; 1 for columns of a sequence."""
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    numbers = numbers * 2 if len(numbers) == 1 and len(image.shape) == 4 else numbers
    return numbers[0], (*numbers, 1)[1]


def pads(value: Any, image: Value) -> tuple[int, int]:
    """The same of padding: 0 for columns of a sequence."""
    rows, columns = pair(value, image)
    return rows, columns if len(image.shape) == 4 else 0
