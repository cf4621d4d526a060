"""Single ONNX ops read as a graph give what onnxruntime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from fedtiny.compiler import reference
from fedtiny.compiler.frontends.onnx_file import from_onnx
from fedtiny.compiler.ir import Relu
from fedtiny.errors import UnsupportedError
from tests.onnx_models import check_float, model, normal, run_onnx, to_nhwc, weights


@pytest.mark.quick
@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_auto_pad(auto_pad, stride):
    conv = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=auto_pad, strides=[stride, stride])
    check_float(model([conv], {"w": weights(4, 3, 4, 3)}, ["N", 3, 7, 6]), (3, 7, 6))


@pytest.mark.quick
def test_asymmetric_pads():
    conv = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[0, 2, 1, 0], strides=[2, 1])
    constants = {"w": weights(4, 3, 3, 3), "b": weights(4)}
    graph = check_float(model([conv], constants, [1, 3, 7, 6]), (3, 7, 6))
    assert graph.nodes[0].attributes.padding == ((0, 1), (2, 0))  # type: ignore[attr-defined]


@pytest.mark.quick
def test_nhwc_input_needs_no_transpose():
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["y"]),
    ]
    data = model(nodes, {"w": weights(4, 3, 3, 3)}, [1, 7, 6, 3])
    graph = from_onnx(data, "m")
    assert [n.op for n in graph.nodes] == ["conv2d"]
    x = normal((7, 6, 3))
    ours = reference.execute(graph, {"x": x})["y"]
    np.testing.assert_allclose(ours, to_nhwc(run_onnx(data, x)), 1e-5, 1e-5)


@pytest.mark.quick
def test_flatten_permutes_weights_through_matmul_and_bias():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["b", "m"], ["y"]),
    ]
    constants = {"w": weights(24, 5), "b": weights(5)}
    graph = check_float(model(nodes, constants, ["N", 2, 3, 4]), (2, 3, 4))
    assert [n.op for n in graph.nodes] == ["relu", "reshape", "fully_connected"]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("limits", "activation"), [((0.0, 6.0), "relu6"), ((0.0, None), "relu"), ((0.0, 3e38), None)]
)
def test_clip(limits, activation):
    names = [n if v is not None else "" for n, v in zip("lh", limits, strict=True)]
    constants = {n: np.float32(v) for n, v in zip("lh", limits, strict=True) if v is not None}
    data = model([helper.make_node("Clip", ["x", *names], ["y"])], constants, ["N", 8])
    if activation is None:
        with pytest.raises(UnsupportedError, match=r"'y' \(Clip\)"):
            from_onnx(data, "m")
    else:
        assert check_float(data, (8,)).nodes[0].attributes == Relu(activation)


@pytest.mark.quick
@pytest.mark.parametrize("opset", [13, 18])
def test_reduce_mean_and_squeeze(opset):
    axes = {"axes": np.array([2, 3])} if opset == 18 else {}
    attributes = {} if opset == 18 else {"axes": [-1, -2]}
    nodes = [
        helper.make_node("ReduceMean", ["x", *axes], ["m"], **attributes),
        helper.make_node("Squeeze", ["m", "s"], ["y"]),
    ]
    data = model(nodes, {"s": np.array([2, 3]), **axes}, [1, 3, 4, 5], opset)
    check_float(data, (3, 4, 5))


@pytest.mark.quick
@pytest.mark.parametrize("opset", [12, 13])
def test_scaled_softmax(opset):
    nodes = [
        helper.make_node("Mul", ["half", "x"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    constants = {"half": np.array(0.5, np.float32)}
    check_float(model(nodes, constants, [1, 6], opset), (6,))
    image = model(nodes, constants, [1, 6, 2, 2], opset)
    if opset == 13:
        check_float(image, (6, 2, 2))
    else:
        with pytest.raises(UnsupportedError, match="softmax over one dimension"):
            from_onnx(image, "m")
    nodes[1] = helper.make_node("Relu", ["m"], ["y"])
    check_float(model(nodes, constants, [1, 6], opset), (6,))


@pytest.mark.quick
@pytest.mark.parametrize("counted", [0, 1])
def test_padded_average_pool(counted):
    pool = helper.make_node(
        "AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
        count_include_pad=counted,
    )  # fmt: skip
    graph = check_float(model([pool], {}, [1, 3, 5, 5]), (3, 5, 5))
    assert ("pad" in {n.op for n in graph.nodes}) == bool(counted)
