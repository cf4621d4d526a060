"""Histograms that unite exactly: bins are multiples of a power of two, aligned at zero."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 1024
"""On either side of zero, at most."""
MAX_EXPONENT = 200
"""Of float32 values it is at most 118, and at least -158."""
_FINEST = -160


@dataclass(frozen=True)
class Histogram:
    """How many values lie where.

    Attributes:
        low: Least value, exactly.
        high: Greatest value, exactly.
        exponent: Bins are `2**exponent` wide.
        first: Bin `i` holds values from `(first + i) * 2**exponent` to below the next; the last
            bin its end too.
        counts: int64, by bin; empty where only the range is known.
    """

    low: float
    high: float
    exponent: int = 0
    first: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, values: NDArray[Any]) -> Histogram:
        """Count values of any shape; at least one."""
        x = np.asarray(values, np.float64).ravel()
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            return cls(low, high)
        exponent = _exponent(max(-low, high))
        bins = np.clip(np.floor(x * 2.0**-exponent), -BINS, BINS - 1).astype(np.int64)
        first = int(bins.min())
        return cls(low, high, exponent, first, np.bincount(bins - first).astype(np.int64))

    @property
    def edges(self) -> NDArray[np.float64]:
        """The bounds of the bins, one more than there are bins."""
        steps = np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64)
        return steps * 2.0**self.exponent

    def united(self, other: Histogram) -> Histogram:
        """Of both histograms' values together; counts only where both have some."""
        # numpy's: a NaN on either side must not be hidden.
        low, high = (
            float(np.minimum(self.low, other.low)),
            float(np.maximum(self.high, other.high)),
        )
        if not (len(self.counts) and len(other.counts)):
            return Histogram(low, high)
        exponent = max(self.exponent, other.exponent)
        a, b = self._coarser(exponent), other._coarser(exponent)
        first = min(a.first, b.first)
        end = max(a.first + len(a.counts), b.first + len(b.counts))
        counts = np.zeros(end - first, np.int64)
        for part in (a, b):
            counts[part.first - first : part.first - first + len(part.counts)] += part.counts
        return Histogram(low, high, exponent, first, counts)

    def _coarser(self, exponent: int) -> Histogram:
        if exponent == self.exponent:
            return self
        shift = min(exponent - self.exponent, 62)
        bins = (self.first + np.arange(len(self.counts))) >> shift
        first = int(bins[0])
        counts = np.bincount(bins - first, self.counts).astype(np.int64)
        return Histogram(self.low, self.high, exponent, first, counts)


def united(parts: list[Histogram]) -> Histogram:
    """Of all histograms' values together; at least one."""
    return reduce(Histogram.united, parts)


def _exponent(greatest: float) -> int:
    """The least power of two of which `BINS` hold the greatest magnitude."""
    if greatest == 0:
        return _FINEST
    return math.frexp(greatest)[1] - (BINS.bit_length() - 1)
