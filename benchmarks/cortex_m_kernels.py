"""Instructions of Cortex-M convolution kernels by layer shape and density, and their cost models.

    python -m benchmarks.cortex_m_kernels                  the table
    python -m benchmarks.cortex_m_kernels --fit KERNEL     coefficients for runtime/kernels.toml

Every run is one whole layer on an emulated core, counted from the kernel's entry to its return, and
compared with the numpy reference before its figure is printed. `dense` is the kernel named there;
`ratio` is to TFLM's CMSIS-NN kernel on the same shape, where its instructions per multiply-
accumulate are known (CMSIS-NN 99f736a, gcc 12.2, -O2 or -O3, whichever executes fewer).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from benchmarks import fit_costs
from benchmarks.kernels import count_on
from fedtiny.compiler.ir import Graph
from fedtiny.devices import profiles
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.single_node import Case

SAME = ((1, 1), (1, 1))
HALF = ((0, 1), (0, 1))
NONE = ((0, 0), (0, 0))
DENSITIES = (0.05, 0.1, 0.2, 1.0)
FIT_CASES = 150
CHECK_CASES = 50


@dataclass(frozen=True)
class Shape:
    """A layer, and what CMSIS-NN executes on it per dense multiply-accumulate, where known."""

    name: str
    case: Case
    cmsis: float | None = None


SHAPES = (
    Shape("3x3 16>16 at 32x32", Case((32, 32, 16), 16, padding=SAME), 2.33),
    Shape("3x3 16>32 s2", Case((32, 32, 16), 32, stride=(2, 2), padding=HALF), 2.14),
    Shape("1x1 16>32 s2", Case((32, 32, 16), 32, (1, 1), (2, 2), NONE), 4.29),
    Shape("3x3 32>32 at 16x16", Case((16, 16, 32), 32, padding=SAME), 1.93),
    Shape("3x3 64>64 at 8x8", Case((8, 8, 64), 64, padding=SAME), 1.76),
    Shape("1x1 64>64 at 25x5", Case((25, 5, 64), 64, (1, 1), padding=NONE), 2.09),
    Shape("1x1 128>128 at 6x6", Case((6, 6, 128), 128, (1, 1), padding=NONE), 1.83),
    Shape("1x1 256>256 at 3x3", Case((3, 3, 256), 256, (1, 1), padding=NONE), 1.97),
    Shape("3x3 3>16 at 32x32", Case((32, 32, 3), 16, padding=SAME)),
    Shape("1x1 8>16 at 48x48", Case((48, 48, 8), 16, (1, 1), padding=NONE)),
    Shape("dw 3x3 64 at 25x5", Case((25, 5, 64), padding=SAME, groups=0)),
    Shape("dw 3x3 8 at 48x48", Case((48, 48, 8), padding=SAME, groups=0)),
    Shape("dw 3x3 128 at 6x6", Case((6, 6, 128), padding=SAME, groups=0)),
)


def graph_of(case: Case) -> Graph:
    """The layer with a fused ReLU, quantized as converters do."""
    return single_node.conv2d(replace(case, activation="relu", zero_points=(-128, -128)), "int8")


def macs_of(case: Case) -> int:
    """Dense multiply-accumulates, padding included."""
    h, w = case.output()
    taps = case.kernel[0] * case.kernel[1] * case.size[2]
    return h * w * taps * (case.outputs if case.groups else 1)


def candidates(graph: Graph, isa: tuple[str, ...], kernels: list[Kernel]) -> list[Kernel]:
    """The kernels that can run the graph's node."""
    found = table.candidates(graph.nodes[0], graph, isa)
    return [kernel for kernel in kernels if kernel in found]


def print_table(core: KernelCore, kernels: list[Kernel], isa: tuple[str, ...]) -> None:
    """Instructions per dense multiply-accumulate, and the ratio to CMSIS-NN."""
    names = " ".join(f"{f'd={density:g}':>14}" for density in DENSITIES)
    print(f"{'layer':20} {'kernel':34} {names}   instructions per dense MAC (ratio to CMSIS-NN)")
    for shape in SHAPES:
        graphs = [graph_of(replace(shape.case, density=density)) for density in DENSITIES]
        able = [candidates(graph, isa, kernels) for graph in graphs]
        for kernel in able[0]:
            cells = []
            for graph, found in zip(graphs, able, strict=True):
                counted = count_on(core, kernel, graph) if kernel in found else 0
                per_mac = counted / macs_of(shape.case)
                ratio = f" ({per_mac / shape.cmsis:.3f})" if shape.cmsis else ""
                cells.append(f"{f'{per_mac:.3f}{ratio}' if per_mac else '-':>14}")
            print(f"{shape.name:20} {kernel.name:34} {' '.join(cells)}", flush=True)


def random_cases(depthwise: bool, count: int, seed: int, most: int) -> Iterator[Case]:
    """Layers of the kinds that networks have, none of them one of `SHAPES`."""
    rng = np.random.default_rng(seed)
    while count > 0:
        taps = int(rng.choice([1, 3, 3, 5]))
        pad = ((taps // 2, taps // 2),) * 2
        channels = int(rng.choice([1, 3, 8, 12, 16, 24, 32, 48, 64, 96]))
        case = Case(
            (
                int(rng.integers(4, 9)),
                int(rng.choice([3, 4, 5, 6, *rng.integers(7, 50, 8)])),
                channels,
            ),
            int(rng.choice([8, 12, 16, 24, 40, 64])),
            (taps, taps),
            (int(rng.choice([1, 1, 2])),) * 2,
            pad,
            groups=0 if depthwise else 1,
            density=float(rng.choice([0.02, 0.05, 0.1, 0.2, 0.5, 1.0])),
            activation=str(rng.choice(["none", "relu"])),  # type: ignore[arg-type]
            zero_points=(int(rng.integers(-128, 128)), int(rng.choice([-128, -128, -128, 7]))),
            gain=float(rng.choice([1.0, 1.0, 1.0, 300.0])),
            seed=int(rng.integers(1 << 30)),
        )
        if min(case.output()) >= 1 and macs_of(case) * case.density < most:
            count -= 1
            yield case


def with_smaller_weights(graph: Graph, divisor: int) -> Graph:
    """Weights of networks are small next to their largest; how small decides the groups of some."""
    weights = graph[graph.nodes[0].inputs[1]]
    smaller = np.trunc(weights.value.astype(np.int64) / divisor).astype(np.int8)
    return graph.rewrite(graph.nodes, [replace(weights, data=smaller)])


def fit(core: KernelCore, kernel: Kernel, most: int) -> tuple[dict[str, float], str]:
    """Coefficients by non-negative least squares of relative errors, and errors on other layers."""
    rows, totals = [], []
    depthwise = kernel.op == "depthwise_conv2d"
    cases = list(random_cases(depthwise, FIT_CASES + CHECK_CASES, 1, most))
    for index, case in enumerate(cases):
        graph = with_smaller_weights(single_node.conv2d(case, "int8"), 1 + index % 5)
        if not table.packing(kernel).supports(graph.nodes[0], graph):
            continue
        rows.append(table.packing(kernel).features(graph.nodes[0], graph))
        totals.append(count_on(core, kernel, graph))
    fitted = len(rows) * FIT_CASES // (FIT_CASES + CHECK_CASES)
    names = [name for name in rows[0] if any(row[name] for row in rows[:fitted])]
    matrix = np.array([[row[name] for name in names] for row in rows]) / np.array(totals)[:, None]
    coefficients, _ = nnls(matrix[:fitted], np.ones(fitted))
    errors = np.abs(matrix[fitted:] @ coefficients - 1)
    found = {n: float(f"{c:.4g}") for n, c in zip(names, coefficients, strict=True) if c > 0}
    return found, f"median error {np.median(errors):.1%}, at most {errors.max():.1%}".replace(
        "%", " %"
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--fit", metavar="KERNEL", help="fit kernels whose name contains this")
    parser.add_argument("--macs", type=int, default=800_000, help="most of a fitted layer")
    parser.add_argument("--write", action="store_true", help="into runtime/kernels.toml")
    parser.add_argument("--only", default="", help="kernels whose name contains this")
    arguments = parser.parse_args()
    target = profiles.targets()[arguments.target]
    kernels = [
        kernel
        for kernel in table.kernels()
        if kernel.op in ("conv2d", "depthwise_conv2d")
        and kernel.dtype == "int8"
        and set(kernel.isa) <= set(target.isa)
        and (arguments.only or arguments.fit or "") in kernel.name
    ]
    with KernelCore(target, kernels, arguments.compiler) as core:
        if arguments.fit:
            for kernel in (k for k in kernels if arguments.fit in k.name):
                found, error = fit(core, kernel, arguments.macs)
                terms = ", ".join(f"{name} = {value:g}" for name, value in found.items())
                print(f"{kernel.name}: {error}\n  {terms}", flush=True)
                if arguments.write:
                    fit_costs.write(kernel, target.cost, found, error)
        else:
            print_table(core, [k for k in kernels if not k.reference], target.isa)


if __name__ == "__main__":
    main()
