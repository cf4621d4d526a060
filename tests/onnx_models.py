"""ONNX files made node by node, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fedtiny.compiler import quantization as q
from fedtiny.compiler import reference
from fedtiny.compiler.frontends.onnx_file import from_onnx
from fedtiny.compiler.ir import Graph


def run_onnx(data: bytes, x: np.ndarray) -> np.ndarray:
    """Outputs of onnxruntime, one sample at a time, without its own rewriting."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i : i + 1]})[0] for i in range(len(x))])


def normal(shape: Sequence[int], count: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def to_nhwc(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x


def as_ours(x: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """An output of onnxruntime in our order: maps and sequences channels last."""
    return x.transpose(0, 2, 1)[:, :, None] if x.ndim == ours.ndim - 1 else to_nhwc(x)


def check_float(data: bytes, shape: Sequence[int]) -> Graph:
    graph = from_onnx(data, "model")
    x = normal(shape)
    theirs = run_onnx(data, x)
    ours = reference.execute(graph, {graph.inputs[0]: to_nhwc(x)})[graph.outputs[0]]
    expected = as_ours(theirs, ours)
    np.testing.assert_allclose(ours, expected, 1e-5, 1e-5 * np.abs(theirs).max())
    return graph


def int8_difference(data: bytes, shape: Sequence[int], count: int) -> tuple[Graph, int]:
    """The graph, and by how many LSBs its outputs differ at most from onnxruntime's."""
    graph = from_onnx(data, "model")
    first, last = graph[graph.inputs[0]], graph[graph.outputs[0]]
    assert first.quantization is not None
    assert last.quantization is not None
    assert all(t.dtype == "int8" for t in graph.activations())
    x = 1.2 * normal(shape, count)
    theirs = q.quantize_values(to_nhwc(run_onnx(data, x)), last.quantization)
    inputs = {first.name: q.quantize_values(to_nhwc(x), first.quantization)}
    ours = reference.execute(graph, inputs)[last.name]
    assert len(np.unique(ours)) > 3
    return graph, int(np.abs(ours.astype(int) - theirs).max())


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    shape: Sequence[int | str],
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
    out_dtype: int = TensorProto.FLOAT,
) -> bytes:
    """A file with the input x and the output y."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info("y", out_dtype, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def qdq(name: str, zero: np.ndarray, scale: float) -> tuple[list[onnx.NodeProto], dict]:
    nodes = [
        helper.make_node("QuantizeLinear", [name, f"{name}_s", f"{name}_z"], [f"{name}_q"]),
        helper.make_node(
            "DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], [f"{name}_d"]
        ),
    ]
    return nodes, {f"{name}_s": np.float32(scale), f"{name}_z": zero}
