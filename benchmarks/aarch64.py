"""Exact instructions of whole networks on emulated AArch64, beside the best dense peer's.

    python -m benchmarks.aarch64 [--network resnet8] [--dtype float32] [--compiler gcc|zig]

The whole program is counted under Unicorn, from `model_invoke` to its return. Its outputs are
compared with those of the same plan in this process: float32 sums have one order on every machine,
so both are equal bit for bit. The peers' figures are instructions of one inference of the same
shapes, dense, one thread (they are flat in density), by the AArch64 wheels of LiteRT 2.3.0 and
onnxruntime 1.31.1 under qemu-aarch64; `ratio` is to the better of the two on that core.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.networks import NETWORKS
from fedtiny.compiler import planner
from fedtiny.compiler.ir import DType, Graph
from fedtiny.devices import profiles
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime.host_plan import run_plan
from tests.kernels import single_node

DENSITIES = (0.05, 0.1, 0.2)
PEERS = {
    ("resnet8", "float32"): {"A53": 6.535e6, "A72": 4.884e6},
    ("resnet8", "int8"): {"A53": 5.012e6, "A72": 4.322e6},
    ("resnet18", "float32"): {"A53": 195.6e6, "A72": 191.2e6},
    ("resnet18", "int8"): {"A53": 175.0e6, "A72": 148.8e6},
}
"""By network and dtype, by core without dot products, the better peer's instructions."""


def count(graph: Graph, compiler: str | None) -> tuple[int, dict[str, int], int]:
    """Instructions of one inference, those of each kernel, and bytes of the arena."""
    target = profiles.target("cortex-a")
    plan = planner.plan(graph, target, "speed")
    inputs = tuple(single_node.data(plan.graph).values())
    ends = [
        tuple(TensorType(plan.graph[n].shape, plan.graph[n].dtype) for n in names)
        for names in (plan.graph.inputs, plan.graph.outputs)
    ]
    with tempfile.TemporaryDirectory() as folder, UnicornRunner(target, compiler) as runner:
        source = c.write(plan, Path(folder))
        runner.load(runner.build(source, Path(folder) / "build"), Signature(ends[0], ends[1]))
        result = runner.run(inputs)
    np.testing.assert_array_equal(result.outputs[0], run_plan(plan, inputs)[0])
    assert result.instructions is not None
    assert result.layer_instructions is not None
    kernels: dict[str, int] = {}
    for layer, instructions in zip(plan.layers, result.layer_instructions, strict=True):
        kernels[layer.kernel.name] = kernels.get(layer.kernel.name, 0) + instructions
    return result.instructions, kernels, plan.arena_bytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", action="append", choices=tuple(NETWORKS))
    parser.add_argument("--dtype", action="append", choices=("float32", "int8"))
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--kernels", action="store_true", help="also what each kernel executes")
    given = parser.parse_args()
    print(f"{'network':10} {'dtype':8} {'density':>7} {'instructions':>13} {'arena':>9}  ratio")
    for name in given.network or ["resnet8"]:
        dtypes: list[DType] = given.dtype or ["float32", "int8"]
        for dtype in dtypes:
            for density in DENSITIES:
                graph = NETWORKS[name](dtype, density)
                total, kernels, arena = count(graph, given.compiler)
                peers = PEERS[name, dtype].items()
                ratios = ", ".join(f"{core} {peer / total:.2f}" for core, peer in peers)
                print(f"{name:10} {dtype:8} {density:7.2f} {total:13,} {arena:9,}  {ratios}")
                for kernel, part in kernels.items() if given.kernels else ():
                    print(f"    {kernel:36} {part:13,}")


if __name__ == "__main__":
    main()
