"""Whole numbers in proportion, with bounds and an exact sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def shares(
    wanted: npt.NDArray[np.float64], limits: npt.NDArray[np.int64], total: int
) -> npt.NDArray[np.int64]:
    """Whole numbers in 1..limits in proportion to `wanted` whose sum is `total`."""
    low, high = 0.0, float((limits / wanted).max()) + 1.0
    for _ in range(100):  # the sum grows with the scale, so bisection finds it
        scale = (low + high) / 2
        if np.clip(wanted * scale, 1, limits).sum() < total:
            low = scale
        else:
            high = scale
    exact = np.clip(wanted * high, 1, limits)
    counts: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(-(exact - counts), kind="stable")
    while (missing := total - int(counts.sum())) > 0:
        room = [i for i in by_remainder if counts[i] < limits[i]]
        counts[room[:missing]] += 1
    while (surplus := int(counts.sum()) - total) > 0:
        room = [i for i in by_remainder[::-1] if counts[i] > 1]
        counts[room[:surplus]] -= 1
    return counts
