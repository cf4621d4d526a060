"""Choose the memory layout of every activation, and convert where neighbours disagree.

Every node picks one pair of layouts (of its inputs, of its output) that some kernel runs; a tensor
that is wanted in a layout it is not made in is converted once, for all who want it. The cheapest
choice over the whole graph is a small integer program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from fedtiny.compiler import cost
from fedtiny.compiler.ir import ConvertLayout, Graph, Layout, Node, Reshape, Tensor
from fedtiny.devices.profiles import Target
from fedtiny.errors import FedTinyError
from fedtiny.runtime import table
from fedtiny.runtime.packing.layouts import relabel


@dataclass(frozen=True)
class _Choice:
    """A node under one pair of layouts, or a conversion of a tensor (`node` is None).

    Attributes:
        tensor: What is made: the node's output, or the tensor that is converted.
        wanted: Layout that the activation inputs must have.
        made: Layout of what is made.
        price: Of the cheapest kernel.
        node: The node.
    """

    tensor: str
    wanted: Layout
    made: Layout
    price: float
    node: Node | None = None


def place_layouts(graph: Graph, target: Target) -> Graph:
    """Give every activation the layout that makes the whole graph cheapest.

    Inputs and outputs of the graph keep the layout they have. Where the target's kernels know one
    layout only, or some node has no kernel at all, the graph is returned as it is.

    Args:
        graph: Verified, after every pass.
        target: What it is compiled for.
    """
    kernels = [k for k in table.kernels() if set(k.isa) <= set(target.isa)]
    layouts = {k.layout_in for k in kernels} | {k.layout_out for k in kernels}
    if len(layouts) == 1:
        return graph
    choices = [choice for node in graph.nodes for choice in _of_node(node, graph, target)]
    if {c.tensor for c in choices} != {node.output for node in graph.nodes}:
        return graph
    choices += [c for t in graph.activations() for c in _of_tensor(t, graph, target)]
    chosen = _cheapest(graph, choices)
    made = {c.tensor: c.made for c in chosen if c.node}
    if all(graph[name].layout == layout for name, layout in made.items()):
        return graph
    return _rewritten(graph, chosen, made)


def _of_node(node: Node, graph: Graph, target: Target) -> list[_Choice]:
    if isinstance(node.attributes, Reshape):  # another view of the same memory
        return [_Choice(node.output, "hwc", "hwc", 0.0, node)]
    pairs = {
        (k.layout_in, k.layout_out): None
        for k in table.kernels()
        if k.op == node.op and k.dtype == graph[node.output].dtype
    }
    activations = [name for name in node.inputs if graph[name].data is None]
    choices = []
    for wanted, made in pairs:
        under = relabel(graph, {**dict.fromkeys(activations, wanted), node.output: made})
        found = table.candidates(node, under, target.isa)
        prices = [p for p in cost.compare(found, node, under, target) if p is not None]
        if prices:
            choices.append(_Choice(node.output, wanted, made, min(prices), node))
    return choices


def _of_tensor(tensor: Tensor, graph: Graph, target: Target) -> list[_Choice]:
    """Both conversions of an activation, where kernels have them."""
    choices = []
    pairs: tuple[tuple[Layout, Layout], ...] = (("hwc", "chw"), ("chw", "hwc"))
    for wanted, made in pairs:
        small, node = _conversion(tensor, wanted, made)
        found = table.candidates(node, small, target.isa)
        prices = [p for p in cost.compare(found, node, small, target) if p is not None]
        if prices:
            choices.append(_Choice(tensor.name, wanted, made, min(prices)))
    return choices


def _conversion(tensor: Tensor, wanted: Layout, made: Layout) -> tuple[Graph, Node]:
    """A graph that only converts a tensor."""
    before = replace(tensor, layout=wanted)
    after = replace(tensor, name=f"{tensor.name}.{made}", layout=made)
    node = Node(after.name, ConvertLayout(), (before.name,), (after.name,))
    tensors = {t.name: t for t in (before, after)}
    return Graph(tensor.name, tensors, (node,), (before.name,), (after.name,)), node


def _cheapest(graph: Graph, choices: Sequence[_Choice]) -> list[_Choice]:
    """Minimize the sum of prices over 0/1 variables, one a choice.

    Raises:
        FedTinyError: There is no solution: a defect of ours.
    """
    rows: list[tuple[dict[int, float], float, float]] = []  # coefficients, least, most

    def makers(tensor: str, layout: Layout) -> dict[int, float]:
        """Choices that make a tensor in a layout, conversions included."""
        return {i: 1.0 for i, c in enumerate(choices) if c.tensor == tensor and c.made == layout}

    def given(tensor: str, layout: Layout) -> float:
        """1 where a graph input has the layout already."""
        return float(tensor in graph.inputs and graph[tensor].layout == layout)

    for node in graph.nodes:
        own = {i: 1.0 for i, c in enumerate(choices) if c.node is node}
        rows.append((own, 1.0, 1.0))
    for i, choice in enumerate(choices):
        needs = (choice.tensor,) if choice.node is None else choice.node.inputs
        for name in needs:
            if graph[name].data is not None:
                continue
            have = makers(name, choice.wanted)
            if choice.node is None:  # a conversion needs the tensor as its node made it
                have = {j: v for j, v in have.items() if choices[j].node}
            rows.append(({**have, i: have.get(i, 0.0) - 1.0}, -given(name, choice.wanted), np.inf))
    for name in graph.outputs:
        layout = graph[name].layout
        made = {i: 1.0 for i, c in enumerate(choices) if c.tensor == name and c.node}
        rows.append(({i: v for i, v in made.items() if choices[i].made == layout}, 1.0, np.inf))
    return _solved(choices, rows)


def _solved(
    choices: Sequence[_Choice], rows: Sequence[tuple[dict[int, float], float, float]]
) -> list[_Choice]:
    entries = [(r, i, v) for r, (terms, _, _) in enumerate(rows) for i, v in terms.items()]
    at, columns, values = (np.array(part) for part in zip(*entries, strict=True))
    matrix = coo_array((values, (at, columns)), shape=(len(rows), len(choices))).tocsr()
    limits = np.array([row[1:] for row in rows])
    prices = np.array([choice.price for choice in choices])
    found: Any = milp(
        prices / max(1.0, prices.max()),
        integrality=np.ones(len(choices), np.int64),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, limits[:, 0], limits[:, 1]),
    )
    if not found.success:
        raise FedTinyError(f"no assignment of layouts: {found.message}")
    return [choice for choice, value in zip(choices, found.x, strict=True) if value > 0.5]


def _rewritten(graph: Graph, chosen: Sequence[_Choice], made: dict[str, Layout]) -> Graph:
    """The graph with the chosen layouts; a conversion comes right before its first reader."""
    wanted = {c.tensor: c.wanted for c in chosen if c.node}
    converted: dict[str, str] = {}
    nodes: list[Node] = []
    tensors = [replace(graph[name], layout=layout) for name, layout in made.items()]
    for node in graph.nodes:
        inputs = []
        for name in node.inputs:
            tensor = graph[name]
            layout = made.get(name, tensor.layout)
            if tensor.data is not None or layout == wanted[node.output]:
                inputs.append(name)
                continue
            if name not in converted:
                small, conversion = _conversion(tensor, layout, wanted[node.output])
                nodes.append(conversion)
                tensors.append(small[conversion.output])
                converted[name] = conversion.output
            inputs.append(converted[name])
        nodes.append(replace(node, inputs=tuple(inputs)))
    return graph.rewrite(nodes, tensors).verify()
