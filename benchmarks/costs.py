"""Predicted and emulated instructions of every layer of whole networks.

    python -m benchmarks.costs [--target cortex-m4] [--compiler gcc|zig] [--ram MODE]
        [--density D]... [--network NAME]... [--layers [--kernel NAME]...]

Every layer is counted exactly by Unicorn inside its kernel (by QEMU for Cortex-M55, with a dozen
instructions more a step); what the program executes outside of kernels is the executor's.
Predictions come from the coefficients in runtime/kernels.toml, which were fitted to other layers
(`benchmarks.fit_costs`). Outputs are compared with the reference. `--layers` prints instead, of
every kernel, the worst and the mean error on random layers that were not fitted.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import fit_costs
from fedtiny.compiler import cost, planner, reference
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.devices import profiles
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner import Signature, TensorType, make_runner
from fedtiny.exporters import c
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests import networks
from tests.graph_strategies import samples

NETWORKS: Mapping[str, Callable[[float], Graph]] = {
    "resnet8": lambda density: networks.resnet8(density=density),
    "dscnn": lambda density: networks.dscnn(density=density),
    "mobilenet": lambda density: networks.mobilenet(),
    "autoencoder": lambda density: networks.autoencoder(),
}
"""By name; those of the last two are dense at any density."""

LAYER_TOLERANCE, NETWORK_TOLERANCE = 0.03, 0.02
"""Relative errors that predictions should keep, of a layer and of a network."""

DENSITIES = {"resnet8": (1.0, 0.1), "dscnn": (1.0, 0.1)}


@dataclass(frozen=True)
class Row:
    """Instructions of a layer, or of the executor.

    Attributes:
        name: The layer's.
        kernel: The kernel's.
        predicted: By the cost model.
        counted: On the emulated core.
    """

    name: str
    kernel: str
    predicted: float
    counted: int

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.counted - 1


def compare(plan: ExecutionPlan, target: Target, compiler: str | None) -> list[Row]:
    """Every layer of a plan, then the executor."""
    graph = plan.graph
    inputs = samples(graph, 1)
    ends = [
        tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
        for names in (graph.inputs, graph.outputs)
    ]
    spec = f"{target.runner}:{compiler}" if compiler else target.runner
    with tempfile.TemporaryDirectory() as folder, make_runner(spec, target) as runner:
        source = c.write(plan, Path(folder))
        runner.load(runner.build(source, Path(folder) / "build"), Signature(ends[0], ends[1]))
        result = runner.run(tuple(inputs.values()))
    expected = reference.execute(graph, inputs)
    for name, output in zip(graph.outputs, result.outputs, strict=True):
        np.testing.assert_array_equal(output, expected[name])
    assert result.layer_instructions is not None
    assert result.instructions is not None
    rows = [
        Row(layer.name, layer.kernel.name, layer.instructions or 0.0, count)
        for layer, count in zip(plan.layers, result.layer_instructions, strict=True)
    ]
    rest = result.instructions - sum(result.layer_instructions)
    return [*rows, Row("(executor)", "", cost.executor(plan), rest)]


def unseen(kernel: Kernel, target: Target, compiler: str | None, count: int) -> list[float]:
    """Relative errors of predictions for random layers that no coefficient was fitted to."""
    cases = fit_costs.layers(kernel, count, fit_costs.UNSEEN)
    counted = fit_costs.counts(kernel, target, compiler, cases)
    return fit_costs.errors(kernel, kernel.cost[target.cost], cases, counted)


def _print_layers(target: Target, compiler: str | None, names: Sequence[str] | None) -> None:
    for kernel in table.kernels():
        fits = set(kernel.isa) <= set(target.isa) and target.cost in kernel.cost
        if not fits or (names and kernel.name not in names):
            continue
        found = [abs(e) for e in unseen(kernel, target, compiler, fit_costs.UNSEEN_LAYERS)]
        worst, mean = max(found), sum(found) / len(found)
        mark = " *" if worst > LAYER_TOLERANCE else ""
        print(f"{kernel.name:36} {100 * worst:5.1f} % {100 * mean:5.1f} %{mark}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="cortex-m4")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--ram", default="balanced", choices=planner.RAM_MODES)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--density", action="append", type=float)
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--kernel", action="append")
    given = parser.parse_args()
    target = profiles.target(given.target)
    if given.layers:
        _print_layers(target, given.compiler, given.kernel)
        return
    for name in given.network or NETWORKS:
        for density in given.density or DENSITIES.get(name, (1.0,)):
            plan = planner.plan(NETWORKS[name](density), target, given.ram)
            rows = compare(plan, target, given.compiler)
            print(f"\n{name}, density {density}, {target.name}, --ram {given.ram}")
            for row in (*rows, _total(rows)):
                print(
                    f"  {row.name:22} {row.kernel:36} {row.predicted:12,.0f} {row.counted:12,}"
                    f" {100 * row.error:+6.1f} %",
                    flush=True,
                )


def _total(rows: list[Row]) -> Row:
    return Row("total", "", sum(r.predicted for r in rows), sum(r.counted for r in rows))


if __name__ == "__main__":
    main()
