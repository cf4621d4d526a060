"""Instructions per multiply-accumulate of every kernel, on emulated cores.

    python -m benchmarks.kernels [--target cortex-m4] [--compiler gcc|zig] [--op conv2d]

Each figure is one whole layer, counted exactly by Unicorn inside the kernel, divided by the
layer's dense multiply-accumulates (padding included). The result of every run is compared with the
numpy reference: figures of wrong kernels are never printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import planner, reference
from fedtiny.compiler.ir import DType, Graph
from fedtiny.compiler.statistics import WEIGHTED_OPS
from fedtiny.devices import profiles
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.single_node import Case

SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))

SHAPES = {
    "conv2d 3x3 16>16 at 32": Case((32, 32, 16), 16, padding=SAME),
    "conv2d 3x3 16>32 s2 at 32": Case((32, 32, 16), 32, stride=(2, 2), padding=((0, 1), (0, 1))),
    "conv2d 1x1 16>32 s2 at 32": Case((32, 32, 16), 32, (1, 1), (2, 2), NONE),
    "conv2d 3x3 32>32 at 16": Case((16, 16, 32), 32, padding=SAME),
    "conv2d 3x3 64>64 at 8": Case((8, 8, 64), 64, padding=SAME),
    "conv2d 1x1 64>64 at 25x5": Case((25, 5, 64), 64, (1, 1), padding=NONE),
    "conv2d 3x3 3>16 at 32": Case((32, 32, 3), 16, padding=SAME),
    "depthwise_conv2d 3x3 64 at 25x5": Case((25, 5, 64), padding=SAME, groups=0),
    "fully_connected 256>128": Case((1, 1, 256), 128),
    "fully_connected 64>10": Case((1, 1, 64), 10),
    "average_pool2d 8x8 64": Case((8, 8, 64), kernel=(8, 8), padding=NONE),
}
"""Op, then what the layer is; layers of ResNet-8, DS-CNN and the autoencoder."""

DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5)


def count(kernel: Kernel, graph: Graph, target: Target, compiler: str | None) -> int:
    """Instructions inside a kernel in one inference of a graph of one node.

    Args:
        kernel: A kernel that supports the node.
        graph: The graph.
        target: The emulated target.
        compiler: `"gcc"`, `"zig"` or None for whichever is there.
    """
    if is_bare(kernel, target):
        with KernelCore(target, (kernel,), compiler) as core:
            return count_on(core, kernel, graph)
    return count_in_program(kernel, [graph], target, compiler)[0]


def count_in_program(
    kernel: Kernel, graphs: Sequence[Graph], target: Target, compiler: str | None
) -> list[int]:
    """The same of several graphs, in one program that has a layer for each."""
    if "chw" in (kernel.layout_in, kernel.layout_out):
        graphs = [single_node.between_conversions(graph) for graph in graphs]
    graph = single_node.side_by_side(graphs)
    with single_node.only(kernel):
        plan = planner.plan(graph, target, "min")  # keeps the layouts that the graph has
    data = single_node.data(graph)
    ends = [
        tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
        for names in (graph.inputs, graph.outputs)
    ]
    with tempfile.TemporaryDirectory() as folder, UnicornRunner(target, compiler) as runner:
        source = c.write(plan, Path(folder))
        runner.load(runner.build(source, Path(folder) / "build"), Signature(ends[0], ends[1]))
        result = runner.run(tuple(data.values()))
    expected = reference.execute(graph, data)
    for name, output in zip(graph.outputs, result.outputs, strict=True):
        _compare(kernel, output, expected[name])
    assert result.layer_instructions is not None
    counted = zip(plan.layers, result.layer_instructions, strict=True)
    return [count for layer, count in counted if layer.kernel.name == kernel.name]


def is_bare(kernel: Kernel, target: Target) -> bool:
    """Whether a kernel can be called alone: microcontrollers, and rows of pixels."""
    return target.family == "cortex-m" and "chw" not in (kernel.layout_in, kernel.layout_out)


def count_on(core: KernelCore, kernel: Kernel, graph: Graph) -> int:
    """The same on a core that holds the kernel, and no program."""
    node, data = graph.nodes[0], single_node.data(graph)
    inputs = [data[name] for name in graph.inputs]
    run = core.run(kernel, node, graph, inputs, joined=kernel.op in WEIGHTED_OPS)
    _compare(kernel, run.output, reference.execute(graph, data)[node.output])
    return run.instructions


def _compare(kernel: Kernel, found: NDArray[Any], expected: NDArray[Any]) -> None:
    if kernel.dtype == "int8":
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found.astype(np.float64), expected, rtol=1e-4, atol=1e-4)


def figures(
    target: Target, ops: set[str], dtypes: tuple[DType, ...], compiler: str | None
) -> Iterator[tuple[str, str, float, int, int]]:
    """Shape, kernel, density, instructions and dense multiply-accumulates of every combination."""
    for title, case in SHAPES.items():
        op = title.split()[0]
        for kernel in table.kernels():
            if kernel.op != op or op not in ops or kernel.dtype not in dtypes:
                continue
            skips = "dense" not in kernel.patterns or kernel.packing == "pairs"
            for density in (*DENSITIES, 1.0) if skips else (1.0,):
                graph = single_node.BUILDERS[op](replace(case, density=density), kernel.dtype)
                node = graph.nodes[0]
                if kernel not in table.candidates(node, graph, target.isa):
                    continue
                reference_kernel = next(k for k in table.kernels() if k.op == op and k.reference)
                macs = table.packing(reference_kernel).features(node, graph)["macs"]
                yield title, kernel.name, density, count(kernel, graph, target, compiler), int(macs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--op", action="append", help="only this op; repeat for more")
    parser.add_argument("--dtype", action="append", choices=("int8", "float32"))
    given = parser.parse_args()
    ops = set(given.op or (title.split()[0] for title in SHAPES))
    print(f"{'layer':34} {'kernel':28} {'density':>7} {'instructions':>12} {'per MAC':>8}")
    for title, name, density, instructions, macs in figures(
        profiles.target(given.target), ops, tuple(given.dtype or ("int8",)), given.compiler
    ):
        print(f"{title:34} {name:28} {density:7.2f} {instructions:12,} {instructions / macs:8.3f}")


if __name__ == "__main__":
    main()
