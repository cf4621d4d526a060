"""Progressive pruning: whose mask changes when, by how much, and how.

Source: FedTiny, arXiv 2212.01977; block order and cosine schedule as in its authors' follow-up
papers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fedtiny.pruning import groups
from fedtiny.pruning.masks import largest


@dataclass(frozen=True)
class Schedule:
    """When masks change.

    Attributes:
        interval: Rounds between changes (the paper's ΔR).
        end: Round at which they have faded to none (R_stop).
        blocks: How many blocks take turns.
        pattern: Of the masks' groups.
    """

    interval: int
    end: int
    blocks: int
    pattern: str = "unstructured"

    def block(self, round_: int) -> int | None:
        """The block whose mask changes after this round, counted from 1; None for none."""
        if round_ % self.interval or round_ >= self.end:
            return None
        return (round_ // self.interval - 1) % self.blocks

    def count(self, round_: int, mask: torch.Tensor) -> int:
        """How many weights of a layer are exchanged: a_l, never more than are inactive.

        Of groups, as many as are whole.
        """
        active = int(mask.sum())
        share = 0.15 * (1 + math.cos(math.pi * round_ / self.end))
        count = min(math.floor(share * active), mask.numel() - active)
        return groups.whole(count, mask.shape, self.pattern)


def grow_and_prune(
    weight: torch.Tensor,
    mask: torch.Tensor,
    gradient: torch.Tensor,
    count: int,
    pattern: str = "unstructured",
) -> torch.Tensor:
    """Exchange `count` weights of a layer; its density stays exactly what it is.

    The inactive weights of largest gradient are grown; the active ones of smallest magnitude are
    pruned, among those that were active before growing (a grown weight starts at zero).

    Args:
        weight: The averaged weights.
        mask: True is active.
        gradient: Averaged over clients; zero where no client sent one.
        count: At most the number of active and of inactive weights.
        pattern: Of groups, which are exchanged by the sums of their members' magnitudes.

    Returns:
        The new mask.
    """
    grown = largest(gradient.abs().masked_fill(mask, -1.0), count, pattern)
    pruned = largest((-weight.abs()).masked_fill(~mask, -torch.inf), count, pattern)
    return (mask & ~pruned) | grown
