"""All but the outermost values are inside the range; those saturate."""

from __future__ import annotations

import numpy as np

from fedtiny.compiler.histogram import Histogram

INSIDE = 0.9999
"""Share of the values inside the range; half of the others lie on either side."""


def choose(histogram: Histogram) -> tuple[float, float]:
    """The quantiles, interpolated within their bins; never beyond what was seen."""
    below = np.concatenate([[0], np.cumsum(histogram.counts)]) / histogram.counts.sum()
    outside = (1 - INSIDE) / 2
    # Where the curve is flat, the inner of its bounds counts: those bins are empty.
    low = float(np.interp(outside, below, histogram.edges))
    high = float(-np.interp(outside, 1 - below[::-1], -histogram.edges[::-1]))
    low, high = max(low, histogram.low), min(high, histogram.high)
    return (low, high) if low <= high else (histogram.low, histogram.high)
