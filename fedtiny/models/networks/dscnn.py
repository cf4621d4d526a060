"""DS-CNN, MLPerf Tiny's network for keyword spotting: 49 x 10 spectral features of one second.

Source: Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", arXiv 1711.07128; Banbury
et al., "MLPerf Tiny Benchmark", arXiv 2106.07597. Padding is symmetric (5 x 1 at the stem, where
TensorFlow pads 4 + 5 rows), and dropout, which trains the reference model, is left out. Depthwise
convolutions stay dense, our decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.prunable import Blocks, convolutions
from fedtiny.models.separable import separable
from fedtiny.models.width import channels


class DsCnn(nn.Module):
    """The network; `width` multiplies the channels."""

    def __init__(self, input_shape: Sequence[int], classes: int, width: float = 1.0) -> None:
        super().__init__()
        count = channels(64, width)
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], count, (10, 4), 2, (5, 1), bias=False),
            nn.BatchNorm2d(count),
            nn.ReLU(),
        )
        self.layers = nn.Sequential(*(separable(count, count, 1) for _ in range(4)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(count, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, classes)`."""
        x = self.layers(self.stem(x))
        return cast(torch.Tensor, self.output(torch.flatten(self.pool(x), 1)))

    def prunable_blocks(self) -> Blocks:
        """The pointwise convolutions, one a block, from output to input."""
        return tuple(convolutions(self, f"layers.{i}", 1) for i in (3, 2, 1, 0))


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    return DsCnn(input_shape, classes, width)
