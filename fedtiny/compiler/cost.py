"""How many instructions a kernel is expected to execute for a node."""

from __future__ import annotations

from collections.abc import Sequence

from fedtiny.compiler.ir import Graph, Node
from fedtiny.devices.profiles import Target
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel

SPARSE_FACTOR = 4.0
"""Work of one indexed multiply-accumulate in units of a dense one, where nothing was fitted.

Scalar CSR executes 7 to 14 instructions for each, dense loops 2 to 4: they break even near density
0.25 (measured on emulated Cortex-M4; see the kernel table for fitted coefficients).
"""

REFERENCE_FACTOR = 1.5
"""The same for plain reference kernels, which are written to be read."""


def predict(kernel: Kernel, node: Node, graph: Graph, target: Target) -> float | None:
    """Instructions of one inference of a node; None without coefficients for the target."""
    return table.instructions(kernel, node, graph, target.cost)


def compare(
    kernels: Sequence[Kernel], node: Node, graph: Graph, target: Target
) -> tuple[float, ...]:
    """Costs of a node's candidates in one unit, for choosing between them.

    Instructions where every candidate has coefficients; otherwise multiply-accumulates, those of
    kernels that follow an index or are references weighted by the factors above.
    """
    predicted = [predict(kernel, node, graph, target) for kernel in kernels]
    known = tuple(value for value in predicted if value is not None)
    if len(known) == len(kernels):
        return known
    return tuple(_work(kernel, node, graph) for kernel in kernels)


def _work(kernel: Kernel, node: Node, graph: Graph) -> float:
    features = table.packing(kernel).features(node, graph)
    if "nonzero_macs" in features:
        work = SPARSE_FACTOR * features["nonzero_macs"]
    else:
        work = features.get("macs", 0.0) * (REFERENCE_FACTOR if kernel.reference else 1.0)
    return work + features.get("outputs", 0.0)
