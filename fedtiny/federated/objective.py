"""What a network is trained for: to name classes, or, where it says so, to give its input back.

A network that reconstructs has an attribute `reconstructs` that is true; its output has as many
numbers as its input, `(N, C * H * W)`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def reconstructs(module: nn.Module) -> bool:
    """Whether the network gives its input back; labels then play no part in training."""
    return bool(getattr(module, "reconstructs", False))


def loss(
    module: nn.Module, outputs: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Mean over samples of what training makes small: cross-entropy, or mean squared error."""
    if reconstructs(module):
        return squared_errors(outputs, x).mean()
    return F.cross_entropy(outputs, y)


def squared_errors(outputs: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Mean squared error of each sample, `(N,)`.

    Args:
        outputs: `(N, C * H * W)`.
        x: `(N, C, H, W)`.
    """
    flat = x.contiguous(memory_format=torch.contiguous_format).flatten(1)
    return ((outputs.flatten(1) - flat) ** 2).mean(1)
