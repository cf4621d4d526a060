"""A TFLite file read as a graph gives the integers that LiteRT's reference kernels give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, given, settings

from fedtiny.compiler import reference
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.compiler.ir import Conv2d, DepthwiseConv2d, Graph
from fedtiny.compiler.operators import Mean
from fedtiny.compiler.passes import lower
from fedtiny.compiler.softmax import softmax_int8, softmax_parameters
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import litert, tflite
from tests.graph_strategies import graphs, samples
from tests.tflite_files import TfliteFile, blocks_1x4, csr

RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def random_inputs(graph: Graph, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = {}
    for name in graph.inputs:
        shape = (count, *graph[name].shape[1:])
        if graph[name].dtype == "int8":
            inputs[name] = random.integers(-128, 128, shape).astype(np.int8)
        else:
            inputs[name] = random.normal(size=shape).astype(np.float32)
    return inputs


def check_equal(data: bytes, folder: Path, count: int = 5) -> Graph:
    """Every tensor of the graph that the file names equals LiteRT's; returns the graph."""
    graph = from_tflite(data, "model")
    path = folder / "model.tflite"
    path.write_bytes(data)
    inputs = random_inputs(graph, count)
    ours = reference.execute(graph, inputs, keep_all=True)
    theirs = litert.run(path, inputs, keep_all=True)
    assert set(graph.outputs) <= set(theirs)
    for name in ours.keys() & theirs.keys():
        if graph[name].dtype == "int8":
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        else:
            np.testing.assert_allclose(ours[name], theirs[name], 1e-5, 1e-5, err_msg=name)
    return graph


def is_read(graph: Graph) -> bool:
    """Whether the file holds only operators that are read: GATHER is only written."""
    codes = schema.BuiltinOperator
    written = schema.ModelT.InitFromPackedBuf(tflite.to_bytes(graph), 0).operatorCodes
    return codes.GATHER not in {code.builtinCode for code in written}


@pytest.mark.quick
@settings(max_examples=60, **RELAXED)
@given(graph=graphs("int8").filter(is_read))
def test_what_we_export_reads_back_the_same(graph):
    again = from_tflite(tflite.to_bytes(graph), graph.name)
    x = samples(graph, 2)
    first = reference.execute(graph, x, keep_all=True)
    second = reference.execute(again, x, keep_all=True)
    assert again.outputs == graph.outputs
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@settings(max_examples=40, **RELAXED)
@given(graph=graphs("float32").filter(is_read))
def test_float_export_reads_back_the_same(graph):
    again = from_tflite(tflite.to_bytes(graph), graph.name)
    x = samples(graph, 2)
    first, second = reference.execute(graph, x), reference.execute(again, x)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], 1e-5, 1e-5)


@pytest.mark.quick
def test_reading_is_deterministic():
    data = example_file()
    first, second = from_tflite(data, "m"), from_tflite(data, "m")
    assert list(first.tensors) == list(second.tensors)
    assert tflite.to_bytes(first) == tflite.to_bytes(second)


def conv_constants(
    file: TfliteFile, shape: tuple[int, ...], axis: int, channels: int, scale: float = 0.05
) -> list[int]:
    random = np.random.default_rng(sum(shape))
    scales = random.uniform(0.01, 0.03, channels)
    weights = random.integers(-127, 128, shape)
    bias = random.integers(-500, 500, channels)
    return [
        file.tensor("w", shape, "int8", scales, axis=axis, data=weights),
        file.tensor("b", (channels,), "int32", scales * scale, data=bias),
    ]


def conv_file(
    x: tuple[int, ...], weights: tuple[int, ...], out: tuple[int, ...], **options: int
) -> bytes:
    file = TfliteFile()
    source = file.tensor("x", x, "int8", 0.05, 3)
    constants = conv_constants(file, weights, 0, weights[0])
    target = file.tensor("y", out, "int8", 0.2, -5)
    values = {"strideH": 1, "strideW": 1, **options}
    file.op("CONV_2D", [source, *constants], target, "Conv2DOptions", 3, **values)
    return file.finish([source], [target])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("x", "weights", "out", "options"),
    [
        ((1, 7, 6, 4), (5, 3, 3, 4), (1, 4, 3, 5), {"padding": 0, "strideH": 2, "strideW": 2}),
        ((1, 7, 6, 4), (5, 3, 2, 4), (1, 5, 5, 5), {"padding": 1}),
        ((1, 9, 9, 2), (3, 3, 3, 2), (1, 9, 9, 3), {"dilationHFactor": 2, "dilationWFactor": 2}),
        ((1, 5, 5, 6), (4, 3, 3, 3), (1, 5, 5, 4), {"fusedActivationFunction": 1}),
        ((1, 8, 8, 3), (4, 1, 1, 3), (1, 3, 3, 4), {"strideH": 3, "strideW": 3}),
    ],
    ids=["same-stride", "valid", "dilated", "grouped-relu", "stride-over-kernel"],
)
def test_convolutions(x, weights, out, options, tmp_path):
    check_equal(conv_file(x, weights, out, **options), tmp_path)


@pytest.mark.quick
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(multiplier, tmp_path):
    file = TfliteFile()
    source = file.tensor("x", (1, 6, 5, 4), "int8", 0.05, 3)
    constants = conv_constants(file, (1, 3, 3, 4 * multiplier), 3, 4 * multiplier)
    target = file.tensor("y", (1, 6, 5, 4 * multiplier), "int8", 0.1, 7)
    options = {"strideH": 1, "strideW": 1, "depthMultiplier": multiplier}
    name = "DepthwiseConv2DOptions"
    file.op("DEPTHWISE_CONV_2D", [source, *constants], target, name, 3, **options)
    graph = check_equal(file.finish([source], [target]), tmp_path)
    kind = DepthwiseConv2d if multiplier == 1 else Conv2d
    assert isinstance(graph.nodes[0].attributes, kind)


@pytest.mark.quick
def test_padding_before_a_convolution_is_folded(tmp_path):
    file = TfliteFile()
    source = file.tensor("x", (1, 6, 6, 2), "int8", 0.05, -9)
    amounts = file.tensor("p", (4, 2), "int32", data=np.array([[0, 0], [0, 2], [1, 1], [0, 0]]))
    padded = file.tensor("padded", (1, 8, 8, 2), "int8", 0.05, -9)
    file.op("PAD", [source, amounts], padded, "PadOptions", 2)
    constants = conv_constants(file, (3, 3, 3, 2), 0, 3)
    target = file.tensor("y", (1, 6, 6, 3), "int8", 0.1, 0)
    options = {"strideH": 1, "strideW": 1, "padding": 1}
    file.op("CONV_2D", [padded, *constants], target, "Conv2DOptions", 3, **options)
    graph = lower(check_equal(file.finish([source], [target]), tmp_path))
    assert [n.op for n in graph.nodes] == ["conv2d"]
    attributes = graph.nodes[0].attributes
    assert isinstance(attributes, Conv2d)
    assert attributes.padding == ((0, 2), (1, 1))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("size", "ratio", "zero", "kept"),
    [
        ((3, 3), 1.0, 0, 1),
        ((4, 4), 1.0, -128, 1),
        ((8, 8), 1.37, 11, 0),
        ((1, 1), 1.0, 5, 0),
        ((7, 7), 1.0, 0, 1),
        ((5, 3), 0.4, -7, 0),
    ],
)
def test_mean_is_exact(size, ratio, zero, kept, tmp_path):
    graph = check_equal(mean_file(size, ratio, zero, kept), tmp_path, 200)
    assert isinstance(graph.nodes[0].attributes, Mean)


def mean_file(size: tuple[int, int], ratio: float, zero: int, kept: int) -> bytes:
    file = TfliteFile()
    source = file.tensor("x", (1, *size, 3), "int8", 0.05, zero)
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2]))
    shape = (1, 1, 1, 3) if kept else (1, 3)
    target = file.tensor("y", shape, "int8", 0.05 * ratio, zero)
    file.op("MEAN", [source, axes], target, "ReducerOptions", 2, keepDims=bool(kept))
    return file.finish([source], [target])


@pytest.mark.quick
def test_concatenation_is_exact(tmp_path):
    file = TfliteFile()
    x = file.tensor("x", (1, 4, 5, 2), "int8", 0.05, 3)
    pooled = file.tensor("pooled", (1, 4, 5, 2), "int8", 0.05, 3)
    pool = {"padding": 0, "strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 3}
    file.op("MAX_POOL_2D", [x], pooled, "Pool2DOptions", 2, **pool)
    y = file.tensor("y", (1, 4, 5, 6), "int8", 0.05, 3)
    file.op("CONCATENATION", [x, pooled, x], y, "ConcatenationOptions", 2, axis=3)
    graph = check_equal(file.finish([x], [y]), tmp_path, 20)
    assert [node.op for node in graph.nodes] == ["max_pool2d", "concat", "concat"]


@pytest.mark.quick
@pytest.mark.parametrize(("scale", "beta"), [(0.17, 1.0), (0.003, 1.0), (1.5, 0.5), (0.09, 2.0)])
def test_softmax_is_exact(scale, beta, tmp_path):
    file = TfliteFile()
    source = file.tensor("x", (1, 13), "int8", scale, 20)
    target = file.tensor("y", (1, 13), "int8", 1 / 256, -128)
    file.op("SOFTMAX", [source], target, "SoftmaxOptions", 2, beta=beta)
    check_equal(file.finish([source], [target]), tmp_path, 400)


@pytest.mark.quick
def test_softmax_is_near_the_real_one():
    x = np.random.default_rng(1).integers(-128, 128, (50, 10)).astype(np.int8)
    exponential = np.exp(x * 0.1)
    real = 256 * exponential / exponential.sum(axis=1, keepdims=True) - 128
    ours = softmax_int8(x, softmax_parameters(1.0, 0.1))
    assert np.max(np.abs(ours - np.clip(real, -128, 127))) < 0.51


def fully_connected_file(
    kind: str, weights: np.ndarray, bias: bool = True, x: tuple[int, ...] = ()
) -> bytes:
    """A fully connected layer whose weights are stored in one of several ways."""
    out, wide = weights.shape
    file = TfliteFile()
    real = kind in ("float", "float16")
    source = file.tensor("x", x or (1, wide), *(("float32",) if real else ("int8", 0.05, 4)))
    if kind in ("csr", "1x4"):
        sparsity, values = csr(weights) if kind == "csr" else blocks_1x4(weights)
        w = file.tensor("s", weights.shape, "int8", 0.02, data=values, sparsity=sparsity)
        dense = file.tensor("w", weights.shape, "int8", 0.02)
        w = file.op("DENSIFY", [w], dense, "DensifyOptions")
    elif kind == "float16":
        w = file.tensor("h", weights.shape, "float16", data=weights)
        w = file.op("DEQUANTIZE", [w], file.tensor("w", weights.shape, "float32"), version=3)
    else:
        quantization = {} if real else {"scale": 0.02}
        w = file.tensor(
            "w", weights.shape, "float32" if real else "int8", **quantization, data=weights
        )
    inputs = [source, w]
    if bias:
        values = np.arange(out) * 10 - 20
        dtype = "float32" if real else "int32"
        inputs.append(file.tensor("b", (out,), dtype, None if real else 0.001, data=values))
    target = file.tensor("y", (1, out), *(("float32",) if real else ("int8", 0.3, -10)))
    options = "FullyConnectedOptions"
    file.op("FULLY_CONNECTED", inputs, target, options, 1 if real else 4)
    return file.finish([source], [target])


@pytest.mark.quick
@pytest.mark.parametrize("activation", [0, 1])
def test_fully_connected_with_a_scale_for_every_output(activation, tmp_path):
    """What converters write today."""
    file, random = TfliteFile(), np.random.default_rng(activation)
    scales = random.uniform(0.001, 0.02, 7)
    x = file.tensor("x", (1, 12), "int8", 0.05, 7)
    weights, bias = random.integers(-127, 128, (7, 12)), random.integers(-900, 900, 7)
    constants = [
        file.tensor("w", (7, 12), "int8", scales, data=weights),
        file.tensor("b", (7,), "int32", scales * 0.05, data=bias),
    ]
    y = file.tensor("y", (1, 7), "int8", 0.03, -20)
    options = {"fusedActivationFunction": activation}
    file.op("FULLY_CONNECTED", [x, *constants], y, "FullyConnectedOptions", 12, **options)
    data = file.finish([x], [y])
    graph = check_equal(data, tmp_path, 3000)
    assert [node.op for node in graph.nodes] == ["fully_connected"]
    again = from_tflite(tflite.to_bytes(graph), "model")
    assert again[again.nodes[0].inputs[1]].quantization.axis == 0
    inputs = random_inputs(graph, 5)
    (output,) = graph.outputs
    np.testing.assert_array_equal(
        reference.execute(again, inputs)[output], reference.execute(graph, inputs)[output]
    )


def sparse_weights(out: int = 6, wide: int = 16) -> np.ndarray:
    random = np.random.default_rng(5)
    tiles = random.random((out, wide // 4, 1)) < 0.4
    keep = np.broadcast_to(tiles, (out, wide // 4, 4)).reshape(out, wide)
    return np.where(keep, random.integers(1, 128, (out, wide)), 0)


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["dense", "csr", "1x4", "float", "float16"])
@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected_weights(kind, bias, tmp_path):
    weights = sparse_weights()
    graph = check_equal(fully_connected_file(kind, weights, bias), tmp_path)
    stored = graph[graph.nodes[0].inputs[1]]
    np.testing.assert_array_equal(stored.value, weights)
    assert stored.pattern is not None
    assert stored.pattern.kind == "block1x4"


@pytest.mark.quick
def test_fully_connected_flattens_a_map(tmp_path):
    data = fully_connected_file("dense", sparse_weights(), x=(1, 2, 2, 4))
    graph = check_equal(data, tmp_path)
    assert [n.op for n in graph.nodes] == ["reshape", "fully_connected"]


def example_file(io: str = "int8", relu: bool = False) -> bytes:
    """Convolution, pooling, reshape, with other types at its ends and a separate RELU."""
    file = TfliteFile()
    first = x = file.tensor("x", (1, 4, 4, 2), "int8", 0.05, 3)
    if io != "int8":
        quantization = (0.05, 131) if io == "uint8" else ()
        first = file.tensor("x_io", (1, 4, 4, 2), io, *quantization)
        file.op("QUANTIZE", [first], x, "QuantizeOptions")
    constants = conv_constants(file, (3, 3, 3, 2), 0, 3)
    y = file.tensor("conv", (1, 4, 4, 3), "int8", 0.1, -7)
    options = {"strideH": 1, "strideW": 1}
    file.op("CONV_2D", [x, *constants], y, "Conv2DOptions", 3, **options)
    if relu:
        y = file.op("RELU", [y], file.tensor("relu", (1, 4, 4, 3), "int8", 0.1, -7), version=2)
    pooled = file.tensor("pooled", (1, 2, 2, 3), "int8", 0.1, -7)
    window = {"filterHeight": 2, "filterWidth": 2, "strideH": 2, "strideW": 2, "padding": 1}
    file.op("AVERAGE_POOL_2D", [y], pooled, "Pool2DOptions", 2, **window)
    last = flat = file.tensor("flat", (1, 12), "int8", 0.1, -7)
    shape = file.tensor("shape", (2,), "int32", data=np.array([1, 12]))
    file.op("RESHAPE", [pooled, shape], flat, "ReshapeOptions", newShape=[1, 12])
    if io == "float32":
        last = file.op("DEQUANTIZE", [flat], file.tensor("y_io", (1, 12), io), version=2)
    elif io == "uint8":
        last = file.tensor("y_io", (1, 12), io, 0.1, 121)
        file.op("QUANTIZE", [flat], last, "QuantizeOptions")
    return file.finish([first], [last])


@pytest.mark.quick
@pytest.mark.parametrize("relu", [False, True])
def test_example(relu, tmp_path):
    graph = check_equal(example_file(relu=relu), tmp_path)
    assert [n.op for n in graph.nodes] == ["conv2d", "average_pool2d", "reshape"]


@pytest.mark.quick
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_quantization_at_the_ends_is_left_out(io):
    graph = from_tflite(example_file(io), "m")
    plain = from_tflite(example_file(), "m")
    assert (graph.inputs, graph.outputs) == (("x",), ("flat",))
    inputs = random_inputs(plain, 3)
    first, second = reference.execute(graph, inputs), reference.execute(plain, inputs)
    np.testing.assert_array_equal(first["flat"], second["flat"])


@pytest.mark.quick
@pytest.mark.parametrize("cut", [0, 3, 8, 40, 200, 700])
def test_truncated_file(cut):
    with pytest.raises(UsageError, match=r"^m: ") as caught:
        from_tflite(example_file()[:cut], "m")
    assert str(caught.value).endswith(".")


@pytest.mark.quick
def test_unsupported_operator_is_named():
    file = TfliteFile()
    x = file.tensor("x", (1, 4), "float32")
    file.op("SIN", [x], y := file.tensor("activated", (1, 4), "float32"))
    with pytest.raises(UnsupportedError, match=r"node 'activated' \(SIN\).*CONV_2D.*SOFTMAX"):
        from_tflite(file.finish([x], [y]), "m")


@pytest.mark.quick
def test_batch_other_than_one_is_refused():
    file = TfliteFile()
    x = file.tensor("x", (4, 8), "int8", 0.1)
    y = file.tensor("y", (4, 8), "int8", 1 / 256, -128)
    file.op("SOFTMAX", [x], y, "SoftmaxOptions", 2, beta=1.0)
    with pytest.raises(UnsupportedError, match=r"'x'.*\[4, 8\].*batch dimension of 1"):
        from_tflite(file.finish([x], [y]), "m")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: setattr(f.subgraph.operators[0], "inputs", [0, 1, 99]), "reads tensor 99"),
        (lambda f: setattr(f.subgraph.operators[0], "inputs", [3, 1, 2]), "not made yet"),
        (lambda f: setattr(f.subgraph.tensors[1], "shape", [3, 3, 3, 4]), "takes 108"),
        (lambda f: setattr(f.subgraph.tensors[3], "shape", [1, 4, 5, 3]), "its output is"),
        (lambda f: setattr(f.subgraph.tensors[0], "shape", [1, 2**30, 2, 2]), "has the shape"),
        (lambda f: setattr(f.subgraph.tensors[0], "quantization", None), "without one scale"),
        (
            lambda f: setattr(
                f.subgraph.tensors[3].quantization, "scale", np.array([np.nan], np.float32)
            ),
            "makes no sense",
        ),
        (
            lambda f: setattr(
                f.subgraph.tensors[3].quantization, "scale", np.array([1e-12], np.float32)
            ),
            "overflow the int32",
        ),
        (lambda f: setattr(f.subgraph.operators[0].builtinOptions, "strideH", 0), "stride"),
        (lambda f: setattr(f.model.operatorCodes[0], "version", 99), "version 99"),
    ],
)
def test_contradictions(change, message):
    file = TfliteFile()
    x = file.tensor("x", (1, 4, 4, 2), "int8", 0.05, 3)
    constants = conv_constants(file, (3, 3, 3, 2), 0, 3)
    y = file.tensor("y", (1, 4, 4, 3), "int8", 0.1, -7)
    options = {"strideH": 1, "strideW": 1}
    file.op("CONV_2D", [x, *constants], y, "Conv2DOptions", 3, **options)
    change(file)
    with pytest.raises(UsageError, match=message):
        from_tflite(file.finish([x], [y]), "m")
