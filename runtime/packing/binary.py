"""Elementwise sum, difference or product: of two activations, or of one and a constant."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.operators import Mul, Sub
from fedtiny.compiler.quantization import add_parameters, mul_multiplier, zero_point_of
from fedtiny.runtime.contract import Access, Constant, Overlap, Packed, RowContract
from fedtiny.runtime.packing import geometry


def _channels(node: Node, graph: Graph) -> int:
    return graph[node.output].shape[-1]


def _is_whole(node: Node, graph: Graph, name: str) -> bool:
    return graph[name].shape == graph[node.output].shape


def _is_pixel(node: Node, graph: Graph, name: str) -> bool:
    """Whether an operand has one value a channel (a constant perhaps one value altogether)."""
    tensor, channels = graph[name], _channels(node, graph)
    sizes = (1, channels) if tensor.data is not None else (channels,)
    return tensor.size in sizes and tensor.shape[-1:] == (tensor.size,)


def supports(node: Node, graph: Graph) -> bool:
    """Operands of the output's shape, or of one value a channel; the first is an activation."""
    first, second = node.inputs
    shapes = [
        _is_whole(node, graph, name) or _is_pixel(node, graph, name) for name in (first, second)
    ]
    output = graph[node.output]
    dtypes = {graph[name].dtype for name in (*node.inputs, node.output)}
    whole = any(
        _is_whole(node, graph, name) and graph[name].data is None for name in (first, second)
    )
    ranked = 2 <= len(output.shape) <= 4 and graph[first].data is None
    return ranked and whole and all(shapes) and len(dtypes) == 1


def contract(node: Node, graph: Graph) -> RowContract:
    """One row a step, which may overwrite an input unless the step reads it more than once."""
    rows = geometry.row_count(graph[node.output].shape)
    activations = [name for name in node.inputs if graph[name].data is None]
    inputs = tuple(
        Access(name, 1, 1 if _is_whole(node, graph, name) else 0) for name in activations
    )
    whole = all(_is_whole(node, graph, name) for name in activations)
    overlap: Overlap = "same_address" if whole else "none"
    return RowContract(inputs, Access(node.output, 1, 1), rows, overlap=overlap)


def pack(node: Node, graph: Graph) -> Packed:
    """Parameters, and the constant operand, one value a channel or a whole map."""
    output = graph[node.output]
    elements = output.size // geometry.row_count(output.shape)
    whole = [_is_whole(node, graph, name) for name in node.inputs]
    block = elements if all(whole) else _channels(node, graph)
    steps = [block if is_whole else 0 for is_whole in whole]
    params: dict[str, int | float] = {
        "elements": elements,
        "block": block,
        "step_a": steps[0],
        "step_b": steps[1],
        "constant_stride": 0,
        **geometry.clamp(node, graph),
    }
    if isinstance(node.attributes, Sub):
        params["reverse"] = int(node.attributes.reverse)
    if output.dtype == "int8":
        params |= _scaling(node, graph)
    second = graph[node.inputs[1]]
    if second.data is None:
        return Packed(params)
    if not whole[1]:
        values = np.broadcast_to(second.value.reshape(-1), (block,))
    else:
        values = second.value.reshape(-1)
        params["constant_stride"] = elements * values.dtype.itemsize
    comment = f"{values.dtype} ({values.size}): the second operand"
    return Packed(params, (Constant("constant", np.ascontiguousarray(values), comment),))


def _scaling(node: Node, graph: Graph) -> dict[str, int]:
    if not isinstance(node.attributes, Mul):
        return asdict(add_parameters(node, graph))
    multiplier, shift = mul_multiplier(node, graph)
    return {
        "offset_a": -zero_point_of(graph, node.inputs[0]),
        "offset_b": -zero_point_of(graph, node.inputs[1]),
        "offset_out": zero_point_of(graph, node.output),
        "multiplier": multiplier,
        "shift": shift,
    }


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """No weights: an empty array."""
    return np.zeros(0, graph[node.output].dtype)


def features(node: Node, graph: Graph) -> dict[str, float]:
    """Outputs, those of a product whose scale shifts left; blocks; output rows."""
    output = graph[node.output]
    whole = all(_is_whole(node, graph, name) for name in node.inputs)
    rows = geometry.row_count(output.shape)
    blocks = rows if whole else output.size // _channels(node, graph)
    found: dict[str, float] = {"outputs": output.size, "blocks": blocks, "rows": rows}
    if isinstance(node.attributes, Mul) and output.dtype == "int8":
        found["left_outputs"] = output.size * (mul_multiplier(node, graph)[1] > 0)
    return found
