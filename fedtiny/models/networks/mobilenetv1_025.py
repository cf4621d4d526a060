"""MobileNetV1 at a quarter of its channels, MLPerf Tiny's network for visual wake words.

Source: Howard et al., "MobileNets", arXiv 1704.04861; Banbury et al., "MLPerf Tiny Benchmark",
arXiv 2106.07597. Padding is symmetric. Depthwise convolutions stay dense, our decision: they hold
few weights, and nine of a channel at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.prunable import Blocks, convolutions
from fedtiny.models.separable import separable
from fedtiny.models.width import channels

_LAYERS = (
    (((16, 1), (32, 2), (32, 1)), "stage1"),
    (((64, 2), (64, 1)), "stage2"),
    (((128, 2), *((128, 1),) * 5), "stage3"),
    (((256, 2), (256, 1)), "stage4"),
)
"""Output channels and stride of every pair of a depthwise and a pointwise convolution."""


class MobileNet(nn.Module):
    """The network; `width` multiplies the quarter's channels."""

    def __init__(self, input_shape: Sequence[int], classes: int, width: float = 1.0) -> None:
        super().__init__()
        count = channels(8, width)
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], count, 3, 2, 1, bias=False), nn.BatchNorm2d(count), nn.ReLU()
        )
        for layers, name in _LAYERS:
            parts = []
            for outputs, stride in layers:
                parts.append(separable(count, channels(outputs, width), stride))
                count = channels(outputs, width)
            self.add_module(name, nn.Sequential(*parts))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(count, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, classes)`."""
        x = self.stem(x)
        for _, name in _LAYERS:
            x = self.get_submodule(name)(x)
        return cast(torch.Tensor, self.output(torch.flatten(self.pool(x), 1)))

    def prunable_blocks(self) -> Blocks:
        """The pointwise convolutions, one block a resolution, from output to input."""
        return tuple(convolutions(self, name, 1) for _, name in reversed(_LAYERS))


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    return MobileNet(input_shape, classes, width)
