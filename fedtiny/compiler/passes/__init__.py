"""Graph rewritings, one file each.

A file that defines `PASS` is one of the float passes: `lower` finds it and runs it as soon as
what it requires has been ensured. Passes with parameters (`quantize`, `prune_magnitude`) are
called by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from fedtiny.compiler.ir import Graph, GraphError
from fedtiny.compiler.passes.base import FLOAT, ONE_READER, Pass, apply

__all__ = [
    "Pass",
    "apply",
    "float_passes",
    "lower",
    "narrow_channels",
    "prune_magnitude",
    "quantize",
    "round_float16",
]


@cache
def float_passes() -> tuple[Pass, ...]:
    """Every pass of this folder that defines `PASS`, each after those that ensure what it needs.

    Raises:
        GraphError: Nothing ensures what a pass requires.
    """
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    loaded = [importlib.import_module(f"{__name__}.{name}") for name in modules]
    waiting: list[Pass] = [module.PASS for module in loaded if hasattr(module, "PASS")]
    ensured = {FLOAT, ONE_READER}
    ordered: list[Pass] = []
    while waiting:
        ready = next((item for item in waiting if ensured.issuperset(item.requires)), None)
        if ready is None:
            names = ", ".join(item.name for item in waiting)
            raise GraphError(f"passes {names} require what no pass ensures")
        waiting.remove(ready)
        ordered.append(ready)
        ensured.update(ready.ensures)
    return tuple(ordered)


def lower(graph: Graph) -> Graph:
    """Run the float passes: what comes out has no batch normalization and fused activations.

    Args:
        graph: As from a front door. Of an int8 graph, which has no batch normalization and whose
            activations are fused already, those passes that ask for nothing.

    Raises:
        UnsupportedError: A node cannot be lowered; names it.
    """
    passes = float_passes()
    if any(tensor.dtype == "int8" for tensor in graph.activations()):
        passes = tuple(item for item in passes if not item.requires)
    return apply(graph, passes)


def quantize(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> Graph:
    """Quantize a lowered graph to int8.

    See `quantize_int8`; `silence_dead_channels` goes before, `correct_constants` after it.
    """
    from fedtiny.compiler.passes.correct_constants import correct_constants_pass
    from fedtiny.compiler.passes.quantize_int8 import quantize_pass
    from fedtiny.compiler.passes.silence_dead_channels import silence_dead_channels_pass

    real = apply(graph, [silence_dead_channels_pass()])
    return apply(real, [quantize_pass(ranges), correct_constants_pass(real)])


def prune_magnitude(graph: Graph, density: float, pattern: str = "unstructured") -> Graph:
    """Prune a float graph; see `prune_by_magnitude`."""
    from fedtiny.compiler.passes.prune_by_magnitude import prune_magnitude_pass

    return apply(graph, [prune_magnitude_pass(density, pattern)])


def narrow_channels(graph: Graph, multiple: int = 1) -> Graph:
    """Make a graph narrower; see `fedtiny.compiler.passes.drop_dead_channels`.

    Not named after its module: importing that would put the module in its place.
    """
    from fedtiny.compiler.passes.drop_dead_channels import drop_dead_channels_pass

    return apply(graph, [drop_dead_channels_pass(multiple)])


def round_float16(graph: Graph) -> Graph:
    """Round a lowered graph's weights; see `fedtiny.compiler.passes.round_to_float16`."""
    from fedtiny.compiler.passes.round_to_float16 import round_float16_pass

    return apply(graph, [round_float16_pass()])
