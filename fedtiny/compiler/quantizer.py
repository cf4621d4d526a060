"""From a lowered float graph and samples to the int8 graph that loses least.

What helps depends on the model: cross-layer equalization and bias correction are tried on the
calibration samples, and each is kept where it brings the int8 outputs nearer to the float ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.calibration import (
    DEFAULT_METHOD,
    Histograms,
    check_finite,
    choose_ranges,
)
from fedtiny.compiler.histogram import Histogram
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import apply, quantize
from fedtiny.compiler.passes.correct_bias import correct_bias_pass
from fedtiny.compiler.passes.equalize_channels import equalize_channels_pass
from fedtiny.compiler.passes.silence_dead_channels import silence_dead_channels_pass
from fedtiny.compiler.quantization import dequantize_values, quantization_of, quantize_values
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError

CLEARLY = 2.0
"""Each of the two must bring the error on the samples below its inverse, to be kept."""


@dataclass(frozen=True)
class Options:
    """How to quantize.

    Attributes:
        method: Name of a file of `calibration_methods/`.
        equalize: Whether to equalize channels; None where that brings outputs nearer.
        correct: Whether to correct biases; None where that brings outputs nearer.
    """

    method: str = DEFAULT_METHOD
    equalize: bool | None = None
    correct: bool | None = None


@dataclass(frozen=True)
class Quantized:
    """An int8 graph and how it came to be.

    Attributes:
        graph: int8.
        equalized: Whether channels were equalized.
        corrected: Whether biases were corrected.
        error: Mean squared difference of its outputs from the float graph's over their variance.
    """

    graph: Graph
    equalized: bool
    corrected: bool
    error: float


def quantize_with_data(
    graph: Graph, x: NDArray[Any], options: Options, histograms: Histograms | None = None
) -> Quantized:
    """Quantize a lowered graph.

    Args:
        graph: Float32, with one input.
        x: Samples `(N, H, W, C)`, float32.
        options: How.
        histograms: What ranges are chosen from, by tensor; None is what the samples show.

    Raises:
        UsageError: There is no sample, it has the wrong shape, or an activation is not finite; the
            method is unknown.
        UnsupportedError: As `quantize`.
    """
    if len(x) == 0:
        raise UsageError("calibration needs at least one sample.")
    whole = apply(graph, [silence_dead_channels_pass()])
    values = _values(whole, x)
    shown = check_finite({name: Histogram.of(value) for name, value in values.items()})
    chosen = choose_ranges(histograms or shown, options.method)
    expected = np.concatenate([values[name].ravel() for name in graph.outputs])
    made: list[Quantized] = []
    for equalize in _tried(options.equalize):
        real, ranges = whole, chosen
        if equalize:
            real = apply(whole, [equalize_channels_pass(_greatest(values))])
            values = _values(real, x)
            now = {name: Histogram.of(value) for name, value in values.items()}
            ranges = {name: _followed(chosen[name], shown[name], now[name]) for name in now}
        plain = quantize(real, ranges)
        inputs = quantize_values(x, quantization_of(plain, plain.inputs[0]))
        for correct in _tried(options.correct):
            final = apply(plain, [correct_bias_pass(real, values, inputs)]) if correct else plain
            error = _error(final, inputs, expected)
            made.append(Quantized(final, equalize, correct, error))
    # What is simpler stays, unless another's error is far smaller: a few samples decide.
    return min(made, key=lambda item: item.error * CLEARLY ** (item.equalized + item.corrected))


def _greatest(values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n: np.abs(v).reshape(-1, v.shape[-1]).max(axis=0) for n, v in values.items()}


def _followed(
    chosen: tuple[float, float], before: Histogram, after: Histogram
) -> tuple[float, float]:
    """A range after its tensor's channels were scaled, as its bounds on the samples moved."""
    low = chosen[0] * after.low / before.low if before.low else chosen[0]
    high = chosen[1] * after.high / before.high if before.high else chosen[1]
    return (low, high) if low <= high else (after.low, after.high)


def _values(graph: Graph, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return execute(graph, {graph.inputs[0]: np.asarray(x, np.float32)}, keep_all=True)


def _tried(option: bool | None) -> tuple[bool, ...]:
    return (False, True) if option is None else (option,)


def _error(graph: Graph, inputs: NDArray[np.int8], expected: NDArray[np.floating]) -> float:
    outputs = execute(graph, {graph.inputs[0]: inputs})
    found = np.concatenate(
        [dequantize_values(outputs[n], quantization_of(graph, n)).ravel() for n in graph.outputs]
    )
    power = float(np.var(expected.astype(np.float64))) or 1.0
    return float(np.mean((found.astype(np.float64) - expected) ** 2)) / power
