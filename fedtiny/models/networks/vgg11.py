"""VGG-11 with batch normalization and one linear layer, for images of 16 pixels or more.

Source: Simonyan, Zisserman, "Very Deep Convolutional Networks", arXiv 1409.1556, configuration A.
The last pooling is global and average here, so that images of any size fit; its five blocks for
progressive pruning are our division.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.prunable import Blocks, convolutions
from fedtiny.models.width import channels


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Vgg11(nn.Module):
    """The network; `width` multiplies the channels."""

    def __init__(self, input_shape: Sequence[int], classes: int, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3, c4 = (channels(count, width) for count in (64, 128, 256, 512))
        self.part1 = _convolution(input_shape[0], c1)
        self.part2 = _convolution(c1, c2)
        self.part3 = nn.Sequential(_convolution(c2, c3), _convolution(c3, c3))
        self.part4 = nn.Sequential(_convolution(c3, c4), _convolution(c4, c4))
        self.part5 = nn.Sequential(_convolution(c4, c4), _convolution(c4, c4))
        self.shrink = nn.MaxPool2d(2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(c4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, classes)`."""
        for part in (self.part1, self.part2, self.part3, self.part4):
            x = self.shrink(part(x))
        return cast(torch.Tensor, self.output(torch.flatten(self.pool(self.part5(x)), 1)))

    def prunable_blocks(self) -> Blocks:
        """Five, from output to input; the first convolution and the output layer stay dense."""
        parts = ("part5.1", "part5.0", "part4", "part3", "part2")
        return tuple(convolutions(self, part) for part in parts)


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    return Vgg11(input_shape, classes, width)
