"""Fits what the executor executes outside of kernels to instruction counts on an emulated core.

    python -m benchmarks.fit_executor cortex-m4 [--compiler gcc|zig] [--write]

Programs are small networks of every schedule; as in `benchmarks.fit_costs`, every fourth is only
predicted, and the error printed is theirs. `--write` puts the coefficients into
runtime/kernels.toml.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from benchmarks.costs import compare
from fedtiny.compiler import cost, planner
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.devices import profiles
from fedtiny.devices.profiles import Target
from tests import networks


def graphs() -> list[Graph]:
    """Small networks of different proportions."""
    residual = [(8, 4), (12, 4), (16, 8), (20, 4), (24, 4)]
    return [
        *(networks.resnet8(size=size, width=width, density=0.2) for size, width in residual),
        *(networks.dscnn(channels=channels) for channels in (4, 8, 16)),
        *(networks.mobilenet(size=size) for size in (32, 48)),
        networks.autoencoder(),
    ]


def features(plan: ExecutionPlan) -> Counter[str]:
    """What the executor does in one inference."""
    found = Counter(cost.program_features(len(plan.program), len(plan.layers), plan.graph))
    for layer in plan.layers:
        found.update(cost.step_features(layer.contract, plan.graph))
    return found


def fit(target: Target, compiler: str | None) -> tuple[dict[str, float], float]:
    """Coefficients, and the worst relative error on programs that were not fitted."""
    rows, counts = [], []
    for graph in graphs():
        for mode in planner.RAM_MODES:
            plan = planner.plan(graph, target, mode)
            rows.append(features(plan))
            counts.append(compare(plan, target, compiler)[-1].counted)
    names = list(rows[0])
    matrix = np.array([[row[name] for name in names] for row in rows], np.float64)
    relative = matrix / np.array(counts, np.float64)[:, None]
    fitted = np.arange(len(rows)) % 4 != 3
    solution, _ = nnls(relative[fitted], np.ones(int(fitted.sum())))
    error = float(np.abs(relative[~fitted] @ solution - 1).max())
    return {n: round(float(c), 2) for n, c in zip(names, solution, strict=True) if c > 0}, error


def main() -> None:
    """Fit, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target")
    parser.add_argument("--compiler", choices=("gcc", "zig"))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    target = profiles.target(given.target)
    coefficients, error = fit(target, given.compiler)
    terms = ", ".join(f"{name} = {value:g}" for name, value in coefficients.items())
    print(f"executor   worst error {100 * error:.1f} %   {terms}")
    if given.write:
        path = Path(str(resources.files("fedtiny.runtime"))) / "kernels.toml"
        line = f"cost.{target.cost} = {{ {terms} }} # within {math.ceil(100 * error)} %"
        pattern = rf"(?<=\[executor\]\n)((?:.*\n)*?)cost\.{re.escape(target.cost)} = .*"
        text = re.sub(pattern, lambda found: found[1] + line, path.read_text("utf-8"), count=1)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
