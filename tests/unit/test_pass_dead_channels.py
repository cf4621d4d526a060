"""Dropping dead channels changes no output, and drops what it should."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import channels
from fedtiny.compiler.compile import compile_graph
from fedtiny.compiler.ir import Graph, Pattern
from fedtiny.compiler.passes import narrow_channels, prune_magnitude
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import plan
from fedtiny.compiler.reference import execute
from fedtiny.devices.profiles import target
from fedtiny.runtime.host_plan import run_plan
from tests.graph_strategies import graphs, samples
from tests.networks import Builder, autoencoder, dscnn, flattened, mobilenet, resnet8

RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


def without_channels(graph: Graph, seed: int, share: float) -> Graph:
    """Zero the weights of random outputs and inputs of layers; some biases become the zero point.

    So that padded convolutions meet channels of every kind.
    """
    rng = np.random.default_rng(seed)
    made = []
    for node in (n for n in graph.nodes if n.op in LAYERS):
        weights, bias = (graph[name] for name in node.inputs[1:])
        data = weights.data.copy()
        axis = 3 if node.op == "depthwise_conv2d" else 0
        dead = rng.random(data.shape[axis]) < share
        np.moveaxis(data, axis, 0)[dead] = 0
        data[..., rng.random(data.shape[-1]) < share] = 0
        silent = rng.random(bias.size) < 0.5
        pattern = weights.pattern and Pattern.of(data)
        made.append(replace(weights, data=data, pattern=pattern))
        made.append(replace(bias, data=np.where(silent, 0, bias.data).astype(bias.dtype)))
    return graph.rewrite(graph.nodes, made)


def widths(graph: Graph) -> dict[str, int]:
    return {tensor.name: tensor.shape[-1] for tensor in graph.activations()}


def assert_channels_survive(before: np.ndarray, after: np.ndarray, name: str) -> None:
    """What is left of a tensor are some of its channels, in order."""
    old, new = (a.reshape(len(a), -1, a.shape[-1]) for a in (before, after))
    at = 0
    for channel in range(new.shape[-1]):
        while at < old.shape[-1] and not np.array_equal(old[..., at], new[..., channel]):
            at += 1
        assert at < old.shape[-1], f"channel {channel} of {name} was not there before"
        at += 1


@settings(max_examples=150, **RELAXED)
@given(graph=graphs("int8", most=6), seed=st.integers(0, 999), share=st.sampled_from([0.3, 0.7, 1]))
def test_int8_integers_do_not_change(graph, seed, share):
    graph = without_channels(graph, seed, share)
    made = narrow_channels(graph)
    x = samples(graph, 3, seed)
    before, after = execute(graph, x, keep_all=True), execute(made, x, keep_all=True)
    for name in graph.outputs:
        np.testing.assert_array_equal(before[name], after[name])
    for name, value in after.items():
        assert_channels_survive(before[name], value, name)
    assert widths(made).items() <= widths(graph).items() or all(
        width <= graph[name].shape[-1] for name, width in widths(made).items()
    )
    assert widths(narrow_channels(made)) == widths(made)


@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32", most=6), seed=st.integers(0, 999))
def test_float_numbers_do_not_change(graph, seed):
    graph = without_channels(graph, seed, 0.5)
    x = samples(graph, 3, seed)
    before = execute(graph, x, keep_all=True)
    assume(all(np.abs(value).max() < 1e3 for value in before.values()))
    after = execute(narrow_channels(graph), x)
    for name in graph.outputs:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-4)


@settings(max_examples=100, **RELAXED)
@given(
    graph=graphs("int8", most=6),
    seed=st.integers(0, 999),
    share=st.sampled_from([0.5, 1]),
)
def test_constant_channels_are_constant(graph, seed, share):
    graph = without_channels(graph, seed, share)
    values = execute(graph, samples(graph, 3, seed), keep_all=True)
    for name, known in channels.constants(graph).items():
        for channel in np.flatnonzero(np.isfinite(known)):
            assert set(values[name][..., channel].ravel()) == {int(known[channel])}, name


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("network", [resnet8, dscnn, autoencoder, flattened, mobilenet])
def test_networks_keep_their_outputs(network, dtype):
    size = {"size": 32} if network is mobilenet else {}
    graph = without_channels(network(dtype, **size), 1, 0.3)
    made = narrow_channels(prune_magnitude(graph, 0.3))
    assert sum(widths(made).values()) < sum(widths(graph).values())
    x = samples(graph, 2)
    expected, found = execute(prune_magnitude(graph, 0.3), x), execute(made, x)
    for name in graph.outputs:
        if dtype == "int8":
            np.testing.assert_array_equal(found[name], expected[name])
        else:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def with_value(graph: Graph, layer: int, value: float) -> Graph:
    """Channel 1 of a layer's output has no weights: it is a constant."""
    node = graph.nodes[layer]
    weights, bias = (graph[name] for name in node.inputs[1:])
    data, offsets = weights.data.copy(), bias.data.copy()
    data[1], offsets[1] = 0, value
    return graph.rewrite(graph.nodes, [replace(weights, data=data), replace(bias, data=offsets)])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("padded", "value", "left"),
    [(True, 0.0, 3), (True, -2.0, 3), (True, 0.5, 4), (False, 0.5, 3), (False, 0.0, 3)],
)
def test_padding_decides_what_can_be_folded(padded, value, left):
    b = Builder("border", "float32")
    x = b.conv(b.conv(b.input(1, 5, 5, 2), 4), 3, padded=padded)
    graph = with_value(b.graph(x), 0, value)
    made = narrow_channels(graph)
    assert made[graph.nodes[0].output].shape == (1, 5, 5, left)
    x = samples(graph, 2)
    (name,) = graph.outputs
    np.testing.assert_allclose(execute(made, x)[name], execute(graph, x)[name], atol=1e-5)


@pytest.mark.quick
def test_a_dead_branch_becomes_a_constant():
    b = Builder("residual")
    x = b.conv(b.input(1, 6, 6, 2), 4)
    y = b.conv(b.conv(x, 4), 4, activation="none")
    graph = b.graph(b.dense(b.reshape(b.average(b.add(y, x)), 1, 4), 3))
    weights = graph[graph.producer(y).inputs[1]]
    graph = graph.rewrite(graph.nodes, [replace(weights, data=np.zeros_like(weights.data))])
    made = narrow_channels(graph)
    assert [n.op for n in made.nodes] == [
        *("conv2d", "add", "average_pool2d", "reshape", "fully_connected")
    ]
    assert made[made.nodes[1].inputs[1]].data.shape == (1, 1, 1, 4)
    x = samples(graph, 3)
    (name,) = graph.outputs
    np.testing.assert_array_equal(execute(made, x)[name], execute(graph, x)[name])


@pytest.mark.quick
def test_an_unread_channel_goes_through_depthwise_layers():
    b = Builder("unread")
    x = b.depthwise(b.conv(b.input(1, 6, 6, 2), 5))
    graph = b.graph(b.conv(x, 3, 1))
    weights = graph[graph.nodes[2].inputs[1]]
    data = weights.data.copy()
    data[..., 2:4] = 0
    made = narrow_channels(graph.rewrite(graph.nodes, [replace(weights, data=data)]))
    assert [made[n.output].shape[-1] for n in made.nodes] == [3, 3, 3]


@pytest.mark.quick
def test_blocks_of_pruned_weights_stay_whole():
    b = Builder("blocks")
    graph = b.graph(b.conv(b.conv(b.input(1, 4, 4, 2), 8), 3, 1))
    weights = graph[graph.nodes[1].inputs[1]]
    data = weights.data.copy()
    data[..., 1:8] = 0
    blocks = replace(weights, data=data, pattern=Pattern("block1x4", 0.5))
    made = narrow_channels(graph.rewrite(graph.nodes, [blocks]))
    assert made[graph.nodes[0].output].shape[-1] == 4
    assert made[weights.name].shape[-1] == 4


@pytest.mark.quick
def test_a_network_without_dead_channels_is_left_alone():
    graph = resnet8()
    assert narrow_channels(graph) == graph


@pytest.mark.parametrize(("network", "density"), [(resnet8, 0.1), (dscnn, 0.2), (dscnn, 0.05)])
def test_a_narrower_program_is_not_slower_and_gives_the_same(network, density):
    whole = prune_magnitude(network(), density)
    core = target("cortex-m4")
    fast, slow = compile_graph(whole, core, "speed").plan, plan(whole, core, "speed")
    assert predicted(fast) < predicted(slow)
    x = samples(whole, 1)
    (found,) = run_plan(compile_graph(whole, target("c")).plan, list(x.values()))
    np.testing.assert_array_equal(found, execute(whole, x)[whole.outputs[0]])


def predicted(made: ExecutionPlan) -> float:
    return sum(layer.instructions for layer in made.layers)
