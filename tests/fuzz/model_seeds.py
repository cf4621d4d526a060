"""Small model files of every kind, which the fuzzers damage."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fedtiny.compiler.ir import Graph
from tests.networks import Builder
from tests.tflite_files import TfliteFile, blocks_1x4


def network(dtype: str) -> Graph:
    """Every op of the small builder once, a residual add among them."""
    b = Builder("net", dtype)  # type: ignore[arg-type]
    x = b.conv(b.input(1, 6, 6, 2), 4, stride=1)
    x = b.add(x, b.conv(x, 4, activation="none", density=0.3))
    x = b.depthwise(x, stride=2)
    x = b.average(x)
    x = b.dense(b.reshape(x, 1, 4), 3)
    return b.graph(x)


def sparse_file() -> bytes:
    """A 1x4-sparse fully connected layer behind DENSIFY, then SOFTMAX."""
    weights = np.zeros((4, 16), np.int8)
    weights[1, 4:8], weights[3, 12:] = 5, -7
    sparsity, values = blocks_1x4(weights)
    file = TfliteFile()
    x = file.tensor("x", (1, 16), "int8", 0.05, 4)
    stored = file.tensor("s", weights.shape, "int8", 0.02, data=values, sparsity=sparsity)
    w = file.op("DENSIFY", [stored], file.tensor("w", weights.shape, "int8", 0.02))
    y = file.tensor("y", (1, 4), "int8", 0.3, -10)
    file.op("FULLY_CONNECTED", [x, w, -1], y, "FullyConnectedOptions", 4)
    p = file.tensor("p", (1, 4), "int8", 1 / 256, -128)
    file.op("SOFTMAX", [y], p, "SoftmaxOptions", 2, beta=1.0)
    return file.finish([x], [p])


def varied_file() -> bytes:
    """PAD, a depthwise convolution with a multiplier, RELU, MEAN; uint8 in and float32 out."""
    file = TfliteFile()
    first = file.tensor("first", (1, 6, 6, 2), "uint8", 0.05, 132)
    x = file.tensor("x", (1, 6, 6, 2), "int8", 0.05, 4)
    file.op("QUANTIZE", [first], x, "QuantizeOptions")
    amounts = file.tensor("p", (4, 2), "int32", data=np.array([[0, 0], [0, 2], [1, 1], [0, 0]]))
    padded = file.tensor("padded", (1, 8, 8, 2), "int8", 0.05, 4)
    file.op("PAD", [x, amounts], padded, "PadOptions", 2)
    scales = [0.01, 0.02, 0.03, 0.01]
    w = file.tensor("w", (1, 5, 5, 4), "int8", scales, axis=3, data=np.full((1, 5, 5, 4), 3))
    y = file.tensor("y", (1, 4, 4, 4), "int8", 0.1, -7)
    options = {"strideH": 1, "strideW": 1, "depthMultiplier": 2, "padding": 1}
    name = "DepthwiseConv2DOptions"
    file.op("DEPTHWISE_CONV_2D", [padded, w, -1], y, name, 3, **options)
    file.op("RELU", [y], z := file.tensor("z", (1, 4, 4, 4), "int8", 0.1, -7), version=2)
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2]))
    mean = file.tensor("mean", (1, 4), "int8", 0.08, -7)
    file.op("MEAN", [z, axes], mean, "ReducerOptions", 2, keepDims=False)
    last = file.op("DEQUANTIZE", [mean], file.tensor("last", (1, 4), "float32"), version=2)
    return file.finish([first], [last])


def folded_file() -> bytes:
    """ONNX with arithmetic on shapes and weights, as exporters leave it."""
    constants = {
        "w": np.ones((2, 2, 3, 3), np.float32),
        "pads": np.array([[0, 0, 0, 0], [0, 0, 1, 2]]).T[::-1].copy(),
        "start": np.array([-1]),
        "end": np.array([-(1 << 62)]),
        "axis": np.array([0]),
        "flat": np.array([-1]),
        "zero": np.array(0),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "m": np.ones((3, 18), np.float32),
        "b": np.ones(3, np.float32),
        "axes": np.array([0]),
    }
    nodes = [
        helper.make_node("Slice", ["pads", "start", "end", "axis", "start"], ["p0"]),
        helper.make_node("Transpose", ["p0"], ["p1"]),
        helper.make_node("Reshape", ["p1", "flat"], ["p2"]),
        helper.make_node("Cast", ["p2"], ["p3"], to=TensorProto.INT64),
        helper.make_node("Pad", ["x", "p3"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["c"]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n0"]),
        helper.make_node("Unsqueeze", ["n0", "axes"], ["n"]),
        helper.make_node("Concat", ["n", "flat"], ["target"], axis=0),
        helper.make_node("Reshape", ["r", "target"], ["f"]),
        helper.make_node("Transpose", ["m"], ["mt"], perm=[1, 0]),
        helper.make_node("MatMul", ["f", "mt"], ["mm"]),
        helper.make_node("Add", ["mm", "b"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "folded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
