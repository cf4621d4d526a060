"""Fits the cost coefficients of kernels to instruction counts on an emulated core.

    python -m benchmarks.fit_costs cortex-m4 [--compiler gcc|zig] [--kernel NAME]... [--write]

Random layers are fitted (non-negative least squares of relative errors), others of another seed are
only predicted; the error printed is theirs. `--write` puts the coefficients into the
rows of runtime/kernels.toml.

For a target that runs on this machine (x86-64) the counts are times, in quarters of a nanosecond,
about an instruction: the least of many runs in libfedtiny, on layers of more channels. They rank
kernels; the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import nnls

from benchmarks.kernels import count_in_program, count_on, is_bare
from fedtiny import library
from fedtiny.compiler import planner, statistics
from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.plan import row_bytes, row_count
from fedtiny.devices import profiles
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.devices.profiles import Target
from fedtiny.exporters import packed
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.single_node import Case

LAYERS, UNSEEN_LAYERS = 96, 32
RUNS = 40
"""Of a layer that is timed."""
MOST_PIXELS = 1 << 17
"""Of all channels of input and output of such a layer."""
PROGRAM_BYTES = 40_000
"""Of activations of layers that are counted in one program, where kernels are not called alone."""

SIZE_WEIGHT = 0.15
"""A layer's weight in a fit is its instructions to this power."""

MOST_TRIES = 1000
MOST_PLAIN_MACS = 400_000
"""Of layers that plain loops are counted on."""

FINER = {"nonzero_macs": {"tile_entries", "vector_macs"}, "macs": {"inner_taps", "tile_taps"}}
"""Features that are left out where others say the same more exactly."""

USUAL_PARTS = frozenset(
    {
        *(f"pairs{n}_{kind}" for n in (3, 4) for kind in ("narrow", "wide", "relu", "signed")),
        *(f"gather_{kind}" for kind in ("narrow_relu", "narrow", "wide_relu", "wide")),
        "pairs_clamp",
    }
)
"""Of shared code, what most programs have; parts that a program has not cost it nothing."""

SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))


UNSEEN = " unseen"
"""Added to the seed of layers that no coefficient was fitted to."""


def layers(kernel: Kernel, most: int = LAYERS, salt: str = "", large: bool = False) -> list[Case]:
    """Random layers of realistic proportions that the kernel supports.

    Args:
        kernel: One of the table.
        most: How many.
        salt: `UNSEEN` for others than those that are fitted.
        large: Of sizes that fast processors need some time for.
    """
    rng = random.Random(kernel.name + salt)
    found: list[Case] = []
    for seed in range(MOST_TRIES):
        side = rng.choice([4, 6, 8, 12, 16, 24, 32] if large else [3, 5, 6, 8, 10, 13, 16, 25])
        channels = rng.choice([3, 4, 8, 10, 16, 24, 32, 48, 64, 128, *[128, 256, 384, 512] * large])
        size = rng.choice([1, 3, 3, 3])
        stride = rng.choice([1, 1, 2])
        case = Case(
            size=(rng.choice([4, 6, 9, 12]), side, channels),
            outputs=rng.choice([4, 10, 16, 24, 32, 48, 64, *[128, 256, 384, 512] * large]),
            kernel=(size, size),
            stride=(stride, stride),
            padding=SAME if size == 3 else NONE,
            groups=0 if kernel.op == "depthwise_conv2d" else 1,
            density=rng.choice([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0]),
            activation=rng.choice(["none", "relu"]),
            # Scales that need the general forms of kernels, which no trained layer has.
            gain=rng.choice([*[1.0] * 7, 1.0 if salt else 300.0]),
            seed=seed,
        )
        if kernel.op == "fully_connected":
            scales: Literal["one", "outputs"] = (
                "outputs" if kernel.packing == "fully_connected_channels" else "one"
            )
            width = rng.choice([16, 64, 100, 256, 640])
            case = replace(case, size=(1, 1, width), scales=scales)
        elif kernel.packing.endswith(("global_average_pool2d", "global_max_pool2d")):
            case = replace(case, kernel=case.size[:2], stride=(1, 1), padding=NONE)
        elif kernel.op in ("average_pool2d", "max_pool2d"):
            case = replace(case, kernel=(2, 2), padding=NONE)
        elif kernel.op == "transpose_conv2d":
            size = rng.choice([2, 3, 4, 5])
            case = replace(case, kernel=(size, size), stride=(2, 2), padding=SAME)
        elif kernel.op.startswith("resize"):
            case = replace(case, kernel=(rng.choice([2, 3]), 2), stride=(1, 1), padding=NONE)
        elif kernel.op == "pad":
            case = replace(case, padding=SAME, groups=rng.choice([1, 1, 2]), stride=(1, 1))
        if "chw" in (kernel.layout_in, kernel.layout_out):  # whole tensors, not rows
            case = replace(case, size=(case.size[1], *case.size[1:]))
            case = replace(case, kernel=case.size[:2]) if kernel.op == "average_pool2d" else case
        if large and side * side * (channels + case.outputs) > MOST_PIXELS:
            continue
        if is_countable(kernel, *single(kernel, case)):
            found.append(case)
        if len(found) == most:
            break
    return found


def is_countable(kernel: Kernel, node: Node, graph: Graph) -> bool:
    """Whether the kernel takes the node, its weights as they are, and can be counted in seconds."""
    if kernel.reference and statistics.macs(node, graph) > MOST_PLAIN_MACS:
        return False
    kinds = {t.pattern.kind for t in map(graph.__getitem__, node.inputs) if t.pattern}
    return kinds <= set(kernel.patterns) and table.packing(kernel).supports(node, graph)


def single(kernel: Kernel, case: Case) -> tuple[Node, Graph]:
    graph = single_node.BUILDERS[kernel.op](case, kernel.dtype)  # type: ignore[arg-type]
    graph = single_node.in_layouts(graph, kernel)
    return graph.nodes[0], graph


def counts(
    kernel: Kernel, target: Target, compiler: str | None, cases: Sequence[Case]
) -> list[float]:
    """Instructions of layers on an emulated core, in programs that hold usual parts.

    On this machine, times.
    """
    graphs = [single(kernel, case)[1] for case in cases]
    if target.runner == "host":
        return [time(kernel, graph, target) for graph in graphs]
    if not is_bare(kernel, target):
        return [
            instructions
            for some in programs(graphs)
            for instructions in count_in_program(kernel, some, target, compiler)
        ]
    used = [frozenset(table.packing(kernel).pack(g.nodes[0], g).parts or ()) for g in graphs]
    usual = frozenset().union(*used) & USUAL_PARTS
    found = dict[int, float]()
    for parts in {parts | usual for parts in used}:
        with KernelCore(target, (kernel,), compiler, parts) as core:
            for index, graph in enumerate(graphs):
                if used[index] | usual == parts:
                    found[index] = count_on(core, kernel, graph)
    return [found[index] for index in range(len(graphs))]


def programs(graphs: Sequence[Graph]) -> list[list[Graph]]:
    """Graphs in turn, some in one program."""
    found: list[list[Graph]] = []
    filled = PROGRAM_BYTES
    for graph in graphs:
        size = sum(row_count(t) * row_bytes(t) for t in graph.activations())
        if filled + size > PROGRAM_BYTES:
            found.append([])
            filled = 0
        found[-1].append(graph)
        filled += size
    return found


def solve(kernel: Kernel, cases: Sequence[Case], counted: Sequence[float]) -> dict[str, float]:
    """Coefficients with the least squares of relative errors, none of them negative.

    Large layers count a little more: small ones say less of what is in inner loops.
    """
    rows = [table.packing(kernel).features(*single(kernel, case)) for case in cases]
    names = [n for n in rows[0] if not set(rows[0]) & FINER.get(n, set())]
    matrix = np.array([[row[name] for name in names] for row in rows], np.float64)
    instructions = np.array(counted, np.float64)
    weight = instructions**SIZE_WEIGHT
    solution, _ = nnls(matrix * (weight / instructions)[:, None], weight)
    return {n: float(f"{c:.4g}") for n, c in zip(names, solution, strict=True) if c > 0}


def errors(
    kernel: Kernel,
    coefficients: Mapping[str, float],
    cases: Sequence[Case],
    counted: Sequence[float],
) -> list[float]:
    """Relative errors of predictions."""
    found = []
    for case, instructions in zip(cases, counted, strict=True):
        features = table.packing(kernel).features(*single(kernel, case))
        predicted = sum(factor * features[name] for name, factor in coefficients.items())
        found.append(predicted / instructions - 1)
    return found


def fit(kernel: Kernel, target: Target, compiler: str | None) -> tuple[dict[str, float], float]:
    """Coefficients of a kernel, and the worst relative error on layers that were not fitted."""
    large = target.runner == "host"
    seen = layers(kernel, large=large)
    unseen = layers(kernel, UNSEEN_LAYERS, UNSEEN, large)
    counted = counts(kernel, target, compiler, (*seen, *unseen))
    coefficients = solve(kernel, seen, counted[: len(seen)])
    found = errors(kernel, coefficients, unseen, counted[len(seen) :])
    return coefficients, max(map(abs, found))


def time(kernel: Kernel, graph: Graph, target: Target) -> float:
    """Time of a graph's one node on this machine, in quarters of a nanosecond."""
    if "chw" in (kernel.layout_in, kernel.layout_out):
        graph = single_node.between_conversions(graph)
    with single_node.only(kernel), tempfile.TemporaryDirectory() as folder:
        plan = planner.plan(graph, target, "min")  # keeps the layouts that the graph has
        path = Path(folder) / "model"
        packed.write(plan, path)
        network = library.Network(path)
        data = list(single_node.data(graph).values())
        (name,) = (x.name for x in plan.layers if x.kernel.name == kernel.name)
        return 4.0 * min(network.timed(data)[name] for _ in range(RUNS))


def write(kernel: Kernel, name: str, coefficients: dict[str, float], error: str) -> None:
    """Replace one set of coefficients in the kernel's row."""
    path = Path(str(resources.files("fedtiny.runtime"))) / "kernels.toml"
    text = path.read_text("utf-8")
    start = text.index(f'[[kernel]]\nname = "{kernel.name}"\n')
    end = text.index("\n\n", start)
    row = re.sub(rf"\ncost\.{re.escape(name)} = .*", "", text[start:end])
    terms = ", ".join(f"{feature} = {value}" for feature, value in coefficients.items())
    row += f"\ncost.{name} = {{ {terms} }} # {error}"
    path.write_text(text[:start] + row + text[end:], "utf-8")


def main() -> None:
    """Fit, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    target = profiles.target(given.target)
    for kernel in table.kernels():
        if given.kernel and kernel.name not in given.kernel:
            continue
        if not set(kernel.isa) <= set(target.isa):
            continue
        coefficients, error = fit(kernel, target, given.compiler)
        terms = ", ".join(f"{n} = {value:g}" for n, value in coefficients.items())
        print(f"{kernel.name:32} worst error {100 * error:5.1f} %   {terms}", flush=True)
        if given.write:
            write(kernel, target.cost, coefficients, f"within {math.ceil(100 * error)} %")


if __name__ == "__main__":
    main()
