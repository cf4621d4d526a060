"""What activations were seen to be, where the data are, by the names of the graph's tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fedtiny import discovery
from fedtiny.compiler.histogram import Histogram, united
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

Ranges = dict[str, tuple[float, float]]
Histograms = dict[str, Histogram]
METHODS = "fedtiny.compiler.calibration_methods"
DEFAULT_METHOD = "minmax"
BATCH = 64


def observe(module: nn.Module, batches: Iterable[torch.Tensor]) -> Ranges:
    """Least and greatest value of every activation of a module; see `observe_histograms`."""
    return choose_ranges(observe_histograms(module, batches))


def observe_histograms(module: nn.Module, batches: Iterable[torch.Tensor]) -> Histograms:
    """Count the values of every activation of a module over some data.

    The module is captured once, from the shape of the first batch; every further batch costs one
    forward pass without gradients, and an activation is freed after its last use.

    Args:
        module: Evaluated in eval mode; its training mode is left as it was.
        batches: Samples `(N, C, H, W)`; at least one, of any N.

    Returns:
        By tensor name: the names that `from_torch` gives the same module.

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
    return check_finite(observer.histograms)


def merge(many: Iterable[Mapping[str, Histogram]]) -> Histograms:
    """Unite what several clients observed, tensor by tensor.

    Args:
        many: Each as from `observe_histograms`.
    """
    parts: dict[str, list[Histogram]] = {}
    for histograms in many:
        for name, histogram in histograms.items():
            parts.setdefault(name, []).append(histogram)
    return {name: united(found) for name, found in parts.items()}


def histograms_from_data(graph: Graph, x: NDArray[Any]) -> Histograms:
    """Count the values of every activation of a float graph over some data.

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
        parts.append({name: Histogram.of(value) for name, value in values.items()})
    return check_finite(merge(parts))


def ranges_from_data(graph: Graph, x: NDArray[Any], method: str = DEFAULT_METHOD) -> Ranges:
    """The int8 range of every activation of a float graph over some data.

    Args:
        graph: As for `histograms_from_data`.
        x: The same.
        method: Name of a file of `calibration_methods/`.

    Raises:
        UsageError: As `histograms_from_data`, or the method is unknown.
    """
    return choose_ranges(histograms_from_data(graph, x), method)


def choose_ranges(histograms: Mapping[str, Histogram], method: str = DEFAULT_METHOD) -> Ranges:
    """Choose an int8 range for every activation.

    Args:
        histograms: By tensor name.
        method: Name of a file of `calibration_methods/`.

    Raises:
        UsageError: The method is unknown.
    """
    module = discovery.load(METHODS, "calibration method", method)
    choose = cast(Callable[[Histogram], tuple[float, float]], module.choose)
    return {name: choose(histogram) for name, histogram in histograms.items()}


def check_finite(histograms: Histograms) -> Histograms:
    """Refuse activations that are not finite.

    Raises:
        UsageError: One is not.
    """
    for name, seen in histograms.items():
        if not (math.isfinite(seen.low) and math.isfinite(seen.high)):
            raise UsageError(
                f"calibration: activation {name!r} is not finite on the given data "
                f"(from {seen.low} to {seen.high})."
            )
    return histograms
