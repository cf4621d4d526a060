"""Functions of every element: a table in int8, computed in float."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import unary
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import Function, Unary
from fedtiny.compiler.quantization import quantization_of
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry

FUNCTIONS: tuple[Function, ...] = get_args(Function)
"""Their numbers in unary_f32.c."""


def supports(node: Node, graph: Graph) -> bool:
    """Any shape; input and output of one type, which is int8 for a given table."""
    assert isinstance(node.attributes, Unary)
    dtypes = {graph[name].dtype for name in (node.inputs[0], node.output)}
    return len(dtypes) == 1 and (node.attributes.function != "table" or dtypes == {"int8"})


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite the input."""
    rows = geometry.row_count(graph[node.output].shape)
    reads, writes = Access(node.inputs[0], 1, 1), Access(node.output, 1, 1)
    return RowContract((reads,), writes, rows, overlap="same_address")


def pack(node: Node, graph: Graph) -> Packed:
    """The table, or which function it is."""
    a, output = node.attributes, graph[node.output]
    assert isinstance(a, Unary)
    elements = output.size // geometry.row_count(output.shape)
    if output.dtype == "float32":
        function = FUNCTIONS.index(a.function)
        return Packed(
            {"elements": elements, "function": function, "alpha": a.alpha, "beta": a.beta}
        )
    source, target = (quantization_of(graph, name) for name in (node.inputs[0], node.output))
    table = unary.table(a, source, target)
    comment = "int8 (256): the outputs of -128 .. 127"
    return Packed({"elements": elements}, (Constant("table", table, comment, 1),))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs, of float nodes those of each function; output rows."""
    output = graph[node.output]
    rows = geometry.row_count(output.shape)
    if output.dtype == "int8":
        return {"outputs": output.size, "rows": rows}
    assert isinstance(node.attributes, Unary)
    taken = node.attributes.function
    by_function = {f"{f}_outputs": output.size * (f == taken) for f in FUNCTIONS}
    return {**by_function, "rows": rows}
