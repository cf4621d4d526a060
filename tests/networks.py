"""Small lowered int8 and float32 graphs with made-up weights and scales, for compiler tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fedtiny.compiler.ir import (
    Activation,
    Add,
    Attributes,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    DType,
    FullyConnected,
    Graph,
    Node,
    Padding,
    Pattern,
    Quantization,
    Reshape,
    Tensor,
)


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """SAME padding of one axis, the smaller half first."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass
class Builder:
    """Builds a graph node by node; every method returns the name of its output."""

    name: str
    dtype: DType = "int8"
    seed: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def _quantization(self) -> Quantization | None:
        if self.dtype != "int8":
            return None
        scale = self.random.uniform(0.02, 0.06)
        return Quantization(np.float32(scale), np.int32(self.random.integers(-20, 20)))

    def input(self, *shape: int, name: str = "input") -> str:
        self.tensors[name] = Tensor(name, shape, self.dtype, self._quantization())
        self.inputs.append(name)
        return name

    def _activation(
        self,
        attributes: Attributes,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        like: str = "",
    ) -> str:
        name = f"{attributes.op}_{len(self.nodes)}"
        quantization = self.tensors[like].quantization if like else self._quantization()
        self.tensors[name] = Tensor(name, shape, self.dtype, quantization)
        self.nodes.append(Node(name, attributes, inputs, (name,)))
        return name

    def _weights(
        self, shape: tuple[int, ...], axis: int | None, density: float, x: str
    ) -> list[str]:
        name = f"layer_{len(self.nodes)}"
        outputs = shape[axis] if axis is not None else shape[0]
        keep = self.random.random(shape) < density
        pattern = Pattern("unstructured" if density < 1 else "dense", float(keep.mean()))
        if self.dtype == "int8":
            source = self.tensors[x].quantization
            assert source is not None
            taps = max(int(np.prod(shape)) // outputs * density, 1.0)
            size = () if axis is None else (outputs,)
            scale = (self.random.uniform(0.8, 1.2, size) / (70 * taps**0.5)).astype(np.float32)
            weights = np.where(keep, self.random.integers(-127, 128, shape), 0).astype(np.int8)
            zero = np.zeros(size, np.int32)
            bias = self.random.integers(-3000, 3000, outputs).astype(np.int32)
            self._constant(f"{name}_w", weights, Quantization(scale, zero, axis), pattern)
            real = Quantization(np.float32(source.scale) * scale, zero, None if axis is None else 0)
            self._constant(f"{name}_b", bias, real)
        else:
            taps = max(int(np.prod(shape)) // outputs * density, 1.0)
            values = self.random.normal(0, (1 / taps) ** 0.5, shape)
            weights = np.where(keep, values, 0).astype(np.float32)
            self._constant(f"{name}_w", weights, None, pattern)
            self._constant(f"{name}_b", self.random.normal(0, 0.1, outputs).astype(np.float32))
        return [f"{name}_w", f"{name}_b"]

    def _constant(
        self,
        name: str,
        data: np.ndarray,
        quantization: Quantization | None = None,
        pattern: Pattern | None = None,
    ) -> None:
        dtype: DType = str(data.dtype)  # type: ignore[assignment]
        self.tensors[name] = Tensor(name, data.shape, dtype, quantization, data, pattern)

    def _image(self, x: str, kernel: tuple[int, int], stride: int, padded: bool) -> tuple:
        _, height, width, channels = self.tensors[x].shape
        if padded:
            padding: Padding = same(height, kernel[0], stride), same(width, kernel[1], stride)
            out = -(-height // stride), -(-width // stride)
        else:
            padding = (0, 0), (0, 0)
            out = (height - kernel[0]) // stride + 1, (width - kernel[1]) // stride + 1
        return out, channels, padding

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        activation: Activation = "relu",
        density: float = 1.0,
        padded: bool = True,
    ) -> str:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        out, in_channels, padding = self._image(x, size, stride, padded)
        constants = self._weights((channels, *size, in_channels), 0, density, x)
        attributes = Conv2d(stride=(stride, stride), padding=padding, activation=activation)
        return self._activation(attributes, (x, *constants), (1, *out, channels))

    def depthwise(self, x: str, kernel: int = 3, stride: int = 1) -> str:
        out, channels, padding = self._image(x, (kernel, kernel), stride, True)
        constants = self._weights((1, kernel, kernel, channels), 3, 1.0, x)
        attributes = DepthwiseConv2d(stride=(stride, stride), padding=padding, activation="relu")
        return self._activation(attributes, (x, *constants), (1, *out, channels))

    def add(self, a: str, b: str, activation: Activation = "relu") -> str:
        return self._activation(Add(activation), (a, b), self.tensors[a].shape)

    def average(self, x: str) -> str:
        _, height, width, channels = self.tensors[x].shape
        pool = AveragePool2d(kernel=(height, width))
        return self._activation(pool, (x,), (1, 1, 1, channels), like=x)

    def pool(self, x: str, size: int = 2) -> str:
        out, channels, padding = self._image(x, (size, size), size, False)
        pool = AveragePool2d(kernel=(size, size), stride=(size, size), padding=padding)
        return self._activation(pool, (x,), (1, *out, channels), like=x)

    def reshape(self, x: str, *shape: int) -> str:
        return self._activation(Reshape(), (x,), shape, like=x)

    def dense(
        self, x: str, outputs: int, activation: Activation = "none", density: float = 1.0
    ) -> str:
        constants = self._weights((outputs, self.tensors[x].size), None, density, x)
        return self._activation(FullyConnected(activation), (x, *constants), (1, outputs))

    def graph(self, *outputs: str) -> Graph:
        names = outputs or (self.nodes[-1].output,)
        return Graph(self.name, self.tensors, tuple(self.nodes), tuple(self.inputs), names).verify()


def resnet8(dtype: DType = "int8", density: float = 1.0, size: int = 32, width: int = 16) -> Graph:
    """The MLPerf Tiny ResNet-8's shape."""
    b = Builder("resnet8", dtype)
    x = b.conv(b.input(1, size, size, 3), width)
    for block, channels in enumerate((width, 2 * width, 4 * width)):
        stride = 1 if block == 0 else 2
        y = b.conv(x, channels, 3, stride, density=density)
        shortcut = x if stride == 1 else b.conv(x, channels, 1, stride, "none", density)
        y = b.conv(y, channels, 3, 1, "none", density)
        x = b.add(y, shortcut)
    x = b.reshape(b.average(x), 1, 4 * width)
    return b.graph(b.dense(x, 10))


def dscnn(dtype: DType = "int8", channels: int = 64, density: float = 1.0) -> Graph:
    """The MLPerf Tiny keyword-spotting DS-CNN's shape."""
    b = Builder("ds-cnn", dtype)
    x = b.conv(b.input(1, 49, 10, 1), channels, (10, 4), 2)
    for _ in range(4):
        x = b.conv(b.depthwise(x), channels, 1, density=density)
    x = b.reshape(b.average(x), 1, channels)
    return b.graph(b.dense(x, 12))


def mobilenet(dtype: DType = "int8", size: int = 96) -> Graph:
    """MobileNetV1-0.25's shape."""
    b = Builder("mobilenet", dtype)
    x = b.conv(b.input(1, size, size, 3), 8, 3, 2)
    shape = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2))
    for channels, stride in (*shape, *[(128, 1)] * 5, (256, 2), (256, 1)):
        x = b.conv(b.depthwise(x, 3, stride), channels, 1)
    x = b.reshape(b.average(x), 1, 256)
    return b.graph(b.dense(x, 2))


def autoencoder(dtype: DType = "int8") -> Graph:
    """The MLPerf Tiny anomaly-detection autoencoder's shape."""
    b = Builder("autoencoder", dtype)
    x = b.input(1, 640)
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = b.dense(x, outputs, "relu")
    return b.graph(b.dense(x, 640))


def flattened(dtype: DType = "int8") -> Graph:
    """Convolution, pooling, then a fully connected layer over the whole map, as in VGG."""
    b = Builder("flattened", dtype)
    x = b.pool(b.conv(b.input(1, 11, 9, 2), 5, 3), 2)
    return b.graph(b.dense(b.reshape(x, 1, 100), 7))
