"""From a graph to C that runs from Python: every tensor of every schedule equals the reference."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from fedtiny.compiler.planner import plan
from fedtiny.compiler.quantization import dequantize_values, quantize_values
from fedtiny.compiler.reference import execute
from fedtiny.deployment import deployed
from fedtiny.devices.profiles import target
from fedtiny.errors import RunnerError, UsageError
from fedtiny.exporters.c import write
from tests.graph_strategies import samples
from tests.networks import autoencoder, dscnn, flattened, resnet8

NETWORKS = {
    "resnet8": lambda: resnet8(),
    "resnet8-sparse": lambda: resnet8(density=0.1),
    "dscnn": lambda: dscnn(channels=16),
    "autoencoder": lambda: autoencoder(),
    "flattened": lambda: flattened(),
    "resnet8-float32": lambda: resnet8("float32", density=0.3, size=16, width=8),
}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDTINY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def export(graph, folder, ram="balanced", fed=False, io=None, to="c"):
    built = plan(graph, target(to), ram, fed)
    write(built, folder, io)
    return built, deployed(folder)


@pytest.mark.parametrize("fed", [False, True], ids=["frame", "fed"])
@pytest.mark.parametrize("ram", ["speed", "min"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_tensor_equals_the_reference(network, ram, fed, tmp_path):
    graph = NETWORKS[network]()
    built, model = export(graph, tmp_path, ram, fed)
    assert built.schedule == ("rows" if ram == "min" and network != "autoencoder" else "layers")
    inputs = samples(graph, 3, seed=7)
    expected = execute(graph, inputs, keep_all=True)
    outputs = model.predict(*inputs.values())
    tapped = model.tap(*(value[1:2] for value in inputs.values()))
    assert list(tapped) == [layer.name for layer in built.layers]
    for layer in built.layers:
        wanted = expected[layer.node.output][1:2]
        if graph[graph.inputs[0]].dtype == "int8":
            np.testing.assert_array_equal(tapped[layer.name], wanted, err_msg=layer.name)
            assert len(np.unique(wanted)) > 3  # saturated scales would prove nothing
        else:
            np.testing.assert_allclose(tapped[layer.name], wanted, rtol=1e-3, atol=1e-5)
    close = np.testing.assert_allclose if "float" in network else np.testing.assert_array_equal
    options = {"rtol": 1e-3, "atol": 1e-5} if "float" in network else {}
    close(outputs, expected[graph.outputs[0]], **options)


@pytest.mark.parametrize("fed", [False, True], ids=["frame", "fed"])
@pytest.mark.parametrize("network", ["resnet8-sparse", "dscnn", "flattened"])
def test_the_arena_is_used_to_its_last_byte_and_no_further(network, fed, tmp_path):
    graph = NETWORKS[network]()
    built, model = export(graph, tmp_path, "min", fed)
    inputs = samples(graph, 1)
    guard, touched = 256, None
    for fill in (0x5A, 0xA5):  # a byte may by chance be overwritten with one of them
        memory = np.full(built.arena_bytes + guard + built.arena_alignment, fill, np.uint8)
        start = -memory.ctypes.data % built.arena_alignment
        arena = memory[start : start + built.arena_bytes + guard]
        data = np.ascontiguousarray(inputs["input"])
        result = np.zeros(graph[graph.outputs[0]].size, np.int8)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (arena, data, result)]
        assert model.library.model_invoke(*pointers) == 0
        changed = arena != fill
        touched = changed if touched is None else touched | changed
    assert built.target.pointer_bytes == ctypes.sizeof(ctypes.c_void_p)
    assert np.flatnonzero(touched)[-1] + 1 == built.arena_bytes == model.arena_bytes


def test_an_export_for_a_microcontroller_runs_here_too(tmp_path):
    graph = NETWORKS["resnet8-sparse"]()
    built, model = export(graph, tmp_path, "balanced", to="cortex-m0plus")
    assert model.arena_bytes - built.arena_bytes == 4 * built.max_window  # wider pointers
    inputs = samples(graph, 1)
    expected = execute(graph, inputs)[graph.outputs[0]]
    np.testing.assert_array_equal(model.predict(*inputs.values()), expected)


@pytest.mark.parametrize("io", [None, "float32"])
@pytest.mark.parametrize("fed", [False, True], ids=["frame", "fed"])
def test_real_numbers_are_converted_by_the_models_scales(io, fed, tmp_path):
    graph = flattened()
    _, model = export(graph, tmp_path, "min", fed, io)
    x = np.random.default_rng(1).uniform(-3, 3, (2, 11, 9, 2)).astype(np.float32)
    q = quantize_values(x, graph["input"].quantization)
    out = graph.outputs[0]
    expected = dequantize_values(execute(graph, {"input": q})[out], graph[out].quantization)
    np.testing.assert_array_equal(model.predict(x), expected)
    assert model.predict(x.astype(np.float64)).dtype == np.float32


def test_wrong_inputs_are_named(tmp_path):
    _, model = export(flattened(), tmp_path)
    right = np.zeros((1, 11, 9, 2), np.int8)
    with pytest.raises(UsageError, match=r"'input' must have shape \('N', 11, 9, 2\), got \(11, 9"):
        model.predict(right[0])
    with pytest.raises(UsageError, match="must be int8 or float32, got uint8"):
        model.predict(right.astype(np.uint8))
    with pytest.raises(UsageError, match="has 1 inputs, got 2"):
        model.predict(right, right)
    with pytest.raises(UsageError, match="positive"):
        model.predict(right[:0])
    with pytest.raises(UsageError, match="one sample, got 2"):
        model.tap(np.repeat(right, 2, 0))


def test_what_is_no_export_or_does_not_compile_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no c/model\.h"):
        deployed(tmp_path)
    write(plan(flattened(), target("c")), tmp_path)
    source = tmp_path / "c" / "model.c"
    source.write_text(source.read_text() + "\nthis is not C\n")
    with pytest.raises(RunnerError, match="the C compiler failed"):
        deployed(tmp_path)


def test_a_changed_export_is_built_again(tmp_path):
    x = np.zeros((1, 11, 9, 2), np.int8)
    first = export(flattened(), tmp_path / "a")[1].predict(x)
    weights = tmp_path / "a" / "c" / "weights.c"
    text = weights.read_text()
    head, bias, tail = text.partition("_bias = {\n        ")
    weights.write_text(head + bias + "9" + tail)
    assert not np.array_equal(deployed(tmp_path / "a").predict(x), first)
