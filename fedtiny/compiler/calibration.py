"""Activation ranges: observed where the data are, by the names of the graph's tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

Ranges = dict[str, tuple[float, float]]
BATCH = 64


def observe(module: nn.Module, batches: Iterable[torch.Tensor]) -> Ranges:
    """Least and greatest value of every activation of a module over some data.

    The module is captured once, from the shape of the first batch; every further batch costs one
    forward pass without gradients, and an activation is freed after its last use.

    Args:
        module: Evaluated in eval mode; its training mode is left as it was.
        batches: Samples `(N, C, H, W)`; at least one, of any N.

    Returns:
        (min, max) by tensor name: the names that `from_torch` gives the same module.

    Raises:
        UsageError: There is no batch, or an activation is not finite.
        UnsupportedError: torch.export cannot capture the module.
    """
    from fedtiny.compiler.frontends.torch_observer import Observer

    observer: Observer | None = None
    for batch in batches:
        if observer is None:
            observer = Observer(module, tuple(batch.shape[1:]))
        observer.add(batch)
    if observer is None:
        raise UsageError("calibration needs at least one batch of samples.")
    return _checked(observer.ranges)


def merge(many: Iterable[Mapping[str, tuple[float, float]]]) -> Ranges:
    """Unite the ranges that several clients observed, tensor by tensor.

    Args:
        many: Each as from `observe`.
    """
    united: Ranges = {}
    for ranges in many:
        for name, (low, high) in ranges.items():
            seen = united.get(name, (low, high))
            united[name] = (min(seen[0], low), max(seen[1], high))
    return united


def ranges_from_data(graph: Graph, x: NDArray[Any]) -> Ranges:
    """Least and greatest value of every activation of a float graph over some data.

    Args:
        graph: Float32, with one input.
        x: Samples in the graph's layout, `(N, H, W, C)`; at least one.

    Raises:
        UsageError: There is no sample, it has the wrong shape, or an activation is not finite.
    """
    if len(x) == 0:
        raise UsageError("calibration needs at least one sample.")
    samples = np.asarray(x, np.float32)
    parts = []
    for start in range(0, len(samples), BATCH):
        inputs = {graph.inputs[0]: samples[start : start + BATCH]}
        values = execute(graph, inputs, keep_all=True)
        parts.append({name: (float(v.min()), float(v.max())) for name, v in values.items()})
    return _checked(merge(parts))


def _checked(ranges: Ranges) -> Ranges:
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UsageError(
                f"calibration: activation {name!r} is not finite on the given data "
                f"(from {low} to {high})."
            )
    return ranges
