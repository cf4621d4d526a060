"""What the front doors share: collecting tensors and nodes under unique names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Attributes, DType, Graph, Node, Pattern, Quantization, Tensor
from fedtiny.compiler.operators import Broadcast, Concat

MAX_ELEMENTS = 1 << 28
"""No activation or constant may have more elements; far above any device this compiles for."""

_DTYPES: dict[np.dtype[Any], DType] = {
    np.dtype(np.float32): "float32",
    np.dtype(np.int8): "int8",
    np.dtype(np.int32): "int32",
}


class GraphBuilder:
    """Collects a graph in topological order.

    Args:
        name: The model's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._names: dict[str, int] = {}
        self._node_names: dict[str, int] = {}
        self._made_by: dict[str, int] = {}

    def constant(
        self,
        name: str,
        data: NDArray[Any],
        quantization: Quantization | None = None,
        pattern: Pattern | None = None,
    ) -> str:
        """Add a constant; returns the name it got, which differs only when that was taken.

        Args:
            name: The wanted name.
            data: float32, int8 or int32.
            quantization: Its real meaning.
            pattern: The kind of its logical mask.
        """
        data = np.ascontiguousarray(data)
        name = _unique(name, self._names)
        dtype = _DTYPES[data.dtype]
        self.tensors[name] = Tensor(name, data.shape, dtype, quantization, data, pattern)
        return name

    def activation(
        self, name: str, shape: tuple[int, ...], dtype: DType, quantization: Quantization | None
    ) -> str:
        """Add a run-time tensor; returns the name it got."""
        name = _unique(name, self._names)
        self.tensors[name] = Tensor(name, shape, dtype, quantization)
        return name

    def node(self, name: str, attributes: Attributes, inputs: tuple[str, ...], output: str) -> None:
        """Append a node that makes `output`."""
        name = _unique(name, self._node_names)
        self._made_by[output] = len(self.nodes)
        self.nodes.append(Node(name, attributes, inputs, (output,)))

    def concat(self, name: str, inputs: Sequence[str], output: str, attributes: Concat) -> None:
        """Append the nodes that make `output` of several tensors, two by two.

        What is made on the way is quantized as the output.
        """
        made, target = inputs[0], self.tensors[output]
        for position, part in enumerate(inputs[1:], start=1):
            if position == len(inputs) - 1:
                self.node(name, attributes, (made, part), output)
                return
            shape = list(target.shape)
            shape[attributes.axis] = sum(
                self.tensors[n].shape[attributes.axis] for n in (made, part)
            )
            step = self.activation(
                f"{output}/{position}", tuple(shape), target.dtype, target.quantization
            )
            self.node(f"{name}/{position}", attributes, (made, part), step)
            made = step

    def operands(
        self, name: str, first: str, second: str, shape: tuple[int, ...]
    ) -> tuple[str, str]:
        """The operands of an elementwise operator, repeated where kernels do not do that.

        Kernels repeat one value a channel; the first operand is an activation, and one activation
        has the output's shape.

        Args:
            name: The operator's, for the nodes that are put in front.
            first: An activation of the output's rank.
            second: An activation of the output's rank, or a constant.
            shape: The output's.
        """
        made = []
        given = [self.tensors[operand] for operand in (first, second)]
        whole = any(tensor.shape == shape and tensor.data is None for tensor in given)
        pixel = ((1,) * (len(shape) - 1) + shape[-1:],) if whole else ()
        for position, (operand, tensor) in enumerate(zip((first, second), given, strict=True)):
            if tensor.data is None and tensor.shape not in (shape, *pixel):
                pixel = ((1,) * (len(shape) - 1) + shape[-1:],)
                spread = self.activation(
                    f"{name}/operand_{position}", shape, tensor.dtype, tensor.quantization
                )
                self.node(spread, Broadcast(), (operand,), spread)
                operand = spread
            made.append(operand)
        return made[0], made[1]

    def producer(self, tensor: str) -> Node | None:
        """The node that makes a tensor; None for inputs and constants."""
        found = self._made_by.get(tensor)
        return None if found is None else self.nodes[found]

    def replace_producer(self, tensor: str, node: Node) -> None:
        """Put another node, which makes another tensor, in the place of a tensor's producer."""
        where = self._made_by.pop(tensor)
        del self.tensors[tensor]
        self.nodes[where] = node
        self._made_by[node.output] = where

    def finish(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        """Make the verified graph, without constants that nothing reads."""
        graph = Graph(self.name, self.tensors, tuple(self.nodes), inputs, outputs)
        return graph.rewrite(graph.nodes).verify()


def _unique(name: str, taken: dict[str, int]) -> str:
    """A name that is not taken; `taken` counts how often each was wanted."""
    name = name or "tensor"
    candidate = name
    while candidate in taken:
        taken[name] += 1
        candidate = f"{name}.{taken[name]}"
    taken[candidate] = 0
    return candidate
