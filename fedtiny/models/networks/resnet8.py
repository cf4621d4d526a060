"""ResNet-8 of MLPerf Tiny's image classification: 16, 32 and 64 channels, one block each.

Source: Banbury et al., "MLPerf Tiny Benchmark", arXiv 2106.07597, and its reference model. Unlike
that model the convolutions have no biases, which batch normalization makes redundant, and inputs
of any size and depth are taken (average pooling is global, as it is there at 32 x 32).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from fedtiny.models.prunable import Blocks
from fedtiny.models.width import channels


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, H / stride, W / stride)`, rounded up."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """The network; `stem_stride` is 1 in MLPerf Tiny's, `width` multiplies the channels."""

    def __init__(
        self, input_shape: Sequence[int], classes: int, stem_stride: int = 1, width: float = 1.0
    ) -> None:
        super().__init__()
        c1, c2, c3 = (channels(count, width) for count in (16, 32, 64))
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], c1, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(c1),
            nn.ReLU(),
        )
        self.stage1 = Residual(c1, c1, 1)
        self.stage2 = Residual(c1, c2, 2)
        self.stage3 = Residual(c2, c3, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(c3, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, C, H, W)` to logits `(N, classes)`."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        return cast(torch.Tensor, self.output(torch.flatten(self.pool(x), 1)))

    def prunable_blocks(self) -> Blocks:
        """One block a stage, from output to input; the stem and the output layer stay dense."""
        return tuple(
            tuple(
                f"{stage}.{name}"
                for name, weight in getattr(self, stage).named_parameters()
                if weight.dim() == 4
            )
            for stage in ("stage3", "stage2", "stage1")
        )


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    return ResNet8(input_shape, classes, width=width)
