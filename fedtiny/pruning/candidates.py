"""The candidate pool: magnitude pruning at noisy layer densities of one exact total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedtiny.pruning.shares import shares

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
    return dict(zip(sizes, (int(n) for n in shares(wanted, limits, total)), strict=True))
