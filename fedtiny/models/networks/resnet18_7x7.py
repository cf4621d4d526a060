"""ResNet-18 for large images: a 7 x 7 stem of stride 2 and max-pooling, as for ImageNet.

Source: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fedtiny.models.networks.resnet18 import ResNet18
from fedtiny.models.width import channels


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    count = channels(64, width)
    stem = nn.Sequential(
        nn.Conv2d(input_shape[0], count, 7, 2, 3, bias=False),
        nn.BatchNorm2d(count),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    )
    return ResNet18(stem, classes, width)
