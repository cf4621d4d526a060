"""The TFLite file means exactly what the reference executor says: every tensor, bit for bit."""

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from fedtiny.compiler import reference
from fedtiny.compiler.ir import (
    Add,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    FullyConnected,
    Graph,
    Node,
    Tensor,
)
from fedtiny.compiler.operators import Unary
from fedtiny.compiler.quantization import per_tensor
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import litert, tflite
from tests.graph_strategies import graphs, samples

RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def compare(graph: Graph, path, count: int = 3) -> tuple[dict, dict]:
    tflite.write(graph, path)
    x = samples(graph, count)
    ours = reference.execute(graph, x, keep_all=True)
    theirs = litert.run(path, x, reference=True, keep_all=True)
    assert set(ours) <= set(theirs)
    return ours, theirs


@pytest.mark.quick
@settings(max_examples=120, **RELAXED)
@given(graph=graphs("int8"))
def test_int8_equals_litert_reference(graph, tmp_path):
    ours, theirs = compare(graph, tmp_path / "m.tflite")
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32"))
def test_float_is_close_to_litert(graph, tmp_path):
    ours, theirs = compare(graph, tmp_path / "m.tflite")
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)


def single(attributes, shapes: dict, constants: dict, output, inputs=("x",)) -> Graph:
    """One int8 node; `shapes` and `output` are (shape, scale, zero point)."""
    tensors = {
        name: Tensor(name, shape, "int8", per_tensor(scale, zero))
        for name, (shape, scale, zero) in {**shapes, "y": output}.items()
    }
    for name, (data, scale) in constants.items():
        tensors[name] = Tensor(name, data.shape, data.dtype.name, per_tensor(scale, 0), data)
    node = Node("node", attributes, (*inputs, *constants), ("y",))
    return Graph("single", tensors, (node,), tuple(inputs), ("y",)).verify()


@pytest.mark.quick
@pytest.mark.parametrize("factor", [0.5, 1.5, 0.125, 1 / 3])
def test_fully_connected_rounds_once_and_ties_away_from_zero(factor, tmp_path):
    """Every accumulator from -400 to 400, so that ties occur where the factor has them."""
    bias = np.arange(-400, 401, dtype=np.int32)
    weights = np.zeros((bias.size, 1), np.int8)
    graph = single(
        FullyConnected(),
        {"x": ((1, 1), factor, 3)},
        {"w": (weights, 1.0), "b": (bias, factor)},
        ((1, bias.size), 1.0, -7),
    )
    ours, theirs = compare(graph, tmp_path / "m.tflite")
    np.testing.assert_array_equal(ours["y"], theirs["y"])
    exact = np.trunc(bias * factor + np.copysign(0.5, bias)) - 7  # half away from zero
    np.testing.assert_array_equal(ours["y"][0], np.clip(exact, -128, 127))


@pytest.mark.quick
@pytest.mark.parametrize("factor", [0.5, 1.5, 0.125, 0.1, 3.7])
def test_convolution_rounds_as_litert_on_every_accumulator(factor, tmp_path):
    bias = np.arange(-2000, 2001, dtype=np.int32)
    graph = single(
        Conv2d(),
        {"x": ((1, 1, 1, 1), factor, 3)},
        {"w": (np.zeros((bias.size, 1, 1, 1), np.int8), 1.0), "b": (bias, factor)},
        ((1, 1, 1, bias.size), 1.0, -7),
    )
    ours, theirs = compare(graph, tmp_path / "m.tflite", count=1)
    np.testing.assert_array_equal(ours["y"], theirs["y"])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("scales", "zeros"),
    [
        ((0.02, 0.07, 0.05), (-128, 5, -60)),
        ((1.0, 1.0, 2.0), (0, 0, 0)),
        ((3.0, 0.01, 1.3), (9, 127, 0)),
    ],
)
def test_add_equals_litert_on_every_pair_of_values(scales, zeros, tmp_path):
    shape = (1, 256, 256, 1)
    graph = single(
        Add(),
        {"a": (shape, scales[0], zeros[0]), "b": (shape, scales[1], zeros[1])},
        {},
        (shape, scales[2], zeros[2]),
        inputs=("a", "b"),
    )
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    x = {"a": a.astype(np.int8).reshape(shape), "b": b.astype(np.int8).reshape(shape)}
    path = tmp_path / "m.tflite"
    tflite.write(graph, path)
    np.testing.assert_array_equal(
        reference.execute(graph, x)["y"], litert.run(path, x, reference=True)["y"]
    )


@pytest.mark.quick
def test_average_pool_rounds_halves_away_from_zero(tmp_path):
    graph = single(
        AveragePool2d((1, 2), (1, 2)),
        {"x": ((1, 256, 512, 1), 0.1, 4)},
        {},
        ((1, 256, 256, 1), 0.1, 4),
    )
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128), indexing="ij")
    x = {"x": np.stack([a, b], -1).astype(np.int8).reshape(1, 256, 512, 1)}
    path = tmp_path / "m.tflite"
    tflite.write(graph, path)
    np.testing.assert_array_equal(
        reference.execute(graph, x)["y"], litert.run(path, x, reference=True)["y"]
    )


@pytest.mark.quick
@settings(max_examples=10, **RELAXED)
@given(graph=graphs("int8"))
def test_same_graph_same_bytes(graph):
    digests = {hashlib.sha256(tflite.to_bytes(graph)).hexdigest() for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.quick
def test_constants_are_aligned(tmp_path):
    data = np.arange(1, 1 + 37 * 4, dtype=np.float32).reshape(37, 4)
    tensors = [
        Tensor("x", (1, 4), "float32"),
        Tensor("odd", (37, 4), "float32", data=data),
        Tensor("b", (37,), "float32", data=np.zeros(37, np.float32)),
        Tensor("y", (1, 37), "float32"),
    ]
    node = Node("fc", FullyConnected(), ("x", "odd", "b"), ("y",))
    graph = Graph("aligned", {t.name: t for t in tensors}, (node,), ("x",), ("y",)).verify()
    assert tflite.to_bytes(graph).index(data.tobytes()) % 16 == 0


@pytest.mark.quick
def test_what_has_no_form_is_named():
    tensors = [Tensor(n, (1, 2, 2, 1), "float32") for n in "xy"]
    ones = np.ones(1, np.float32)
    tensors += [Tensor(n, (1,), "float32", data=ones) for n in "abcd"]
    node = Node("norm", BatchNorm(), ("x", *"abcd"), ("y",))
    graph = Graph("g", {t.name: t for t in tensors}, (node,), ("x",), ("y",)).verify()
    with pytest.raises(UnsupportedError, match="'norm': batch_norm"):
        tflite.to_bytes(graph)


@pytest.mark.quick
def test_average_pool_with_other_padding_is_refused():
    graph = single(
        AveragePool2d((2, 2), (1, 1), ((1, 1), (1, 1))),
        {"x": ((1, 3, 3, 1), 0.1, 4)},
        {},
        ((1, 4, 4, 1), 0.1, 4),
    )
    with pytest.raises(UnsupportedError, match=r"'node': average_pool2d with padding"):
        tflite.to_bytes(graph)


@pytest.mark.quick
def test_random_bytes_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "bad.tflite"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(UsageError, match="no usable TensorFlow Lite file"):
        litert.interpreter(path)
    with pytest.raises(UsageError, match="does not exist"):
        litert.interpreter(tmp_path / "absent.tflite")


@pytest.mark.quick
def test_wrong_input_is_refused(tmp_path):
    shape = (1, 2, 2, 1)
    graph = single(AveragePool2d(), {"x": (shape, 0.1, 0)}, {}, (shape, 0.1, 0))
    tflite.write(graph, tmp_path / "m.tflite")
    with pytest.raises(UsageError, match="input 'x' is float32"):
        litert.run(tmp_path / "m.tflite", {"x": np.zeros((1, 2, 2, 1), np.float32)})


@pytest.mark.quick
@pytest.mark.parametrize("scale", [2.438105, 1.2, 0.6, 300.0])
def test_hard_swish_of_values_far_below_the_output_scale(tmp_path, scale):
    """TensorFlow Lite's 16-bit division by 2^16 and more gives 1 or -1."""
    graph = single(
        Unary("hard_swish"), {"x": ((1, 1, 1, 1), 1 / 256, -128)}, {}, ((1, 1, 1, 1), scale, 0)
    )
    tflite.write(graph, tmp_path / "m.tflite")
    x = {"x": np.arange(-128, 128, dtype=np.int8).reshape(-1, 1, 1, 1)}
    ours, theirs = reference.execute(graph, x), litert.run(tmp_path / "m.tflite", x)
    np.testing.assert_array_equal(ours["y"], theirs["y"])
