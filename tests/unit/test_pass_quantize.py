"""Quantization follows TensorFlow Lite's int8 specification and stays close to the float graph."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.ir import Conv2d, Graph, GraphError, Node, Relu, Tensor
from fedtiny.compiler.operators import Unary
from fedtiny.compiler.passes import quantize
from fedtiny.compiler.quantization import (
    add_parameters,
    conv_multipliers,
    dequantize_values,
    mul_multiplier,
    quantize_values,
)
from fedtiny.compiler.reference import execute
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import litert, tflite
from tests.graph_strategies import graphs, samples

pytestmark = pytest.mark.quick
KEEPING = (
    *("average_pool2d", "broadcast", "max_pool2d", "pad", "reshape"),
    *("resize_bilinear", "resize_nearest", "transpose"),
)
"""Ops whose output is quantized as their input."""
RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def quantized(graph: Graph, count: int = 16) -> tuple[Graph, dict]:
    x = samples(graph, count)
    return quantize(graph, ranges_from_data(graph, x["input"])), x


@settings(max_examples=100, **RELAXED)
@given(graph=graphs("float32"))
def test_specification(graph):
    made, _ = quantized(graph)
    names = {n.name for n in graph.nodes}
    assert [n.name for n in made.nodes if n.name in names] == [n.name for n in graph.nodes]
    for node in made.nodes:
        if node.name not in names:
            assert node.attributes == Unary("identity")
    for tensor in made.activations():
        assert tensor.dtype == "int8"
        q = tensor.quantization
        assert q.axis is None
        assert -128 <= q.zero_point <= 127
    for node in made.nodes:
        q_in, q_out = (made[n].quantization for n in (node.inputs[0], node.output))
        if node.op in KEEPING:
            assert q_in == q_out
        elif node.op in ("add", "sub"):
            p = add_parameters(node, made)
            assert p.shift_a <= 0
            assert p.shift_b <= 0
            assert p.shift_out <= 0
        elif node.op == "concat":
            assert all(
                (made[n].quantization.scale, made[n].quantization.zero_point)
                == (q_out.scale, q_out.zero_point)
                for n in node.inputs
            )
        elif node.op == "mean":
            assert q_out.scale > 0
        elif node.op == "mul":
            assert mul_multiplier(node, made)[1] <= 11  # 255 * 255 * 2^11 stays in int32
        elif node.op == "unary":
            known = np.float32([1 / 256, 1 / 128])
            assert q_out.scale >= 0.99 * q_in.scale / 64 or q_out.scale in known
        elif node.op == "softmax":
            assert (float(q_out.scale), int(q_out.zero_point)) == (1 / 256, -128)
        else:
            w, b = (made[n] for n in node.inputs[1:])
            axis = {"depthwise_conv2d": 3, "fully_connected": None}.get(node.op, 0)
            assert w.quantization.axis == axis
            assert not w.quantization.zero_point.any()
            assert w.data.min() >= -127
            assert not w.data[graph[w.name].data == 0].any()
            assert (b.dtype, b.quantization.zero_point.any()) == ("int32", False)
            product = q_in.scale.astype(np.float64) * w.quantization.scale
            np.testing.assert_allclose(b.quantization.scale, product, rtol=1e-6)
            assert np.abs(b.data).max() <= 1 << 30
            if axis is not None:
                others = tuple(i for i in range(4) if i != axis)
                sums = 255 * np.abs(w.data.astype(np.int64)).sum(others) + np.abs(b.data)
                shifts = conv_multipliers(node, made)[1].astype(np.int64)
                assert (sums << np.maximum(shifts, 0)).max() < 1 << 31


@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32", most=1))
def test_one_layer_is_close_to_its_float_self(graph):
    made, x = quantized(graph)
    assume(all(node.name in {n.name for n in graph.nodes} for node in made.nodes))
    q = {"input": quantize_values(x["input"], made["input"].quantization)}
    ours = execute(made, q, keep_all=True)
    for node in made.nodes:
        real = {n: dequantize_values(ours[n], made[n].quantization) for n in ours}
        inputs = {n: real[n] for n in node.inputs if n in real}
        small = replace(
            graph,
            nodes=(node,),
            inputs=tuple(dict.fromkeys(inputs)),
            outputs=node.outputs,
        )
        constants = {
            n: dequantize_values(made[n].data, made[n].quantization)
            for n in node.inputs
            if n not in real
        }
        tensors = [replace(graph[n], data=data) for n, data in constants.items()]
        expected = execute(small.rewrite(small.nodes, tensors), inputs)[node.output]
        quantization = made[node.output].quantization
        rounded = quantize_values(expected, quantization).astype(int)
        assert np.abs(rounded - ours[node.output]).max() <= 1, node.name


@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32"), seed=st.integers(0, 99))
def test_quantized_graphs_equal_litert(graph, seed, tmp_path):
    made, _ = quantized(graph)
    path = tmp_path / "m.tflite"
    tflite.write(made, path)
    x = samples(made, 3, seed)
    ours = execute(made, x, keep_all=True)
    theirs = litert.run(path, x, reference=True, keep_all=True)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def convolution(weights, bias) -> Graph:
    w, b = np.array(weights, np.float32).reshape(-1, 1, 1, 1), np.array(bias, np.float32)
    tensors = [
        Tensor("input", (1, 1, 1, 1), "float32"),
        Tensor("w", w.shape, "float32", data=w),
        Tensor("b", b.shape, "float32", data=b),
        Tensor("y", (1, 1, 1, len(b)), "float32"),
    ]
    node = Node("conv", Conv2d(), ("input", "w", "b"), ("y",))
    return Graph("g", {t.name: t for t in tensors}, (node,), ("input",), ("y",)).verify()


@pytest.mark.parametrize(
    ("weights", "bias", "ranges"),
    [
        ([0, 0], [0, 0], {"input": (0, 0), "y": (0, 0)}),
        ([0, 0], [0.5, -3], {"input": (-1, 1), "y": (-3, 0.5)}),
        ([1e-30, 1], [100, 0], {"input": (-1, 1), "y": (-1, 100)}),
        ([1, 1], [0, 0], {"input": (-1e6, 1e6), "y": (0, 1e-9)}),
        ([1e-38, 1e-42], [1e-40, 0], {"input": (-1e-38, 1e-38), "y": (0, 1e-40)}),
        ([1e6, 1], [1e30, 0], {"input": (-1e-6, 1e-6), "y": (0, 1e30)}),
    ],
)
def test_degenerate_layers_still_equal_litert(weights, bias, ranges, tmp_path):
    made = quantize(convolution(weights, bias), ranges)
    tflite.write(made, tmp_path / "m.tflite")
    x = {"input": np.array([-128, -1, 0, 55, 127], np.int8).reshape(5, 1, 1, 1)}
    theirs = litert.run(tmp_path / "m.tflite", x)
    np.testing.assert_array_equal(execute(made, x)["y"], theirs["y"])


@pytest.mark.parametrize("weight", [0.0, 1e-12])
def test_a_channel_of_next_to_nothing_keeps_its_bias(weight):
    made = quantize(convolution([weight, 1], [0.5, 0]), {"input": (-1, 1), "y": (-1, 1)})
    x = {"input": np.array([[[[0]]]], np.int8)}
    y = dequantize_values(execute(made, x)["y"], made["y"].quantization).ravel()
    assert y[0] == pytest.approx(0.5, abs=1 / 255)


@pytest.mark.parametrize("name", ["input", "y"])
def test_a_missing_range_is_named(name):
    ranges = {"input": (0, 1), "y": (0, 1)}
    del ranges[name]
    with pytest.raises(UsageError, match=f"no range for tensor '{name}'"):
        quantize(convolution([1], [0]), ranges)


@pytest.mark.parametrize("pair", [(1, 0), (0, float("inf")), (float("nan"), 1)])
def test_a_damaged_range_is_named(pair):
    with pytest.raises(UsageError, match="the range of tensor 'y'"):
        quantize(convolution([1], [0]), {"input": (0, 1), "y": pair})


def test_a_lone_activation_is_named():
    tensors = {n: Tensor(n, (1, 3), "float32") for n in ("input", "y")}
    graph = Graph("g", tensors, (Node("act", Relu(), ("input",), ("y",)),), ("input",), ("y",))
    with pytest.raises(UnsupportedError, match="'act': relu could not be fused"):
        quantize(graph, {"input": (0, 1), "y": (0, 1)})


def test_shared_constants_are_refused():
    graph = convolution([1], [0])
    second = replace(graph.nodes[0], name="again", outputs=("z",))
    shared = replace(
        graph,
        nodes=(*graph.nodes, second),
        tensors={**graph.tensors, "z": replace(graph["y"], name="z")},
    )
    with pytest.raises(GraphError, match="every constant has one reader"):
        quantize(shared, {"input": (0, 1), "y": (0, 1), "z": (0, 1)})
