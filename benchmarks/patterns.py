"""What regular patterns of nonzeros cost on a core: bytes and instructions of its kernels.

    python -m benchmarks.patterns [--target cortex-m4]

Of every layer and pattern the fastest kernel and the one with the fewest bytes of constants, with
instructions as the cost model estimates them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from fedtiny.compiler import patterns
from fedtiny.compiler.ir import Graph
from fedtiny.devices import profiles
from fedtiny.devices.profiles import Target
from fedtiny.runtime import table
from tests.kernels import single_node
from tests.kernels.single_node import Case

LAYERS = {
    "3x3 32>32 at 16": Case((16, 16, 32), 32, padding=((1, 1), (1, 1))),
    "1x1 64>64 at 25x5": Case((25, 5, 64), 64, (1, 1), padding=((0, 0), (0, 0))),
}

PATTERNS = (
    *(("2:4", None), ("block4x1", 0.5), ("unstructured", 0.5)),
    *(("1:4", None), ("block4x1", 0.25), ("unstructured", 0.25)),
    *(("block4x1", 0.1), ("block1x4", 0.1), ("unstructured", 0.1)),
)


def layer(case: Case, pattern: str, density: float | None) -> Graph:
    """A convolution whose largest weights are kept."""
    graph = single_node.conv2d(replace(case, density=1.0), "int8")
    weights = graph["weights"]
    real = weights.value.astype(np.float64)
    real += 0.01 * np.random.default_rng(0).random(real.shape)  # no ties
    kept = patterns.keep_largest(real, density or 1.0, pattern)
    data = np.where(kept, np.where(weights.value == 0, 1, weights.value), 0).astype(np.int8)
    return graph.rewrite(graph.nodes, [replace(weights, data=data, pattern=patterns.of(data))])


def kernels(graph: Graph, target: Target) -> list[tuple[float, int, str]]:
    """Instructions, bytes of constants and names of what can run a layer."""
    node, found = graph.nodes[0], []
    for kernel in table.candidates(node, graph, target.isa):
        instructions = table.instructions(kernel, node, graph, target.cost)
        if instructions is not None:
            constants = table.packing(kernel).pack(node, graph).constants
            size = sum(constant.array.nbytes for constant in constants)
            found.append((instructions, size, kernel.name))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    target = profiles.target(parser.parse_args().target)
    for title, case in LAYERS.items():
        for pattern, density in PATTERNS:
            graph = layer(case, pattern, density)
            found = kernels(graph, target)
            print(f"{title}, {pattern} {density or ''}: {np.count_nonzero(graph['weights'].value)}")
            for instructions, size, name in (min(found), min(found, key=lambda row: row[1])):
                print(f"    {name:32} {instructions:12,.0f} instructions {size:7,} bytes")


if __name__ == "__main__":
    main()
