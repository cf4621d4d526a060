"""The ONNX file: accepted by the checker, float close to the reference, int8 within stated LSBs."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph, Node, Tensor
from fedtiny.compiler.operators import ResizeBilinear, ResizeNearest, Transpose
from fedtiny.compiler.passes import lower, prune_magnitude, quantize
from fedtiny.compiler.quantization import quantize_values
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError
from fedtiny.exporters import onnx as exporter
from fedtiny.exporters import ort, tolerance
from fedtiny.models import create
from tests.graph_strategies import GraphBuilder, graphs, samples

RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@st.composite
def vectors(draw) -> Graph:
    """One int8 fully connected node."""
    b = GraphBuilder(draw, "int8")
    x = b.activation("input", (1, draw(st.integers(1, 40))))
    y = b.fully_connected(x, "fc")
    return Graph("vector", b.tensors, tuple(b.nodes), ("input",), (y,)).verify()


@pytest.mark.quick
@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32"))
def test_float_is_close_to_the_reference(graph, tmp_path):
    path = tmp_path / "m.onnx"
    exporter.write(graph, path)
    x = samples(graph, 3)
    ours, theirs = execute(graph, x), ort.run(path, graph, x)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.quick
@pytest.mark.parametrize("kind", [ResizeBilinear, ResizeNearest])
def test_a_resized_transpose_runs(kind, tmp_path):
    """onnxruntime moves the transpose behind the resizing."""
    shapes = {"x": (1, 3, 4, 2), "t": (1, 4, 2, 3), "y": (1, 7, 2, 3)}
    tensors = {name: Tensor(name, shape, "float32") for name, shape in shapes.items()}
    nodes = (
        Node("transpose", Transpose((0, 2, 3, 1)), ("x",), ("t",)),
        Node("resize", kind(False, False), ("t",), ("y",)),
    )
    graph = Graph("moved", tensors, nodes, ("x",), ("y",)).verify()
    exporter.write(graph, tmp_path / "m.onnx")
    x = samples(graph, 3)
    theirs = ort.run(tmp_path / "m.onnx", graph, x)
    np.testing.assert_allclose(execute(graph, x)["y"], theirs["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.quick
@settings(max_examples=120, **RELAXED)
@given(graph=st.one_of(graphs("int8", most=1, tail=False), vectors()))
def test_a_layer_is_within_one_lsb(graph, tmp_path):
    path = tmp_path / "m.onnx"
    exporter.write(graph, path)
    x = samples(graph, 8)
    ours, theirs = execute(graph, x), ort.run(path, graph, x)
    for name, value in ours.items():
        # TensorFlow Lite's weights of a bilinear mean are rounded to 1 / 1024.
        most = 4 if graph.nodes[0].op == "resize_bilinear" else 1
        assert np.abs(value.astype(int) - theirs[name]).max() <= most


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_resnet8_is_within_the_stated_lsbs(density, tmp_path):
    module = create("resnet8", (1, 28, 28), 10, seed=1).train()
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(200, 1, 28, 28, generator=generator)
    with torch.no_grad():
        for start in (0, 100):
            module(x[start : start + 100])  # statistics for the normalization
    graph = lower(prune_magnitude(from_torch(module, (1, 28, 28), "resnet8"), density))
    images = x.permute(0, 2, 3, 1).numpy()
    graph = quantize(graph, ranges_from_data(graph, images))
    path = tmp_path / "m.onnx"
    exporter.write(graph, path)
    q = {"input": quantize_values(images, graph["input"].quantization)}
    (output,) = graph.outputs
    ours, theirs = execute(graph, q)[output], ort.run(path, graph, q)[output]
    assert ours.std() > 30  # outputs that say something
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= tolerance.TOLERANCE_LSB
    assert difference.mean() < 1
    assert ort.tolerance_lsb(ort.open_session(path)) == tolerance.TOLERANCE_LSB


@pytest.mark.quick
@settings(max_examples=10, **RELAXED)
@given(graph=graphs("int8"))
def test_same_graph_same_bytes_and_names_are_kept(graph):
    data = exporter.to_bytes(graph)
    assert data == exporter.to_bytes(graph)
    model = onnx.load_from_string(data)
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)
    made = {name for node in model.graph.node for name in node.output}
    made |= {value.name for value in model.graph.input}
    assert {tensor.name for tensor in graph.activations()} <= made
    for tensor in graph.activations():
        assert f"{tensor.name}/quantized" in made


@pytest.mark.quick
@settings(max_examples=40, **RELAXED)
@given(graph=graphs("int8").filter(lambda g: g.nodes[-1].op == "softmax"), seed=st.integers(0, 99))
def test_the_tolerance_covers_what_softmax_makes_of_it(graph, seed):
    """Logits off by the tolerance of a logit give probabilities within the stated tolerance."""
    node = graph.nodes[-1]
    logits = replace(graph, nodes=(node,), inputs=node.inputs)
    rng = np.random.default_rng(seed)
    shape = (50, *graph[node.inputs[0]].shape[1:])
    x = rng.integers(-128, 128, shape)
    y = np.clip(x + rng.choice([-1, 1], shape) * tolerance.TOLERANCE_LSB, -128, 127)
    a, b = (execute(logits, {node.inputs[0]: v.astype(np.int8)})[node.output] for v in (x, y))
    assert np.abs(a.astype(int) - b).max() <= tolerance.tolerance_lsb(graph)


@pytest.mark.quick
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path):
    graph = Graph("none", {}, (), (), ())
    path = tmp_path / "bad.onnx"
    with pytest.raises(UsageError, match="does not exist"):
        ort.run(path, graph, {})
    path.write_bytes(b"\x08\x08garbage")
    with pytest.raises(UsageError, match="no usable ONNX file"):
        ort.run(path, graph, {})
