"""ResNet-8 with a stride-2 stem: a quarter of the work of MLPerf Tiny's, the same parameters."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fedtiny.models.networks.resnet8 import ResNet8


def build(input_shape: Sequence[int], classes: int, width: float = 1.0) -> nn.Module:
    """Make the network."""
    return ResNet8(input_shape, classes, stem_stride=2, width=width)
