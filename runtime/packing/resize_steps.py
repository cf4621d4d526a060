"""Which rows a step of a resizing kernel reads and makes."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Access, RowContract
from fedtiny.runtime.packing import geometry


@dataclass(frozen=True)
class Steps:
    """As many steps as the greatest common divisor of input and output rows.

    Attributes:
        count: Steps.
        made: Output rows of a step.
        start: First input row of step 0.
        window: Input rows of a step.
        advance: Input rows from step to step.
    """

    count: int
    made: int
    start: int
    window: int
    advance: int

    def relative(self, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Input rows `(out_h, ...)` counted from the first of their step."""
        at = np.arange(len(rows)) // self.made * self.advance + self.start
        return (rows - at.reshape(-1, *[1] * (rows.ndim - 1))).astype(np.uint16)


def steps(node: Node, graph: Graph, rows: NDArray[np.int64]) -> Steps:
    """The steps under which every output row finds its input rows, with the smallest window.

    Args:
        node: A resize.
        graph: Its graph.
        rows: Input rows `(out_h, ...)` of every output row.
    """
    size, out = (graph[name].shape[1] for name in (node.inputs[0], node.output))
    count = gcd(size, out)
    made, advance = out // count, size // count
    relative = rows.reshape(count, -1) - np.arange(count)[:, None] * advance
    start = int(relative.min())
    return Steps(count, made, start, int(relative.max()) - start + 1, advance)


def contract(node: Node, found: Steps) -> RowContract:
    """A few input rows a step."""
    reads = Access(node.inputs[0], found.window, found.advance, found.start)
    return RowContract((reads,), Access(node.output, found.made, found.made), found.count)


def params(node: Node, graph: Graph, found: Steps) -> dict[str, int | float]:
    """Fields of the parameter structs."""
    _, _, out_w, channels = graph[node.output].shape
    return {"out_w": out_w, "channels": channels, "step_rows": found.made}


def fits(node: Node, graph: Graph) -> bool:
    """Whether the shapes fit 16-bit fields."""
    shapes = [graph[name].shape for name in (node.inputs[0], node.output)]
    return geometry.is_image(node, graph) and max(max(s) for s in shapes) <= geometry.U16_MAX
