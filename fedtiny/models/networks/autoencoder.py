"""The fully connected autoencoder of MLPerf Tiny's anomaly detection, 640 numbers by default there.

Source: Koizumi et al., "DCASE 2020 Task 2", arXiv 2006.05822; Banbury et al., "MLPerf Tiny
Benchmark", arXiv 2106.07597: four hidden layers of 128 on either side of one of 8, each normalized
and followed by a ReLU. It is trained on the mean squared error and needs no labels; where a test
set has labels, 0 is normal and everything else an anomaly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.prunable import Blocks
from fedtiny.models.width import channels

HIDDEN = (128, 128, 128, 128, 8, 128, 128, 128, 128)


class Autoencoder(nn.Module):
    """The network; `width` multiplies the hidden layers' sizes."""

    reconstructs = True

    def __init__(self, input_shape: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        size = math.prod(input_shape)
        sizes = [size, *(channels(count, width) for count in HIDDEN)]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU())
                for a, b in itertools.pairwise(sizes)
            )
        )
        self.output = nn.Linear(sizes[-1], size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to its reconstruction `(N, C * H * W)`."""
        return cast(torch.Tensor, self.output(self.layers(torch.flatten(x, 1))))

    def prunable_blocks(self) -> Blocks:
        """All hidden layers, two a block, from output to input."""
        names = [f"layers.{i}.0.weight" for i in range(len(HIDDEN))]
        return tuple(tuple(names[max(0, end - 2) : end]) for end in range(len(names), 0, -2))


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network; it has no use for the number of classes."""
    return Autoencoder(input_shape, width)
