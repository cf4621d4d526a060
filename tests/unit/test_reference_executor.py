"""The float executor against torch's own operators, and what the executor refuses.

Its int8 side is compared with LiteRT in test_exporter_tflite.py.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Relu,
    Reshape,
    Softmax,
    Tensor,
)
from fedtiny.compiler.operators import (
    Broadcast,
    Concat,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    Resize,
    ResizeBilinear,
    ResizeNearest,
    Sub,
    Transpose,
    TransposeConv2d,
    Unary,
)
from fedtiny.compiler.reference import SAMPLES, execute
from fedtiny.errors import UnsupportedError, UsageError
from tests.graph_strategies import graphs, samples

F = torch.nn.functional
pytestmark = pytest.mark.quick


FUNCTIONS = {
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "identity": torch.nn.Identity(),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def resized(x: torch.Tensor, a: Resize, size: tuple[int, ...]) -> torch.Tensor:
    if isinstance(a, ResizeBilinear) and (a.align_corners or a.half_pixel_centers):
        return F.interpolate(x, size, mode="bilinear", align_corners=a.align_corners)
    if isinstance(a, ResizeNearest) and not a.align_corners:
        return F.interpolate(x, size, mode="nearest-exact" if a.half_pixel_centers else "nearest")
    # Torch has no such mode: rows and columns from their positions.
    for axis in (2, 3):
        n, m = x.shape[axis], size[axis - 2]
        step = (n - 1) / (m - 1) if a.align_corners and m > 1 else n / m
        at = torch.arange(m).double() * step
        if isinstance(a, ResizeNearest):
            x = x.index_select(axis, (at + 0.5 + 1e-9).floor().long().clamp(max=n - 1))
            continue
        low = (at + 1e-9).floor().long().clamp(max=n - 1)
        share = (at - low).reshape(-1, *[1] * (3 - axis))
        high = (low + 1).clamp(max=n - 1)
        x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
    return x


def spread(
    x: torch.Tensor, a: TransposeConv2d, constants: list[torch.Tensor], size: tuple[int, ...]
) -> torch.Tensor:
    """All rows and columns, and zeros behind them, then those that stay."""
    w, b = constants
    parts = w.permute(0, 3, 1, 2).reshape(a.groups, -1, w.shape[3], *w.shape[1:3])
    weights = parts.transpose(1, 2).reshape(x.shape[1], -1, *w.shape[1:3])
    whole = F.pad(F.conv_transpose2d(x, weights, None, a.stride, groups=a.groups), [0, 9, 0, 9])
    rows, columns = (slice(c, c + n) for c, n in zip(a.crop, size, strict=True))
    return whole[:, :, rows, columns] + b.reshape(-1, 1, 1)


def by_torch(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a float graph with torch, node by node, channels first."""
    values = {n: torch.from_numpy(x).movedim(-1, 1).double() for n, x in inputs.items()}
    for node in graph.nodes:
        x, a = values[node.inputs[0]], node.attributes
        constants = [
            torch.from_numpy(graph[n].data).double()
            for n in node.inputs[1:]
            if graph[n].data is not None
        ]
        pads = [p for pair in reversed(getattr(a, "padding", ())) for p in pair]
        if isinstance(a, Conv2d):
            w, b = constants
            y = F.conv2d(
                F.pad(x, pads), w.permute(0, 3, 1, 2), b, a.stride, 0, a.dilation, a.groups
            )
        elif isinstance(a, DepthwiseConv2d):
            w, b = constants
            w = w.permute(3, 0, 1, 2)
            y = F.conv2d(F.pad(x, pads), w, b, a.stride, 0, a.dilation, len(w))
        elif isinstance(a, AveragePool2d):
            total = F.avg_pool2d(F.pad(x, pads), a.kernel, a.stride)
            y = total / F.avg_pool2d(F.pad(torch.ones_like(x), pads), a.kernel, a.stride)
        elif isinstance(a, FullyConnected):
            y = F.linear(x, *constants)
        elif isinstance(a, MaxPool2d):
            y = F.max_pool2d(F.pad(x, pads, value=-torch.inf), a.kernel, a.stride)
        elif isinstance(a, Add | Sub | Mul):
            other = constants[0].movedim(-1, 1) if constants else values[node.inputs[1]]
            operation = {Add: torch.add, Sub: torch.sub, Mul: torch.mul}[type(a)]
            y = operation(*((other, x) if getattr(a, "reverse", False) else (x, other)))
        elif isinstance(a, Concat):
            y = torch.cat([x, values[node.inputs[1]]], {-1: 1, -2: 3, -3: 2}[a.axis])
        elif isinstance(a, Broadcast):
            y = x.movedim(1, -1).expand(len(x), *graph[node.output].shape[1:]).movedim(-1, 1)
        elif isinstance(a, Pad):
            y = F.pad(x, [*a.padding[1], *a.padding[0], *a.channels], value=a.value)
        elif isinstance(a, Resize):
            y = resized(x, a, graph[node.output].shape[1:3])
        elif isinstance(a, Transpose):
            y = x.movedim(1, -1).permute(a.order).movedim(-1, 1)
        elif isinstance(a, TransposeConv2d):
            y = spread(x, a, constants, graph[node.output].shape[1:3])
        elif isinstance(a, Mean):
            y = x.mean((2, 3), keepdim=True)
        elif isinstance(a, Unary):
            y = FUNCTIONS[a.function](x)
        elif isinstance(a, Softmax):
            y = torch.softmax(x * a.beta, 1)
        elif isinstance(a, Reshape):
            y = x.movedim(1, -1).flatten(1)
        y = {"none": lambda v: v, "relu": F.relu, "relu6": F.relu6}[
            getattr(a, "activation", "none")
        ](y)
        values[node.output] = y
    return {n: v.movedim(1, -1).numpy() for n, v in values.items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs("float32"))
def test_float_equals_torch(graph):
    x = samples(graph, 2)
    ours, theirs = execute(graph, x, keep_all=True), by_torch(graph, x)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs("int8"))
def test_samples_do_not_interact_and_outputs_need_no_keeping(graph):
    x = samples(graph, SAMPLES + 3)
    together = execute(graph, x)
    assert set(together) == set(graph.outputs)
    for i in (0, SAMPLES - 1, SAMPLES + 2):
        one = execute(graph, {n: v[i : i + 1] for n, v in x.items()}, keep_all=True)
        for name in graph.outputs:
            np.testing.assert_array_equal(one[name][0], together[name][i])


def chain(attributes, shape=(1, 2, 2, 3), dtype="float32", constants=()) -> Graph:
    tensors = [Tensor("x", shape, dtype), Tensor("y", shape, dtype)]
    tensors += [Tensor(f"c{i}", c.shape, "float32", data=c) for i, c in enumerate(constants)]
    names = tuple(t.name for t in tensors[2:])
    node = Node("layer", attributes, ("x", *names), ("y",))
    return Graph("g", {t.name: t for t in tensors}, (node,), ("x",), ("y",)).verify()


def test_batch_norm_equals_torch():
    rng = np.random.default_rng(0)
    scale, offset, mean = (rng.normal(size=3).astype(np.float32) for _ in range(3))
    variance = rng.uniform(0.1, 2, 3).astype(np.float32)
    graph = chain(BatchNorm(1e-3), constants=(scale, offset, mean, variance))
    x = rng.normal(size=(5, 2, 2, 3)).astype(np.float32)
    expected = F.batch_norm(
        torch.from_numpy(x).movedim(-1, 1),
        *(torch.from_numpy(v) for v in (mean, variance, scale, offset)),
        eps=1e-3,
    ).movedim(1, -1)
    np.testing.assert_allclose(execute(graph, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_relu6_clamps_on_both_sides():
    graph = chain(Relu("relu6"), (1, 1, 1, 3))
    y = execute(graph, {"x": np.array([[[[-1.0, 3.0, 9.0]]]], np.float32)})["y"]
    assert y.ravel().tolist() == [0, 3, 6]


def test_an_op_without_int8_meaning_is_named():
    with pytest.raises(UnsupportedError, match="'layer': relu has no int8 meaning"):
        execute(chain(Relu(), dtype="int8"), {"x": np.zeros((1, 2, 2, 3), np.int8)})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input 'x' of graph 'g' is missing"),
        ({"x": np.zeros((1, 3, 2, 2), np.float32)}, r"\(N, 2, 2, 3\) is wanted"),
        ({"x": np.zeros((1, 2, 2, 3), np.float64)}, "input 'x' is float64"),
    ],
)
def test_wrong_inputs_are_refused(inputs, message):
    with pytest.raises(UsageError, match=message):
        execute(chain(Relu()), inputs)
