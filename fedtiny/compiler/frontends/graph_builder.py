"""What the front doors share: collecting tensors and nodes under unique names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Attributes, DType, Graph, Node, Pattern, Quantization, Tensor

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
        self._node_names: set[str] = set()

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
        name = _unique(name, self.tensors)
        dtype = _DTYPES[data.dtype]
        self.tensors[name] = Tensor(name, data.shape, dtype, quantization, data, pattern)
        return name

    def activation(
        self, name: str, shape: tuple[int, ...], dtype: DType, quantization: Quantization | None
    ) -> str:
        """Add a run-time tensor; returns the name it got."""
        name = _unique(name, self.tensors)
        self.tensors[name] = Tensor(name, shape, dtype, quantization)
        return name

    def node(self, name: str, attributes: Attributes, inputs: tuple[str, ...], output: str) -> None:
        """Append a node that makes `output`."""
        name = _unique(name, self._node_names)
        self._node_names.add(name)
        self.nodes.append(Node(name, attributes, inputs, (output,)))

    def finish(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        """Make the verified graph, without constants that nothing reads."""
        graph = Graph(self.name, self.tensors, tuple(self.nodes), inputs, outputs)
        return graph.rewrite(graph.nodes).verify()


def _unique(name: str, taken: set[str] | dict[str, Tensor]) -> str:
    name = name or "tensor"
    candidate, suffix = name, 1
    while candidate in taken:
        candidate, suffix = f"{name}.{suffix}", suffix + 1
    return candidate
