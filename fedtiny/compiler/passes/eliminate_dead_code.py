"""Drop the nodes whose values nothing reads."""

from __future__ import annotations

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.passes.base import NO_DEAD_CODE, Pass


def eliminate_dead_code(graph: Graph) -> Graph:
    """Keep only what the outputs depend on."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return graph.rewrite(reversed(kept))


PASS = Pass("eliminate_dead_code", (), (NO_DEAD_CODE,), eliminate_dead_code)
