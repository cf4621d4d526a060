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


SPATIAL = {
    "Pad a number": [("Pad", ["x", "pads", "value"], {})],
    "Pad axes": [("Pad", ["x", "two", "", "axes"], {})],
    "Pad of channels": [("Pad", ["x", "channels"], {})],
    "Pad before Conv": [("Pad", ["x", "pads"], {}), ("Conv", ["0", "w"], {})],
    "Pad before ReLU": [("Pad", ["x", "pads"], {}), ("Relu", ["0"], {})],
    "ConvTranspose": [("ConvTranspose", ["x", "t"], {"strides": [2, 1], "pads": [1, 0, 0, 1]})],
    "ConvTranspose, more": [
        ("ConvTranspose", ["x", "t", "b"], {"strides": [3, 2], "output_padding": [2, 1]})
    ],
    "ConvTranspose, grouped": [("ConvTranspose", ["x", "g"], {"group": 2, "dilations": [2, 1]})],
    "MaxPool rounded up": [
        ("MaxPool", ["x"], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1})
    ],
    "AveragePool rounded up": [
        ("AveragePool", ["x"], {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1})
    ],
    "Concat of rows": [("Relu", ["x"], {}), ("Concat", ["x", "0"], {"axis": 2})],
    "Concat of columns": [("Relu", ["x"], {}), ("Concat", ["0", "x"], {"axis": -1})],
    "Sub of a row": [("ReduceMean", ["x"], {"axes": [2, 3]}), ("Sub", ["x", "0"], {})],
    "Mul of columns": [("Mul", ["row", "x"], {})],
    "Add of a channel": [("MaxPool", ["x"], {"kernel_shape": [5, 1]}), ("Add", ["0", "x"], {})],
    "Reshape that moves": [("Reshape", ["x", "shape"], {})],
    "Reshape to a sequence": [("Reshape", ["x", "sequence"], {}), ("Conv", ["0", "w1"], {})],
    "Transpose of rows": [("Transpose", ["x"], {"perm": [0, 1, 3, 2]})],
    "Unsqueeze": [
        ("ReduceMean", ["x"], {"axes": [2, 3], "keepdims": 0}),
        ("Unsqueeze", ["0", "last"], {}),
        ("Tanh", ["1"], {}),
    ],
    "MatMul of columns": [("MatMul", ["x", "m"], {}), ("Add", ["0", "mb"], {})],
    "Softmax over columns": [("Softmax", ["x"], {"axis": 3})],
    "Expand": [("GlobalMaxPool", ["x"], {}), ("Expand", ["0", "wide"], {})],
    "Flatten": [("Flatten", ["x"], {})],
}  # fmt: skip
CONSTANTS = {
    "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "two": np.array([1, 0, 2, 3]),
    "axes": np.array([3, -2]),
    "channels": np.array([0, 1, 0, 0, 0, 2, 1, 0]),
    "value": np.array(-1.5, np.float32),
    "w": weights(3, 4, 3, 3),
    "w1": weights(3, 4, 5),
    "t": weights(4, 3, 3, 2),
    "b": weights(3),
    "g": weights(4, 3, 2, 3),
    "row": weights(5, 1),
    "m": weights(6, 3),
    "mb": weights(3),
    "shape": np.array([0, 10, -1]),
    "sequence": np.array([0, 4, -1]),
    "last": np.array([2]),
    "wide": np.array([1, 1, 2, 3]),
}


@pytest.mark.parametrize("name", SPATIAL)
def test_ops_on_maps(name):
    steps = SPATIAL[name]
    nodes = [
        helper.make_node(op, inputs, ["y" if i == len(steps) - 1 else str(i)], **attributes)
        for i, (op, inputs, attributes) in enumerate(steps)
    ]
    opset = 18 if name == "Pad axes" else 17
    used = {i for node in nodes for i in node.input}
    constants = {n: v for n, v in CONSTANTS.items() if n in used}
    check_float(model(nodes, constants, [1, 4, 5, 6], opset), (4, 5, 6))


def readable(data: bytes) -> bool:
    try:
        from_onnx(data, "m")
    except UnsupportedError:
        return False
    return True


@pytest.mark.parametrize("size", [(10, 12), (3, 4), (7, 9), (1, 1)])
@pytest.mark.parametrize("where", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["linear", "floor", "round_prefer_ceil", "round_prefer_floor"])
def test_resize(mode, where, size):
    """What is read gives what onnxruntime gives; the rest is refused by name."""
    attributes = {"mode": "nearest", "nearest_mode": mode} if mode != "linear" else {"mode": mode}
    node = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], name="up",
        coordinate_transformation_mode=where, **attributes,
    )  # fmt: skip
    data = model([node], {"sizes": np.array([1, 3, *size])}, [1, 3, 5, 6])
    exact = mode == "linear" or (mode, where) in (
        ("floor", "asymmetric"),
        ("round_prefer_ceil", "align_corners"),
        ("round_prefer_ceil", "half_pixel"),
    )
    if not exact and not readable(data):
        with pytest.raises(UnsupportedError, match=r"node 'up' \(Resize\): nearest with"):
            from_onnx(data, "m")
        return
    graph = from_onnx(data, "m")
    assert graph.nodes[0].op == ("resize_bilinear" if mode == "linear" else "resize_nearest")
    check_float(data, (3, 5, 6))


@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
def test_a_sequence_is_a_map_of_one_column(pool):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 2], strides=[2], dilations=[2]),
        helper.make_node(pool, ["c"], ["p"], kernel_shape=[2], strides=[2]),
        helper.make_node("ConvTranspose", ["p", "t"], ["y"], strides=[2]),
    ]
    constants = {"w": weights(6, 2, 3), "b": weights(6), "t": weights(6, 3, 4)}
    nodes[0].attribute.append(helper.make_attribute("group", 2))
    data = model(nodes, constants, ["N", 4, 17])
    graph = from_onnx(data, "m")
    assert graph[graph.inputs[0]].shape == (1, 17, 1, 4)
    assert [n.op for n in graph.nodes] == [
        "conv2d", pool[:-4].lower() + "_pool2d", "transpose_conv2d",
    ]  # fmt: skip
    x = normal((4, 17))
    ours = reference.execute(graph, {"x": x.transpose(0, 2, 1)[:, :, None]})["y"]
    theirs = run_onnx(data, x).transpose(0, 2, 1)[:, :, None]
    np.testing.assert_allclose(ours, theirs, 1e-5, 1e-5)
