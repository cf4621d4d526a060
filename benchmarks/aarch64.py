"""Exact instructions of whole networks on emulated AArch64, beside the best dense peer's.

    python -m benchmarks.aarch64 [--network resnet8] [--dtype float32] [--compiler gcc|zig]
        [--density D]... [--kernels] [--instructions-only]

The whole program is counted under Unicorn, from `model_invoke` to its return. Its outputs are
compared with those of the same plan in this process: float32 sums have one order on every machine,
so both are equal bit for bit. The peers' figures are instructions of one inference of the same
shapes, dense, one thread (they are flat in density), by the AArch64 wheels of LiteRT 2.3.0 and
onnxruntime 1.31.1 under qemu-aarch64; `ratio` is to the better of the two on that core. Cycles
are estimated by llvm-mca (`benchmarks.static_cycles`), where it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import static_cycles
from benchmarks.networks import NETWORKS
from fedtiny.compiler import planner
from fedtiny.compiler.ir import DType, Graph
from fedtiny.devices import profiles
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime.host_plan import run_plan
from tests.kernels import single_node
from tests.networks import Builder

DENSITIES = (0.05, 0.1, 0.2)
PEERS = {
    ("resnet8", "float32"): {"A53": 6.535e6, "A72": 4.884e6, "A76": 4.703e6},
    ("resnet8", "int8"): {"A53": 5.012e6, "A72": 4.322e6, "A55": 2.002e6, "A76": 1.5e6},
    ("resnet18", "float32"): {"A53": 195.6e6, "A72": 191.2e6, "A76": 188.4e6},
    ("resnet18", "int8"): {"A53": 175.0e6, "A72": 148.8e6, "A55": 69.8e6, "A76": 46.5e6},
    ("autoencoder", "int8"): {"A53": 139.5e3, "A72": 95.6e3, "A55": 46.3e3, "A76": 46.3e3},
}
"""By network and dtype, by core, the better peer's instructions."""

TARGETS = {"cortex-a": ("A53", "A72"), "cortex-a+dotprod": ("A55", "A76")}


@dataclass(frozen=True)
class Count:
    """What one inference executed.

    Attributes:
        instructions: All of them.
        kernels: Those of each kernel.
        arena_bytes: The plan's.
        cycles: Estimated, by core; empty without the tools.
    """

    instructions: int
    kernels: dict[str, int]
    arena_bytes: int
    cycles: dict[str, float]


def count(graph: Graph, target: Target, cores: Sequence[str], compiler: str | None) -> Count:
    """Run one inference of a graph.

    Args:
        graph: A lowered graph.
        target: What it is planned for.
        cores: Whose cycles are estimated, which takes minutes for a large network.
        compiler: `"gcc"`, `"zig"` or None for whichever is there.
    """
    plan = planner.plan(graph, target, "speed")
    inputs = tuple(single_node.data(plan.graph).values())
    ends = [
        tuple(TensorType(plan.graph[n].shape, plan.graph[n].dtype) for n in names)
        for names in (plan.graph.inputs, plan.graph.outputs)
    ]
    with tempfile.TemporaryDirectory() as folder, UnicornRunner(target, compiler) as runner:
        source = c.write(plan, Path(folder))
        build = runner.build(source, Path(folder) / "build")
        runner.load(build, Signature(ends[0], ends[1]))
        result = runner.run(inputs)
        blocks = _blocks(runner, inputs) if cores else static_cycles.Blocks()
        estimated = {core: static_cycles.estimate(build.image, blocks, core) for core in cores}
    np.testing.assert_array_equal(result.outputs[0], run_plan(plan, inputs)[0])
    assert result.instructions is not None
    assert result.layer_instructions is not None
    kernels: dict[str, int] = {}
    for layer, instructions in zip(plan.layers, result.layer_instructions, strict=True):
        kernels[layer.kernel.name] = kernels.get(layer.kernel.name, 0) + instructions
    return Count(result.instructions, kernels, plan.arena_bytes, estimated)


def _blocks(runner: UnicornRunner, inputs: tuple[Any, ...]) -> static_cycles.Blocks:
    """Another inference, whose blocks are counted."""
    found: static_cycles.Blocks = Counter()
    unicorn: Any = importlib.import_module("unicorn")
    core: Any = runner._core

    def block(_engine: object, address: int, size: int, _data: object) -> None:
        found[address, size] += 1

    hook = core.engine.hook_add(unicorn.UC_HOOK_BLOCK, block)
    core.engine.ctl_flush_tb()  # what was translated before does not know the hook
    runner.run(inputs)
    core.engine.hook_del(hook)
    return found


def autoencoder(_: DType, density: float) -> Graph:
    """The MLPerf Tiny autoencoder's shape, int8."""
    b = Builder("autoencoder", "int8")
    x = b.input(1, 640)
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = b.dense(x, width, "relu", density)
    return b.graph(b.dense(x, 640, "none", density))


def main() -> None:
    """Print the table."""
    networks = {**NETWORKS, "autoencoder": autoencoder}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", action="append", choices=tuple(networks))
    parser.add_argument("--dtype", action="append", choices=("float32", "int8"))
    parser.add_argument("--density", action="append", type=float)
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--kernels", action="store_true", help="also what each kernel executes")
    parser.add_argument("--instructions-only", action="store_true")
    given = parser.parse_args()
    cycles_too = static_cycles.available() and not given.instructions_only
    print("network, dtype, target, density, instructions, arena: ratio, estimated cycles by core")
    for name in given.network or ["resnet8", "autoencoder"]:
        dtypes: list[DType] = given.dtype or ["float32", "int8"]
        for dtype, (target, cores) in product(dtypes, TARGETS.items()):
            peers = {c: n for c, n in PEERS.get((name, dtype), {}).items() if c in cores}
            for density in (given.density or DENSITIES) if peers else ():
                graph = networks[name](dtype, density)
                estimated = cores if cycles_too else ()
                found = count(graph, profiles.target(target), estimated, given.compiler)
                ratios = [f"{c} {peer / found.instructions:.2f}" for c, peer in peers.items()]
                cycles = [f"{c} {n:,.0f}" for c, n in found.cycles.items()]
                print(
                    f"{name:11} {dtype:7} {target:16} {density:.2f} {found.instructions:12,}"
                    f" {found.arena_bytes:9,}: {', '.join(ratios)}; {', '.join(cycles)}",
                    flush=True,
                )
                for kernel, part in found.kernels.items() if given.kernels else ():
                    print(f"    {kernel:36} {part:13,}")


if __name__ == "__main__":
    main()
