"""Everything that was seen is inside the range."""

from __future__ import annotations

from fedtiny.compiler.histogram import Histogram


def choose(histogram: Histogram) -> tuple[float, float]:
    """The least and the greatest value."""
    return histogram.low, histogram.high
