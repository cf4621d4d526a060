"""Masks and densities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch

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


def masked(state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]) -> State:
    """The state with inactive weights at zero."""
    return {name: value * masks[name] if name in masks else value for name, value in state.items()}


def largest(values: torch.Tensor, count: int) -> torch.Tensor:
    """Mask of the `count` largest values; of equal ones the first."""
    order = torch.sort(values.reshape(-1), descending=True, stable=True).indices
    mask = torch.zeros(values.numel(), dtype=torch.bool)
    mask[order[:count]] = True
    return mask.reshape(values.shape)


def magnitude_masks(state: Mapping[str, torch.Tensor], counts: Mapping[str, int]) -> Masks:
    """Keep the largest weights of each layer.

    Args:
        state: Holds the weights.
        counts: By parameter name, how many stay active.
    """
    return {name: largest(state[name].abs(), count) for name, count in counts.items()}
