"""Keeps a selection within a flash budget: a knapsack, solved exactly as an integer program."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from fedtiny.compiler.selection import Selection, Selector


def within_flash(
    selector: Selector,
    selection: Selection,
    flash_bytes: Callable[[int, int], int],
    budget_bytes: int,
) -> Selection | None:
    """The fewest instructions within a budget of flash, at the selection's stages and memory.

    Layers keep touching the rows that they touch; every other kernel that stays below the
    selection's peak may replace a layer's.

    Args:
        selector: The graph's.
        selection: Within the memory budget.
        flash_bytes: Bytes of a layer's constants under one of its options.
        budget_bytes: Of all layers together.

    Returns:
        The selection, another one, or None where nothing fits.
    """
    size = cache(flash_bytes)
    if sum(size(layer, k) for layer, k in enumerate(selection.choice)) <= budget_bytes:
        return selection
    options = selector.within(selection)
    pairs = [(layer, k) for layer, found in enumerate(options) for k in found]
    costs = np.array([selector.options[layer][k].cost for layer, k in pairs], np.float64)
    sizes = np.array([size(layer, k) for layer, k in pairs], np.float64)
    owner = np.array([layer for layer, _ in pairs])
    one_each = (owner[None, :] == np.arange(len(options))[:, None]).astype(np.float64)
    solved = milp(
        costs,
        integrality=np.ones(len(pairs), np.int64),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(sizes[None, :], 0, budget_bytes),
        ],
    )
    if not solved.success:
        return None
    taken = dict(pair for pair, x in zip(pairs, solved.x, strict=True) if x > 0.5)
    return selector.measured(tuple(taken[layer] for layer in range(len(options))), selection.split)
