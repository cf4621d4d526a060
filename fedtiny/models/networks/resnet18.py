"""ResNet-18 for small images: a 3 x 3 stem of stride 1 and no pooling before the stages.

Source: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385; the stem for
small images as in its CIFAR networks. Its five blocks for progressive pruning are our division: the
last stage, which holds three quarters of the weights, is two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.networks.resnet8 import Residual
from fedtiny.models.prunable import Blocks, convolutions
from fedtiny.models.width import channels


class ResNet18(nn.Module):
    """The network after a stem of `channels(64, width)` channels."""

    def __init__(self, stem: nn.Module, classes: int, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, c4 = (channels(count, width) for count in (64, 128, 256, 512))
        self.stem = stem
        self.stage1 = nn.Sequential(Residual(c1, c1, 1), Residual(c1, c1, 1))
        self.stage2 = nn.Sequential(Residual(c1, c2, 2), Residual(c2, c2, 1))
        self.stage3 = nn.Sequential(Residual(c2, c3, 2), Residual(c3, c3, 1))
        self.stage4 = nn.Sequential(Residual(c3, c4, 2), Residual(c4, c4, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(c4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, classes)`."""
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return cast(torch.Tensor, self.output(torch.flatten(self.pool(x), 1)))

    def prunable_blocks(self) -> Blocks:
        """Five, from output to input; the stem and the output layer stay dense."""
        parts = ("stage4.1", "stage4.0", "stage3", "stage2", "stage1")
        return tuple(convolutions(self, part) for part in parts)


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    count = channels(64, width)
    stem = nn.Sequential(
        nn.Conv2d(input_shape[0], count, 3, 1, 1, bias=False), nn.BatchNorm2d(count), nn.ReLU()
    )
    return ResNet18(stem, classes, width)
