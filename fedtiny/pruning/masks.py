"""Masks and densities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch

from fedtiny.pruning import groups
from fedtiny.pruning.shares import shares

State: TypeAlias = dict[str, torch.Tensor]
"""A module's state dict, detached."""

Masks: TypeAlias = dict[str, torch.Tensor]
"""By parameter name, bool of the parameter's shape; True is active. Absent means dense."""


def density(masks: Mapping[str, torch.Tensor]) -> float:
    """Active share of all masked weights; 1 where nothing is masked."""
    total = sum(mask.numel() for mask in masks.values())
    return sum(int(mask.sum()) for mask in masks.values()) / total if total else 1.0


def density_by_layer(masks: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Active share of each masked parameter."""
    return {name: int(mask.sum()) / mask.numel() for name, mask in masks.items()}


def equal(left: Masks | None, right: Masks | None) -> bool:
    """Whether two are the same masks of the same layers."""
    if left is right or left is None or right is None:
        return left is right
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def masked(state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]) -> State:
    """The state with inactive weights at zero."""
    return {name: value * masks[name] if name in masks else value for name, value in state.items()}


def largest(values: torch.Tensor, count: int, pattern: str = "unstructured") -> torch.Tensor:
    """Mask of the groups of largest sum; of equal ones the first.

    Args:
        values: Of the weight's shape.
        count: Weights to keep, in whole groups.
        pattern: Says what a group is, see `fedtiny.pruning.groups`.
    """
    sums = groups.members(values, pattern).sum(1)
    order = torch.sort(sums, descending=True, stable=True).indices
    mask = torch.zeros(len(sums), dtype=torch.bool)
    mask[order[: count // groups.size(values.shape, pattern)]] = True
    return groups.spread(mask, values.shape, pattern)


def magnitude_masks(
    state: Mapping[str, torch.Tensor], counts: Mapping[str, int], pattern: str = "unstructured"
) -> Masks:
    """Keep the largest weights of each layer.

    Args:
        state: Holds the weights.
        counts: By parameter name, how many stay active.
        pattern: Of groups that stay together.
    """
    return {name: largest(state[name].abs(), count, pattern) for name, count in counts.items()}


def global_masks(
    scores: Mapping[str, torch.Tensor], density: float, pattern: str = "unstructured"
) -> Masks:
    """Keep the weights of highest mean score of all layers together; a layer may end up empty.

    Args:
        scores: By parameter name.
        density: Share of all weights that stays, to the nearest whole weight that groups allow, one
            group at least.
        pattern: Of groups that stay together.
    """
    means = [groups.members(score, pattern).mean(1) for score in scores.values()]
    sizes = torch.cat(
        [
            torch.full((len(mean),), groups.size(score.shape, pattern))
            for mean, score in zip(means, scores.values(), strict=True)
        ]
    )
    order = torch.sort(torch.cat(means), descending=True, stable=True).indices
    fits = sizes[order].cumsum(0) <= max(1, round(density * int(sizes.sum())))
    fits[0] = True
    kept = torch.zeros(len(order), dtype=torch.bool)
    kept[order[fits]] = True
    parts = torch.split(kept, [len(mean) for mean in means])
    return {
        name: groups.spread(part, score.shape, pattern)
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def erk_counts(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, int]:
    """Active weights of each layer by the Erdős–Rényi-kernel rule, of one exact total.

    Densities are in proportion to (sum of dimensions) / (product of dimensions); a layer that would
    be more than dense is dense, and the others share what is left.

    Args:
        shapes: Of each weight.
        density: Of all of them together.

    Source: Evci et al., "Rigging the Lottery", arXiv 1911.11134; meeting the total exactly is a
    decision of this project.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    wanted = np.array([float(sum(shape)) for shape in shapes.values()])
    limits = np.array(list(sizes.values()), dtype=np.int64)
    total = min(max(round(density * int(limits.sum())), len(limits)), int(limits.sum()))
    return dict(zip(sizes, (int(n) for n in shares(wanted, limits, total)), strict=True))


def random_masks(
    shapes: Mapping[str, tuple[int, ...]],
    counts: Mapping[str, int],
    rng: np.random.Generator,
    pattern: str = "unstructured",
) -> Masks:
    """Keep weights drawn without replacement.

    Args:
        shapes: Of each weight.
        counts: How many of each stay.
        rng: Draws.
        pattern: Of groups that stay together.
    """
    masks = {}
    for name, shape in shapes.items():
        size = groups.size(shape, pattern)
        mask = torch.zeros(math.prod(shape) // size, dtype=torch.bool)
        mask[torch.from_numpy(rng.permutation(mask.numel())[: counts[name] // size])] = True
        masks[name] = groups.spread(mask, shape, pattern)
    return masks
