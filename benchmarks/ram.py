"""What less memory costs in instructions: plans from the fastest to the smallest, per network.

    python -m benchmarks.ram [--target cortex-m4] [--network NAME]... [--fed] [--emulate]

Every point is really planned and placed. Instructions are estimated by the cost model; `--emulate`
runs each point on an emulated core too, checks its outputs against the reference and prints what it
executed and how much of the arena it touched. Shares are of what TensorFlow Lite for
Microcontrollers needs for the same network.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fedtiny.compiler import planner, reference
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.devices import profiles
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from tests import networks
from tests.graph_strategies import samples

NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "resnet8": networks.resnet8,
    "dscnn": networks.dscnn,
    "mobilenet": networks.mobilenet,
    "autoencoder": networks.autoencoder,
}

TFLM_BYTES = {"resnet8": 54_996, "dscnn": 22_820, "mobilenet": 100_708, "autoencoder": 2_580}
"""Arena of TensorFlow Lite for Microcontrollers for the same networks."""


def emulated(plan: ExecutionPlan, compiler: str | None) -> tuple[int, int]:
    """Instructions of one inference, and bytes of the arena that it used."""
    graph = plan.graph
    inputs = samples(graph, 1)
    ends = [
        tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
        for names in (graph.inputs, graph.outputs)
    ]
    with tempfile.TemporaryDirectory() as folder, UnicornRunner(plan.target, compiler) as runner:
        source = c.write(plan, Path(folder))
        runner.load(runner.build(source, Path(folder) / "build"), Signature(ends[0], ends[1]))
        result = runner.run(tuple(inputs.values()))
    expected = reference.execute(graph, inputs)
    for name, output in zip(graph.outputs, result.outputs, strict=True):
        np.testing.assert_array_equal(output, expected[name])
    assert result.instructions is not None
    assert result.arena_bytes is not None
    return result.instructions, result.arena_bytes


def main() -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--fed", action="store_true", help="rows arrive one call at a time")
    parser.add_argument("--emulate", action="store_true")
    given = parser.parse_args()
    target = profiles.target(given.target)
    if given.emulate and given.fed:
        parser.error("--emulate runs whole frames; leave --fed out")
    for name in given.network or NETWORKS:
        graph = NETWORKS[name]()
        how = "rows fed" if given.fed else "whole frame"
        print(f"\n{name}, {target.name}, {how}: bytes, share of TFLM, liveness bound, instructions")
        for point in planner.curve(graph, target, given.fed):
            share = point.plan.arena_bytes / TFLM_BYTES[name]
            line = f"  {point.plan.arena_bytes:7,} {share:6.3f} {point.plan.arena_bound_bytes:9,}"
            line += f" {point.instructions or 0:13,.0f} estimated"
            if given.emulate:
                count, used = emulated(point.plan, given.compiler)
                line += f" {count:13,} emulated, {used:,} bytes used"
            print(line, flush=True)


if __name__ == "__main__":
    main()
