"""Depthwise separable convolutions."""

from __future__ import annotations

from torch import nn


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 3 x 3 depthwise and a 1 x 1 convolution, each normalized and followed by a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
