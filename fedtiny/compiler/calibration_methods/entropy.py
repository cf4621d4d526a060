"""The range whose int8 values tell most of the distribution: least Kullback-Leibler divergence.

Source: Migacz, "8-bit Inference with TensorRT", GTC 2017, here for asymmetric ranges: a threshold
clips magnitudes, and the range is what was seen within it. The bin of zero is left out, because
zero is exact in every range and activation functions put most values there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedtiny.compiler.histogram import Histogram

LEVELS = 255
THRESHOLDS = 64
LEAST = 0.25
"""Thresholds go from this share of the greatest magnitude to all of it."""


def choose(histogram: Histogram) -> tuple[float, float]:
    """The best of `THRESHOLDS` ranges; of equal ones the widest."""
    counts = histogram.counts.astype(np.float64)
    if -histogram.first in range(len(counts)):
        counts[-histogram.first] = 0
    greatest = max(-histogram.low, histogram.high)
    if counts.sum() == 0 or greatest == 0:
        return histogram.low, histogram.high
    found: list[tuple[float, tuple[float, float]]] = []
    for share in np.linspace(1.0, LEAST, THRESHOLDS):
        low = max(histogram.low, -greatest * share)
        high = min(histogram.high, greatest * share)
        found.append(
            (_divergence(histogram.edges, counts, min(low, 0.0), max(high, 0.0)), (low, high))
        )
    return min(found, key=lambda item: item[0])[1]


def _divergence(
    edges: NDArray[np.float64], counts: NDArray[np.float64], low: float, high: float
) -> float:
    """Of the clipped distribution from what int8 makes of it, both over the bins inside."""
    middles = (edges[:-1] + edges[1:]) / 2
    inside = (middles >= low) & (middles <= high)
    if not inside.any() or low == high:
        return np.inf
    real = np.bincount(
        np.clip(np.searchsorted(middles[inside], middles), 0, inside.sum() - 1), counts
    )
    level = np.round((middles[inside] - low) / (high - low) * LEVELS).astype(np.int64)
    occupied = counts[inside] > 0
    total = np.bincount(level, counts[inside], LEVELS + 1)
    bins = np.bincount(level, occupied, LEVELS + 1)
    spread = np.where(occupied, total[level] / np.maximum(bins[level], 1), 0)
    if spread.sum() == 0:
        return np.inf
    # A bin that holds clipped values alone would make the divergence infinite: give it a little.
    spread = np.where((real > 0) & (spread == 0), 1e-4 * spread.sum(), spread)
    return float(stats.entropy(real, spread))
