"""The candidate pool: magnitude pruning at noisy layer densities of one exact total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

NOISE = 0.5
"""Layer densities are drawn from density * (1 ± NOISE); a decision of this project."""


def noisy_counts(
    sizes: Mapping[str, int], density: float, rng: np.random.Generator
) -> dict[str, int]:
    """Draw how many weights of each layer stay.

    Args:
        sizes: Weights of each prunable parameter.
        density: Of all of them together; met exactly (to the nearest whole weight).
        rng: Where the noise comes from.

    Returns:
        By parameter name, at least one and at most all of its weights.

    Source: FedTiny, arXiv 2212.01977, draws layer densities around the target and keeps those that
    meet it; rescaling instead of rejecting is a decision of this project.
    """
    limits = np.array(list(sizes.values()), dtype=np.int64)
    total = min(max(round(density * int(limits.sum())), len(limits)), int(limits.sum()))
    wanted = limits * density * (1 + rng.uniform(-NOISE, NOISE, len(limits)))
    return dict(zip(sizes, (int(n) for n in _share(wanted, limits, total)), strict=True))


def _share(
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
