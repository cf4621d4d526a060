"""An ONNX file read as a graph gives what onnxruntime gives: float closely, int8 within one LSB."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper
from torch import nn

from fedtiny.compiler import reference
from fedtiny.compiler.frontends.onnx_file import from_onnx
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import onnx as onnx_exporter
from fedtiny.exporters.tolerance import TOLERANCE_LSB
from tests.graph_strategies import graphs, samples
from tests.onnx_models import check_float, int8_difference, model, normal, qdq, weights

RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


class Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.down = nn.Conv2d(channels, out, 1, stride) if stride != 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.down(x))


class Residual(nn.Module):
    """Residual blocks, dilated depthwise, grouped, pooling, and a flatten of 3x3 pixels."""

    shape = (3, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 12, 2))
        self.depthwise = nn.Conv2d(12, 12, 3, 1, 2, dilation=2, groups=12)
        self.grouped = nn.Conv2d(12, 8, 1, groups=2)
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(8 * 3 * 3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(self.blocks(self.stem(x)))
        x = nn.functional.avg_pool2d(torch.relu(self.grouped(x)), 2)
        return self.fc(self.drop(torch.flatten(x, 1)))


class Padded(nn.Module):
    """Asymmetric padding before a strided convolution, global pooling, a view, softmax."""

    shape = (1, 9, 9)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 6, 3, 2, bias=False), nn.BatchNorm2d(6)
        )
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.adaptive_avg_pool2d(torch.relu(self.body(x)), 1)
        return torch.softmax(self.fc(x.view(x.size(0), -1)), -1)


class Mean(nn.Module):
    """A mean over H and W, and fully connected layers."""

    shape = (5, 6, 7)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 6, (3, 2), (2, 1))
        self.fc = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


NETWORKS = [Residual, Padded, Mean]


def trained_looking(kind: type[nn.Module]) -> nn.Module:
    """A network whose batch-normalization statistics are not the initial ones."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = kind().train()
    with torch.no_grad():
        for _ in range(3):
            module(1.5 * torch.randn(8, *kind.shape))  # type: ignore[attr-defined]
    return module.eval()


def exported(kind: type[nn.Module], dynamo: bool, open_batch: bool, opset: int) -> bytes:
    module = trained_looking(kind)
    x = torch.randn(2 if open_batch else 1, *kind.shape)  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            dynamic = ({0: torch.export.Dim("n")},) if open_batch else None
            program = torch.onnx.export(
                module,
                (x,),
                dynamo=True,
                verbose=False,
                dynamic_shapes=dynamic,
                external_data=False,
                opset_version=opset,
            )
            assert program is not None
            return program.model_proto.SerializeToString()
        file = io.BytesIO()
        torch.onnx.export(
            module,
            (x,),
            file,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}} if open_batch else None,
            do_constant_folding=open_batch,
            opset_version=opset,
        )
        return file.getvalue()


def quantized(
    data: bytes, shape: Sequence[int], folder: Path, per_channel: bool, kind: str
) -> bytes:
    """The QDQ file that onnxruntime makes of a float file."""
    from onnxruntime import quantization as tool
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.samples = iter([{name: normal(shape, 1, seed)} for seed in range(8)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.samples, None)

    (folder / "float.onnx").write_bytes(data)
    name = onnx.load_from_string(data).graph.input[0].name
    quant_pre_process(folder / "float.onnx", folder / "prepared.onnx")
    tool.quantize_static(
        folder / "prepared.onnx",
        folder / "quantized.onnx",
        Reader(name),
        quant_format=tool.QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=getattr(tool.QuantType, kind),
        weight_type=tool.QuantType.QInt8,
    )
    return (folder / "quantized.onnx").read_bytes()


@pytest.mark.quick
@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("open_batch", [True, False])
@pytest.mark.parametrize("kind", NETWORKS)
def test_torch_export(kind, open_batch, opset):
    data = exported(kind, dynamo=False, open_batch=open_batch, opset=opset)
    graph = check_float(data, kind.shape)
    assert "transpose" not in {node.op for node in graph.nodes}


@pytest.mark.parametrize(("open_batch", "opset"), [(True, 18), (False, 20), (True, 23)])
@pytest.mark.parametrize("kind", NETWORKS)
def test_torch_export_dynamo(kind, open_batch, opset):
    check_float(exported(kind, dynamo=True, open_batch=open_batch, opset=opset), kind.shape)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    ("per_channel", "activations"), [(False, "QInt8"), (True, "QInt8"), (True, "QUInt8")]
)
def test_quantize_static(kind, per_channel, activations, tmp_path):
    data = exported(kind, dynamo=False, open_batch=True, opset=17)
    data = quantized(data, kind.shape, tmp_path, per_channel, activations)
    _, difference = int8_difference(data, kind.shape, 60)
    assert difference <= (TOLERANCE_LSB if kind is Residual else 1)


@pytest.mark.quick
@settings(max_examples=40, **RELAXED)
@given(graph=graphs("int8"))
def test_what_we_export_reads_back_the_same(graph):
    again = from_onnx(onnx_exporter.to_bytes(graph), graph.name)
    x = samples(graph, 2)
    first, second = reference.execute(graph, x), reference.execute(again, x)
    assert again.outputs == graph.outputs
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@settings(max_examples=40, **RELAXED)
@given(graph=graphs("float32"))
def test_float_export_reads_back_the_same(graph):
    again = from_onnx(onnx_exporter.to_bytes(graph), graph.name)
    x = samples(graph, 2)
    first, second = reference.execute(graph, x), reference.execute(again, x)
    assert again.outputs == graph.outputs
    for name in graph.outputs:
        np.testing.assert_allclose(first[name], second[name], 1e-5, 1e-5)


@pytest.mark.quick
def test_an_output_that_is_moved_at_the_end_keeps_its_name():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 2, 1, 3]),
    ]
    graph = check_float(model(nodes, {}, (1, 3, 4, 5)), (3, 4, 5))
    assert graph.outputs == ("y",)


@pytest.mark.quick
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_one_quantized_convolution(kind):
    shift = 128 if kind is np.uint8 else 0
    first, constants = qdq("x", np.array(5 + shift, kind), 0.03)
    last, more = qdq("y0", np.array(shift - 20, kind), 0.05)
    stored = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales = np.array([0.002, 0.003, 0.001, 0.004], np.float32)
    bias = np.array([100, -200, 300, 0], np.int32)
    constants |= more | {"w": stored, "ws": scales, "wz": np.zeros(4, np.int8)}
    constants |= {"b": bias, "bs": scales * np.float32(0.03), "bz": np.zeros(4, np.int32)}
    nodes = [
        *first,
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], axis=0),
        helper.make_node("Conv", ["x_d", "wd", "bd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y0"]),
        *last,
        helper.make_node("Identity", ["y0_d"], ["y"]),
    ]
    data = model(nodes, constants, [1, 3, 6, 6])
    graph, difference = int8_difference(data, (3, 6, 6), 100)
    assert difference <= 1
    assert [n.op for n in graph.nodes] == ["conv2d"]
    meaning = graph["x"].quantization
    assert meaning is not None
    assert meaning.zero_point == 5
    np.testing.assert_array_equal(graph["wd"].value, stored.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(graph["bd"].value, bias)


@pytest.mark.quick
def test_weights_alone_quantized_stay_a_float_graph():
    constants = {"w": np.array([[1, -2], [3, 4]], np.int8), "s": np.float32(0.5)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"]),
        helper.make_node("MatMul", ["x", "wd"], ["y"]),
    ]
    graph = check_float(model(nodes, constants, [1, 2]), (2,))
    assert {t.dtype for t in graph.tensors.values()} == {"float32"}


@pytest.mark.quick
def test_partly_quantized_is_refused():
    nodes, constants = qdq("x", np.int8(0), 0.1)
    nodes.append(helper.make_node("Gemm", ["x_d", "w"], ["y"]))
    with pytest.raises(UnsupportedError, match="'y' has no QuantizeLinear"):
        from_onnx(model(nodes, {**constants, "w": weights(4, 3)}, [1, 4]), "m")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        ([helper.make_node("Tan", ["x"], ["y"])], [1, 4], r"node 'y' \(Tan\).*Conv.*Softmax"),
        ([helper.make_node("Relu", ["x"], ["y"])], [4, 4], r"'x'.*\[4, 4\].*batch dimension of 1"),
        ([helper.make_node("Relu", ["x"], ["y"])], [1, "width"], r"\[1, width\]"),
        ([helper.make_node("Relu", ["z"], ["y"])], [1, 4], "reads 'z' before it is made"),
        ([helper.make_node("Softmax", ["x"], ["y"], axis=0)], [1, 4, 4], "softmax over one dim"),
        ([helper.make_node("Relu", ["x"], ["y"], domain="my")], [1, 4], r"my\.Relu"),
    ],
)
def test_unsupported(nodes, shape, message):
    with pytest.raises(UsageError, match=message):
        from_onnx(model(nodes, {}, shape), "m")


@pytest.mark.quick
def test_old_and_new_operator_sets_are_refused():
    for opset in (10, 24):
        with pytest.raises(UnsupportedError, match=f"operator set {opset}; 11 to 23"):
            from_onnx(model([helper.make_node("Relu", ["x"], ["y"])], {}, [1, 4], opset), "m")


@pytest.mark.quick
def test_names_that_would_break_a_message():
    strange = model([helper.make_node("Re\nlu", ["x"], ["y"])], {}, [1, 4])
    with pytest.raises(UnsupportedError, match=r"\('Re\\nlu'\)"):
        from_onnx(strange, "m")
    data = model([helper.make_node("Relu", ["x"], ["name"])], {}, [1, 4])
    with pytest.raises(UsageError, match="is not UTF-8"):
        from_onnx(data.replace(b"name", b"na\xffe"), "m")


@pytest.mark.quick
def test_external_data_is_refused():
    proto = onnx.load_from_string(
        model([helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": weights(4, 4)}, [1, 4])
    )
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(UnsupportedError, match="'w' is in another file"):
        from_onnx(proto.SerializeToString(), "m")


@pytest.mark.quick
def test_folding_is_bounded():
    nodes = [helper.make_node("Concat", ["c", "c"], ["c0"], axis=0)]
    nodes += [
        helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(60)
    ]
    with pytest.raises(UsageError, match="too large"):
        from_onnx(model(nodes, {"c": np.zeros(1 << 16, np.int8)}, [1, 4]), "m")
    fill = [helper.make_node("ConstantOfShape", ["s"], ["y"])]
    with pytest.raises(UsageError, match="too large"):
        from_onnx(model(fill, {"s": np.array([1 << 31, 1 << 31])}, [1, 4]), "m")
