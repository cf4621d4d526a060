"""What dropping dead channels saves: constants, arena and instructions, before and after.

    python -m benchmarks.dead_channels [--target cortex-m4] [--densities 0.2,0.1,0.05,0.02]
        [--emulate] [NETWORK|FILE.tflite|RUN]...

Networks are of MLPerf Tiny's shapes with random weights and biases (int8), `resnet18` at 32 x 32 is
our own; files and runs are what they hold. All are pruned by magnitude, layer by layer, to each
density. Instructions are estimated by the cost model; `--emulate` counts them on an emulated core
too, after comparing its outputs with the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.ram import NETWORKS, emulated
from fedtiny.compiler import cost
from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.compile import compile_graph
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import lower, prune_magnitude, quantize
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import plan
from fedtiny.compiler.serialize import tables
from fedtiny.devices.profiles import target
from fedtiny.models import create
from fedtiny.source import open_source


def resnet18(density: float) -> Graph:
    """Our ResNet-18 at 32 x 32 with random weights."""
    module = create("resnet18", (3, 32, 32), 10, seed=0).eval()
    graph = prune_magnitude(lower(from_torch(module, (3, 32, 32), "resnet18")), density)
    x = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype(np.float32)
    return quantize(graph, ranges_from_data(graph, x))


def opened(path: Path, density: float) -> Graph:
    """A file, or a run with the ranges that it holds."""
    source = open_source(path)
    if any(tensor.dtype == "int8" for tensor in source.graph.activations()):
        return prune_magnitude(source.graph, density)
    return quantize(prune_magnitude(lower(source.graph), density), source.ranges)


def graphs(names: list[str]) -> Mapping[str, Callable[[float], Graph]]:
    """By name, how to make the network at a density."""

    def of(name: str) -> Callable[[float], Graph]:
        if name == "resnet18":
            return resnet18
        if name in NETWORKS:
            return lambda density: prune_magnitude(NETWORKS[name](), density)
        return lambda density: opened(Path(name), density)

    return {name: of(name) for name in names}


def figures(made: ExecutionPlan, emulate: bool) -> str:
    """Constants, arena, instructions."""
    predicted = sum(layer.instructions or 0.0 for layer in made.layers) + cost.executor(made)
    line = f"{len(tables(made).constants):10,}{made.arena_bytes:9,}{predicted:13,.0f}"
    if emulate:
        count, _ = emulated(made, None)
        line += f"{count:13,}"
    return line


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", nargs="*", default=[*NETWORKS, "resnet18"])
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--densities", default="0.2,0.1,0.05,0.02")
    parser.add_argument("--emulate", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    core = target(given.target)
    counted = ", emulated instructions" if given.emulate else ""
    print(f"{core.name}: channels, constants, arena, estimated instructions{counted}")
    for name, make in graphs(given.networks).items():
        for density in map(float, given.densities.split(",")):
            whole = make(density)
            compiled = compile_graph(whole, core)
            print(f"{name} density {density:g}")
            for how, graph, made in (
                ("whole", whole, plan(whole, core)),
                ("dropped", compiled.graph, compiled.plan),
            ):
                width = sum(tensor.shape[-1] for tensor in graph.activations())
                print(f"    {how:8}{width:7,}{figures(made, given.emulate)}", flush=True)


if __name__ == "__main__":
    main()
