"""Random small graphs for property tests: every op, both dtypes, odd shapes and quantizations."""

from __future__ import annotations

from typing import get_args

import numpy as np
from hypothesis import strategies as st

from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Quantization,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.compiler.operators import (
    Broadcast,
    Concat,
    Function,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    ResizeBilinear,
    ResizeNearest,
    Sub,
    Transpose,
    TransposeConv2d,
    Unary,
)
from fedtiny.compiler.quantization import per_tensor
from fedtiny.compiler.reference_common import output_size


class GraphBuilder:
    """Adds random nodes one after another; quantizations are drawn when the dtype is int8."""

    def __init__(self, draw, dtype: str) -> None:
        self.draw = draw
        self.dtype = dtype
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []

    def quantization(self) -> Quantization | None:
        if self.dtype == "float32":
            return None
        scale = np.float32(2.0 ** self.rng.uniform(-9, 3))
        return per_tensor(scale, int(self.rng.choice([-128, 0, 127, self.rng.integers(-128, 128)])))

    def activation(self, name: str, shape, quantization=None) -> str:
        quantization = quantization or self.quantization()
        self.tensors[name] = Tensor(name, tuple(shape), self.dtype, quantization)
        return name

    def weights(self, name: str, shape, axis: int | None, fan_in: int, s_in, s_out) -> list[str]:
        """Weights with a random density, and a bias; scales keep outputs inside int8 mostly."""
        density = self.draw(st.sampled_from([0.0, 0.1, 1.0]), label="density")
        mask = self.rng.random(shape) < density
        channels = shape[0] if axis in (0, None) else shape[axis]
        if self.dtype == "float32":
            w = self.rng.normal(size=shape) / np.sqrt(fan_in)
            w = np.where(mask, w, 0.0).astype(np.float32)
            b = self.rng.normal(size=channels).astype(np.float32)
            wq = bq = None
        else:
            w = np.where(mask, self.rng.integers(-127, 128, shape), 0).astype(np.int8)
            spread = s_out / s_in / np.sqrt(fan_in) / 70
            n = channels if axis is not None else 1
            scale = (spread * 2.0 ** self.rng.uniform(-2, 2, n)).astype(np.float32)
            scale = scale if axis is not None else scale[0]
            wq = Quantization(scale, np.zeros_like(scale, np.int32), axis)
            real = np.asarray(np.float64(s_in) * scale, np.float32)
            bq = Quantization(real, np.zeros_like(real, np.int32), 0 if axis is not None else None)
            reach = 40.0 * s_out / np.broadcast_to(real, channels)
            b = self.rng.uniform(-reach, reach).astype(np.int32)
        self.tensors[f"{name}.weight"] = Tensor(f"{name}.weight", tuple(shape), w.dtype.name, wq, w)
        self.tensors[f"{name}.bias"] = Tensor(f"{name}.bias", (channels,), b.dtype.name, bq, b)
        return [f"{name}.weight", f"{name}.bias"]

    def scales(self, x: str, y: str) -> tuple[float, float]:
        if self.dtype == "float32":
            return 1.0, 1.0
        return tuple(float(self.tensors[n].quantization.scale) for n in (x, y))

    def fused(self):
        return self.draw(st.sampled_from(["none", "relu", "relu6"]), label="activation")

    def windows(self, x: str, kernel, dilated: bool):
        """Random stride, padding and dilation under which the output is not empty."""
        size = self.tensors[x].shape[1:3]
        stride, padding, dilation, out = [], [], [], []
        for i in range(2):
            s = self.draw(st.integers(1, 3), label="stride")
            d = self.draw(st.integers(1, 2), label="dilation") if dilated else 1
            p = [self.draw(st.integers(0, kernel[i] - 1), label="pad") for _ in range(2)]
            while output_size(size[i], kernel[i], s, tuple(p), d) < 1:
                p[1] += 1
            stride.append(s)
            padding.append(tuple(p))
            dilation.append(d)
            out.append(output_size(size[i], kernel[i], s, tuple(p), d))
        return tuple(stride), tuple(padding), tuple(dilation), out

    def node(self, name, attributes, inputs, output) -> str:
        self.nodes.append(Node(name, attributes, tuple(inputs), (output,)))
        return output

    def conv2d(self, x: str, name: str) -> str:
        kernel = [self.draw(st.integers(1, 3)) for _ in range(2)]
        stride, padding, dilation, out = self.windows(x, kernel, True)
        channels = self.tensors[x].shape[3]
        groups = self.draw(st.sampled_from([g for g in (1, 2) if channels % g == 0]))
        made = groups * self.draw(st.integers(1, 4))
        y = self.activation(f"{name}.out", (1, *out, made))
        shape = (made, *kernel, channels // groups)
        fan_in = int(np.prod(shape[1:]))
        constants = self.weights(name, shape, 0, fan_in, *self.scales(x, y))
        a = Conv2d(stride, padding, dilation, groups, self.fused())
        return self.node(name, a, [x, *constants], y)

    def depthwise_conv2d(self, x: str, name: str) -> str:
        kernel = [self.draw(st.integers(1, 3)) for _ in range(2)]
        stride, padding, dilation, out = self.windows(x, kernel, True)
        channels = self.tensors[x].shape[3]
        y = self.activation(f"{name}.out", (1, *out, channels))
        shape = (1, *kernel, channels)
        constants = self.weights(name, shape, 3, kernel[0] * kernel[1], *self.scales(x, y))
        a = DepthwiseConv2d(stride, padding, dilation, self.fused())
        return self.node(name, a, [x, *constants], y)

    def average_pool2d(self, x: str, name: str) -> str:
        size = self.tensors[x].shape[1:3]
        kernel = tuple(self.draw(st.integers(1, n)) for n in size)
        stride = tuple(self.draw(st.integers(1, k)) for k in kernel)
        padding = [(0, 0), (0, 0)]
        if self.draw(st.booleans(), label="same"):
            for i in range(2):
                total = max((-(-size[i] // stride[i]) - 1) * stride[i] + kernel[i] - size[i], 0)
                padding[i] = (total // 2, total - total // 2)
        out = [output_size(size[i], kernel[i], stride[i], padding[i], 1) for i in range(2)]
        shape = (1, *out, self.tensors[x].shape[3])
        y = self.activation(f"{name}.out", shape, self.tensors[x].quantization)
        return self.node(name, AveragePool2d(kernel, stride, tuple(padding), self.fused()), [x], y)

    def add(self, x: str, name: str, other: str) -> str:
        y = self.activation(f"{name}.out", self.tensors[x].shape)
        return self.node(name, Add(self.fused()), [x, other], y)

    def max_pool2d(self, x: str, name: str) -> str:
        size = self.tensors[x].shape[1:3]
        kernel = [self.draw(st.integers(1, min(n, 3))) for n in size]
        stride, padding, _, out = self.windows(x, kernel, False)
        padding = tuple((min(p[0], k - 1), p[1]) for p, k in zip(padding, kernel, strict=True))
        out = [output_size(size[i], kernel[i], stride[i], padding[i], 1) for i in range(2)]
        shape = (1, *out, self.tensors[x].shape[3])
        y = self.activation(f"{name}.out", shape, self.tensors[x].quantization)
        a = MaxPool2d(tuple(kernel), stride, padding, self.fused())
        return self.node(name, a, [x], y)

    def concat(self, x: str, name: str, other: str) -> str:
        """Two maps along a dimension; in int8 requantized to one scale first."""
        quantization = self.quantization()
        parts = []
        for i, part in enumerate((x, other)):
            if quantization is not None:
                copy = self.activation(f"{name}.{i}", self.tensors[part].shape, quantization)
                part = self.node(f"{name}.{i}", Unary("identity"), [part], copy)
            parts.append(part)
        axis = self.draw(st.sampled_from([-1, -1, -2, -3]), label="axis")
        shape = list(self.tensors[x].shape)
        shape[axis] = sum(self.tensors[part].shape[axis] for part in parts)
        y = self.activation(f"{name}.out", shape, quantization)
        return self.node(name, Concat(axis), parts, y)

    def broadcast(self, x: str, name: str) -> str:
        """Rows, columns or channels of which there is one."""
        tensor = self.tensors[x]
        more = self.draw(st.integers(2, 4), label="times")
        shape = [n if n > 1 or i == 0 else more for i, n in enumerate(tensor.shape)]
        y = self.activation(f"{name}.out", shape, tensor.quantization)
        return self.node(name, Broadcast(), [x], y)

    def mean(self, x: str, name: str) -> str:
        y = self.activation(f"{name}.out", (1, 1, 1, self.tensors[x].shape[3]))
        return self.node(name, Mean(), [x], y)

    def unary(self, x: str, name: str) -> str:
        real = [f for f in get_args(Function) if f not in ("identity", "table")]
        functions = get_args(Function) if self.dtype == "int8" else real
        function = self.draw(st.sampled_from(functions), label="function")
        alpha = {"leaky_relu": 0.1, "hard_sigmoid": 1 / 6}.get(function, 0.0)
        quantization = {"sigmoid": per_tensor(1 / 256, -128), "tanh": per_tensor(1 / 128, 0)}
        made = quantization.get(function) or self.quantization()
        if self.dtype == "int8" and function == "hard_swish":
            least = self.tensors[x].quantization.scale / np.float32(100)
            made = per_tensor(max(made.scale, least), int(made.zero_point))
        y = self.activation(
            f"{name}.out", self.tensors[x].shape, made if self.dtype == "int8" else None
        )
        values = tuple(int(v) for v in self.rng.integers(-128, 128, 256))
        a = Unary(function, alpha, 0.5 if function == "hard_sigmoid" else 0.0)
        a = Unary("table", values=values) if function == "table" else a
        return self.node(name, a, [x], y)

    def binary(self, x: str, name: str, other: str) -> str:
        """A sum, difference or product of two activations, or with a constant."""
        shape = self.tensors[x].shape
        kind = self.draw(st.sampled_from([Add, Sub, Mul]), label="kind")
        form = self.draw(st.sampled_from(["same", "pixel", "scalar", "map"]), label="form")
        if form != "same":
            wide = {"pixel": (1, 1, 1, shape[3]), "scalar": (1, 1, 1, 1), "map": shape}[form]
            other = f"{name}.constant"
            data = self.rng.normal(size=wide).astype(np.float32)
            quantization = self.quantization()
            if quantization is not None:
                data = self.rng.integers(-128, 128, wide).astype(np.int8)
            self.tensors[other] = Tensor(other, wide, data.dtype.name, quantization, data)
        made = self.quantization()
        if made is not None and kind is Mul:
            least = np.float32(2**-10) * np.prod(
                [self.tensors[n].quantization.scale for n in (x, other)]
            )
            made = per_tensor(max(made.scale, least), int(made.zero_point))
        y = self.activation(f"{name}.out", shape, made)
        reverse = {"reverse": self.draw(st.booleans())} if kind is Sub else {}
        return self.node(name, kind(activation=self.fused(), **reverse), [x, other], y)

    def pad(self, x: str, name: str) -> str:
        """Zeros or another value around rows, columns and sometimes channels."""
        tensor = self.tensors[x]
        amounts = [tuple(self.draw(st.integers(0, 2), label="pad") for _ in "ab") for _ in "hw"]
        channels = self.draw(st.sampled_from([(0, 0), (0, 0), (1, 2)]), label="channels")
        value = self.draw(st.sampled_from([0.0, 0.0, 1.5]), label="value")
        sizes = zip(tensor.shape[1:], (*amounts, channels), strict=True)
        shape = (1, *(n + sum(added) for n, added in sizes))
        y = self.activation(f"{name}.out", shape, tensor.quantization)
        return self.node(name, Pad(tuple(amounts), channels, value), [x], y)

    def resize(self, x: str, name: str) -> str:
        tensor = self.tensors[x]
        size = [self.draw(st.integers(1, 12), label="size") for _ in "hw"]
        kind = self.draw(st.sampled_from([ResizeBilinear, ResizeNearest]), label="kind")
        ways = [(False, False), (True, False), (False, True)]
        a = kind(*self.draw(st.sampled_from(ways), label="centres"))
        y = self.activation(f"{name}.out", (1, *size, tensor.shape[3]), tensor.quantization)
        return self.node(name, a, [x], y)

    def transpose(self, x: str, name: str) -> str:
        tensor = self.tensors[x]
        order = (0, *self.draw(st.permutations((1, 2, 3)), label="order"))
        shape = tuple(tensor.shape[axis] for axis in order)
        y = self.activation(f"{name}.out", shape, tensor.quantization)
        return self.node(name, Transpose(order), [x], y)

    def transpose_conv2d(self, x: str, name: str) -> str:
        height, width, channels = self.tensors[x].shape[1:]
        kernel, stride = ([self.draw(st.integers(1, 3)) for _ in "hw"] for _ in "ks")
        crop, out = [], []
        for n, k, s in zip((height, width), kernel, stride, strict=True):
            crop.append(self.draw(st.integers(0, k - 1), label="crop"))
            spread = (n - 1) * s + k - crop[-1]
            more = self.draw(st.integers(-2, s - 1), label="more")
            out.append(max(1 + (n - 1) * s, spread + more))
        groups = self.draw(st.sampled_from([g for g in (1, 2) if channels % g == 0]))
        made = groups * self.draw(st.integers(1, 3))
        y = self.activation(f"{name}.out", (1, *out, made))
        shape = (made, *kernel, channels // groups)
        fan_in = int(np.prod(shape[1:]))
        constants = self.weights(name, shape, 0, fan_in, *self.scales(x, y))
        a = TransposeConv2d(tuple(stride), tuple(crop), groups, self.fused())
        return self.node(name, a, [x, *constants], y)

    def reshape(self, x: str, name: str) -> str:
        tensor = self.tensors[x]
        y = self.activation(f"{name}.out", (1, tensor.size), tensor.quantization)
        return self.node(name, Reshape(), [x], y)

    def fully_connected(self, x: str, name: str) -> str:
        wide = self.tensors[x].shape[1]
        y = self.activation(f"{name}.out", (1, self.draw(st.integers(1, 5))))
        shape = (self.tensors[y].shape[1], wide)
        axis = self.draw(st.sampled_from([None, 0]), label="axis")
        constants = self.weights(name, shape, axis, wide, *self.scales(x, y))
        return self.node(name, FullyConnected(self.fused()), [x, *constants], y)

    def softmax(self, x: str, name: str) -> str:
        quantization = None if self.dtype == "float32" else per_tensor(1 / 256, -128)
        y = self.activation(f"{name}.out", self.tensors[x].shape, quantization)
        return self.node(name, Softmax(self.draw(st.sampled_from([1.0, 0.5]))), [x], y)


OPS = (
    *("conv2d", "depthwise_conv2d", "average_pool2d", "add"),
    *("max_pool2d", "unary", "binary", "concat", "mean"),
    *("pad", "resize", "transpose", "transpose_conv2d", "broadcast"),
)


@st.composite
def graphs(draw, dtype: str = "int8", most: int = 4, tail: bool = True) -> Graph:
    """A chain of up to `most` spatial nodes with adds across, then a fully connected tail."""
    b = GraphBuilder(draw, dtype)
    shape = (1, draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 5)))
    x = b.activation("input", shape)
    for i in range(draw(st.integers(1, most), label="nodes")):
        partners = [t.name for t in b.tensors.values() if t.data is None]
        partners = [n for n in partners if b.tensors[n].shape == b.tensors[x].shape]
        op = draw(st.sampled_from(OPS), label="op")
        if op in ("add", "binary", "concat"):
            x = getattr(b, op)(x, f"n{i}", draw(st.sampled_from(partners)))
        else:
            x = getattr(b, op)(x, f"n{i}")
    if tail and draw(st.booleans(), label="tail"):
        x = b.fully_connected(b.reshape(x, "flatten"), "fc")
        if draw(st.booleans(), label="softmax"):
            x = b.softmax(x, "softmax")
    return Graph("random", b.tensors, tuple(b.nodes), ("input",), (x,)).verify()


def samples(graph: Graph, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs `(count, ...)` for every input of a graph."""
    rng = np.random.default_rng(seed)
    made = {}
    for name in graph.inputs:
        shape = (count, *graph[name].shape[1:])
        if graph[name].dtype == "int8":
            made[name] = rng.integers(-128, 128, shape).astype(np.int8)
        else:
            made[name] = rng.normal(size=shape).astype(np.float32)
    return made
