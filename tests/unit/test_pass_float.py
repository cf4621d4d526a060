"""The float passes keep every graph's meaning and do what they promise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler.ir import (
    BatchNorm,
    FullyConnected,
    Graph,
    GraphError,
    Node,
    Pattern,
    Relu,
    Tensor,
)
from fedtiny.compiler.passes import apply, float_passes, lower, prune_magnitude
from fedtiny.compiler.passes.base import NO_BATCH_NORM, Pass
from fedtiny.compiler.passes.eliminate_dead_code import eliminate_dead_code
from fedtiny.compiler.passes.fold_batchnorm import fold_batchnorm
from fedtiny.compiler.passes.fuse_activation import fuse_activation
from fedtiny.compiler.passes.prune_by_magnitude import prunable_layers
from fedtiny.compiler.quantization import dequantize_values
from fedtiny.compiler.reference import execute
from fedtiny.errors import UnsupportedError, UsageError
from tests import networks
from tests.graph_strategies import graphs, samples

pytestmark = pytest.mark.quick
RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def interleave(graph: Graph, draw) -> Graph:
    """Put batch normalization and activations after random nodes of a float graph."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tensors, nodes, renamed = dict(graph.tensors), [], {}
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        bare = hasattr(node.attributes, "activation") and draw(st.booleans())
        attributes = replace(node.attributes, activation="none") if bare else node.attributes
        nodes.append(replace(node, inputs=inputs, attributes=attributes))
        last = node.output
        pixels = len(tensors[last].shape) == 4
        foldable = isinstance(attributes, FullyConnected) and attributes.activation == "none"
        kinds = ["relu", "relu6"] + (["batch_norm"] if pixels or foldable else [])
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=3)):
            if kind == "batch_norm" and not pixels and last != node.output:
                continue
            made = f"{last}.{kind}"
            constants = []
            if kind == "batch_norm":
                channels = tensors[last].shape[-1]
                for part in ("scale", "offset", "mean", "variance"):
                    value = (
                        rng.uniform(0.3, 2, channels)
                        if part == "variance"
                        else rng.normal(size=channels)
                    )
                    name = f"{made}.{part}"
                    data = value.astype(np.float32)
                    tensors[name] = Tensor(name, data.shape, "float32", data=data)
                    constants.append(name)
            tensors[made] = replace(tensors[last], name=made)
            attributes = BatchNorm(1e-3) if kind == "batch_norm" else Relu(kind)
            nodes.append(Node(made, attributes, (last, *constants), (made,)))
            last = made
        if draw(st.booleans()):  # otherwise later nodes read the value before these
            renamed[node.output] = last
    outputs = {renamed.get(name, name) for name in graph.outputs}
    outputs |= {draw(st.sampled_from([n.output for n in nodes]))}
    return replace(graph, tensors=tensors, nodes=tuple(nodes), outputs=tuple(sorted(outputs)))


@st.composite
def raw_graphs(draw) -> Graph:
    return interleave(draw(graphs("float32")), draw).verify()


def assert_same(before: Graph, after: Graph) -> None:
    x = samples(before, 2)
    expected, ours = execute(before, x), execute(after, x)
    assert list(expected) == list(ours)
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=2e-4, atol=2e-4, err_msg=name)


def compatible(graph: Graph) -> bool:
    """Whether every vector batch_norm directly follows a layer that nothing else reads."""
    try:
        fold_batchnorm(graph)
    except UnsupportedError:
        return False
    return True


@settings(max_examples=100, **RELAXED)
@given(graph=raw_graphs())
def test_passes_keep_the_meaning(graph):
    x = samples(graph, 2)
    bounded = all(np.abs(v).max() < 1e3 for v in execute(graph, x, keep_all=True).values())
    if not bounded or not compatible(graph):
        return
    step = graph
    for item in float_passes():
        made = item.run(step).verify()
        assert_same(step, made)
        step = made
    lowered = lower(graph)
    assert_same(graph, lowered)
    assert not any(node.op == "batch_norm" for node in lowered.nodes)
    assert set(lowered.tensors) <= set(graph.tensors)  # so that ranges find their tensors
    spatial = [node for node in lowered.nodes if len(lowered[node.output].shape) == 4]
    assert not any(node.op == "relu" for node in spatial)


@settings(max_examples=40, **RELAXED)
@given(graph=raw_graphs())
def test_zero_weights_stay_exactly_zero(graph):
    if not compatible(graph):
        return
    lowered = lower(graph)
    for node in lowered.nodes:
        if node.op in ("conv2d", "depthwise_conv2d", "fully_connected"):
            name = node.inputs[1]
            before, after = graph[name].data, lowered[name].data
            if before.shape == after.shape:
                assert not after[before == 0].any()
                assert not np.signbit(after[before == 0]).any()


def test_passes_are_found_and_ordered():
    names = [item.name for item in float_passes()]
    expected = ["eliminate_dead_code", "fold_batchnorm", "fold_pads", "fuse_activation"]
    assert sorted(names) == expected
    assert names.index("fold_batchnorm") < names.index("fuse_activation")


def chain(*attributes, shape=(1, 2, 2, 3)) -> Graph:
    """Nodes of one activation each, with random constants where the op wants them."""
    rng = np.random.default_rng(0)
    tensors = {"x0": Tensor("x0", shape, "float32")}
    nodes = []
    for i, a in enumerate(attributes):
        count = 4 if isinstance(a, BatchNorm) else 0
        names = [f"c{i}.{j}" for j in range(count)]
        for name in names:
            data = rng.uniform(0.5, 1, shape[-1]).astype(np.float32)
            tensors[name] = Tensor(name, data.shape, "float32", data=data)
        tensors[f"x{i + 1}"] = Tensor(f"x{i + 1}", shape, "float32")
        nodes.append(Node(f"n{i}", a, (f"x{i}", *names), (f"x{i + 1}",)))
    return Graph("chain", tensors, tuple(nodes), ("x0",), (f"x{len(nodes)}",)).verify()


def test_a_lone_batch_norm_becomes_a_depthwise_convolution():
    graph = chain(BatchNorm(), Relu("relu6"))
    lowered = lower(graph)
    assert [(n.op, n.attributes.activation) for n in lowered.nodes] == [
        ("depthwise_conv2d", "relu6")
    ]
    assert_same(graph, lowered)


def test_an_activation_of_the_input_becomes_a_function():
    graph = chain(Relu())
    assert [n.op for n in fuse_activation(graph).nodes] == ["unary"]
    assert_same(graph, fuse_activation(graph))


def test_activations_in_a_row_keep_both_limits():
    lowered = lower(chain(BatchNorm(), Relu("relu6"), Relu()))
    x = np.full((1, 2, 2, 3), 100, np.float32)
    np.testing.assert_array_equal(execute(lowered, {"x0": x})["x3"], np.full((1, 2, 2, 3), 6))


def test_a_batch_norm_of_a_vector_without_layer_is_named():
    with pytest.raises(UnsupportedError, match="'n0': batch_norm of a vector"):
        lower(chain(BatchNorm(), shape=(1, 3)))


@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_unusable_statistics_are_named(bad):
    graph = chain(BatchNorm())
    variance = graph["c0.3"]
    data = np.full(3, bad, np.float32)
    graph = graph.rewrite(graph.nodes, [replace(variance, data=data)])
    with pytest.raises(UnsupportedError, match="'n0': batch_norm whose statistics"):
        lower(graph)


def test_dead_code_goes():
    graph = chain(Relu(), Relu("relu6"), Relu())
    cut = replace(graph, outputs=("x2",))
    assert [n.name for n in eliminate_dead_code(cut).nodes] == ["n0", "n1"]
    assert eliminate_dead_code(graph) == graph


def test_a_pass_that_breaks_its_promise_is_caught():
    graph = chain(BatchNorm())
    liar = Pass("liar", (), (NO_BATCH_NORM,), lambda g: g)
    with pytest.raises(GraphError, match="liar ensures 'no batch_norm'"):
        apply(graph, [liar])
    late = Pass("late", (NO_BATCH_NORM,), (), lambda g: g)
    with pytest.raises(GraphError, match="late requires 'no batch_norm'"):
        apply(graph, [late])


@settings(max_examples=40, **RELAXED)
@given(graph=graphs("float32"), density=st.floats(0.01, 1.0))
def test_pruning_keeps_the_largest(graph, density):
    pruned = prune_magnitude(graph, density)
    layers = {node.name for node in prunable_layers(graph)}
    weighted = [n for n in graph.nodes if n.op in ("conv2d", "fully_connected")]
    for node in graph.nodes:
        for name in node.inputs[1:] if node.op != "add" else ():
            before, after = graph[name], pruned[name]
            if node.name not in layers or name != node.inputs[1]:
                np.testing.assert_array_equal(before.data, after.data)
                continue
            kept = after.data != 0
            np.testing.assert_array_equal(after.data[kept], before.data[kept])
            wanted = max(1, round(density * before.size))
            assert kept.sum() == min(wanted, np.count_nonzero(before.data))
            assert after.pattern == Pattern.of(after.data)
            if kept.any() and not kept.all():
                assert np.abs(after.data[kept]).min() >= np.abs(before.data[~kept]).max()
    made, read = graph[graph.outputs[0]].size, graph[graph.inputs[0]].size
    if weighted and weighted[-1].output == graph.outputs[0] and made < read:
        assert weighted[-1].name not in layers
    convolutions = [n.name for n in weighted if n.op == "conv2d"]
    assert not layers & set(convolutions[:1])


@settings(max_examples=40, **RELAXED)
@given(graph=graphs("int8"), density=st.floats(0.01, 1.0))
def test_pruning_int8_goes_by_real_magnitudes(graph, density):
    pruned = prune_magnitude(graph, density)
    for node in prunable_layers(graph):
        before, after = graph[node.inputs[1]], pruned[node.inputs[1]]
        kept = after.data != 0
        np.testing.assert_array_equal(after.data[kept], before.data[kept])
        wanted = max(1, round(density * before.size))
        assert kept.sum() == min(wanted, np.count_nonzero(before.data))
        real = np.abs(dequantize_values(before.data, before.quantization))
        if kept.any() and not kept.all():
            assert real[kept].min() >= real[~kept].max()
    assert {t.name: t.quantization for t in pruned.tensors.values()} == {
        t.name: t.quantization for t in graph.tensors.values()
    }


def test_output_layers_are_pruned_only_where_they_reconstruct():
    reconstruction = networks.autoencoder("int8")
    names = [node.name for node in reconstruction.nodes]
    assert [node.name for node in prunable_layers(reconstruction)] == names
    classifier = networks.resnet8("int8", size=8)
    assert classifier.nodes[-1].op == "fully_connected"
    assert classifier.nodes[-1].name not in {node.name for node in prunable_layers(classifier)}


@pytest.mark.parametrize("density", [0.0, -1, 1.5, float("nan")])
def test_a_density_outside_its_range_is_refused(density):
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        prune_magnitude(chain(Relu()), density)
