"""Networks that benchmarks run whole: shapes of known models with random weights and masks."""

from __future__ import annotations

from fedtiny.compiler.ir import DType, Graph
from tests.networks import Builder, resnet8


def resnet18(dtype: DType, density: float) -> Graph:
    """ResNet-18 for 32x32 images: two blocks of 64, 128, 256 and 512 channels; 11.2 M weights."""
    b = Builder("resnet18", dtype)
    x = b.conv(b.input(1, 32, 32, 3), 64)
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            y = b.conv(x, channels, 3, stride, density=density)
            y = b.conv(y, channels, 3, 1, "none", density)
            shortcut = x if stride == 1 else b.conv(x, channels, 1, stride, "none", density)
            x = b.add(y, shortcut)
    x = b.reshape(b.average(x), 1, 512)
    return b.graph(b.dense(x, 10))


def mobilenet(dtype: DType, density: float) -> Graph:
    """MobileNetV1 at a quarter of its channels for 96x96 images; depthwise layers stay dense."""
    b = Builder("mobilenet", dtype)
    x = b.conv(b.input(1, 96, 96, 3), 8, 3, 2)
    strided = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2))
    for channels, stride in (*strided, *((128, 1),) * 5, (256, 2), (256, 1)):
        x = b.conv(b.depthwise(x, stride=stride), channels, 1, density=density)
    x = b.reshape(b.average(x), 1, 256)
    return b.graph(b.dense(x, 2))


NETWORKS = {"resnet8": resnet8, "resnet18": resnet18, "mobilenet": mobilenet}
"""By name, what makes the graph of a dtype and a density; first convolutions stay dense."""
