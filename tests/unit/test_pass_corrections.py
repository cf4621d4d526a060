"""What goes around quantization: equalizing keeps float outputs, corrections come nearer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.ir import Graph, Pattern
from fedtiny.compiler.passes import apply, prune_magnitude, quantize
from fedtiny.compiler.passes.correct_bias import correct_bias_pass
from fedtiny.compiler.passes.correct_constants import correct_constants
from fedtiny.compiler.passes.equalize_channels import equalize_channels_pass
from fedtiny.compiler.passes.prune_by_magnitude import prunable_layers
from fedtiny.compiler.passes.quantize_int8 import quantize_pass
from fedtiny.compiler.passes.silence_dead_channels import silence_dead_channels
from fedtiny.compiler.quantization import dequantize_values, quantize_values
from fedtiny.compiler.quantizer import Options, quantize_with_data
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError
from tests.graph_strategies import graphs, samples
from tests.networks import Builder, dscnn, mobilenet, resnet8
from tests.unit.test_pass_dead_channels import without_channels

RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def magnitudes(graph: Graph, x) -> dict:
    values = execute(graph, x, keep_all=True)
    return {n: np.abs(v).reshape(-1, v.shape[-1]).max(axis=0) for n, v in values.items()}


@settings(max_examples=60, **RELAXED)
@given(graph=graphs("float32", most=6))
def test_equalizing_keeps_float_outputs_and_zeros(graph):
    x = samples(graph, 3)
    before = execute(graph, x, keep_all=True)
    assume(all(np.abs(value).max() < 1e3 for value in before.values()))
    made = apply(graph, [equalize_channels_pass(magnitudes(graph, x))])
    after = execute(made, x)
    for name in graph.outputs:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=1e-3)
    for name, tensor in graph.tensors.items():
        if tensor.data is not None:
            np.testing.assert_array_equal(made[name].data == 0, tensor.data == 0)


def test_equalizing_evens_out_what_a_depthwise_layer_reads():
    b = Builder("uneven", "float32")
    graph = b.graph(b.depthwise(b.conv(b.input(1, 6, 6, 2), 6)))
    weights, bias = (graph[n] for n in graph.nodes[0].inputs[1:])
    gain = 2.0 ** -np.arange(6)[:, None, None, None]
    uneven = [
        replace(weights, data=(weights.data * gain).astype(np.float32)),
        replace(bias, data=(bias.data * gain.ravel()).astype(np.float32)),
    ]
    graph = graph.rewrite(graph.nodes, uneven)
    x = samples(graph, 8)
    made = apply(graph, [equalize_channels_pass(magnitudes(graph, x))])
    name = graph.nodes[0].output
    before, after = magnitudes(graph, x)[name], magnitudes(made, x)[name]
    assert after.max() / after.min() < 0.5 * before.max() / before.min()


@settings(max_examples=100, **RELAXED)
@given(graph=graphs("int8", most=6), seed=st.integers(0, 99), share=st.sampled_from([0.3, 0.8]))
def test_silencing_keeps_integers(graph, seed, share):
    graph = without_channels(graph, seed, share)
    made = silence_dead_channels(graph).verify()
    x = samples(graph, 3, seed)
    before, after = execute(graph, x), execute(made, x)
    for name in graph.outputs:
        np.testing.assert_array_equal(before[name], after[name])


def constant_channel(weight: float) -> Graph:
    """A depthwise layer whose channel 1 is a constant, times large weights, less a large bias."""
    b = Builder("constant", "float32")
    graph = b.graph(b.depthwise(b.conv(b.input(1, 12, 12, 2), 4)))
    first, second = graph.nodes
    weights, bias, taps, offset = (graph[n] for n in (*first.inputs[1:], *second.inputs[1:]))
    w, c, t, o = (tensor.data.copy() for tensor in (weights, bias, taps, offset))
    w[1], c[1] = 0, 0.1234
    t[..., 1] = weight / 9
    o[1] = 0.5 - weight * c[1]
    made = zip((weights, bias, taps, offset), (w, c, t, o), strict=True)
    return graph.rewrite(graph.nodes, [replace(tensor, data=data) for tensor, data in made])


@pytest.mark.quick
@pytest.mark.parametrize("weight", [3.0, 200.0])
def test_constants_of_large_weights_keep_their_value(weight):
    graph = constant_channel(weight)
    x = samples(graph, 4)
    ranges = ranges_from_data(graph, x["input"])
    name = graph.outputs[0]
    ranges[name] = (0.0, 4.0)
    plain = apply(graph, [quantize_pass(ranges)])
    made = correct_constants(plain, graph)
    expected = execute(graph, x)[name][:, 3:-3, 3:-3, 1]

    def error(quantized: Graph) -> float:
        q = {"input": quantize_values(x["input"], quantized["input"].quantization)}
        out = dequantize_values(execute(quantized, q)[name], quantized[name].quantization)
        return float(np.abs(out[:, 3:-3, 3:-3, 1] - expected).max())

    assert error(made) <= 2 * float(made[name].quantization.scale)
    if weight > 100:
        assert error(plain) > 10 * error(made)


@pytest.mark.quick
def test_one_channel_of_huge_weights_does_not_coarsen_the_others():
    graph = constant_channel(2000.0)
    x = samples(graph, 4)
    ranges = ranges_from_data(graph, x["input"])
    ranges[graph.outputs[0]] = (0.0, 4.0)
    made = quantize(graph, ranges)
    assert float(made[graph.outputs[0]].quantization.scale) == pytest.approx(4 / 255)


@settings(max_examples=40, **RELAXED)
@given(graph=graphs("float32", most=4))
def test_corrected_biases_move_means_towards_the_float_ones(graph):
    x = samples(graph, 16)
    values = execute(graph, x, keep_all=True)
    assume(all(np.abs(value).max() < 1e3 for value in values.values()))
    plain = quantize(graph, ranges_from_data(graph, x["input"]))
    q = quantize_values(x["input"], plain["input"].quantization)
    made = apply(plain, [correct_bias_pass(graph, values, q)])
    for node in plain.nodes[:1]:
        if node.op not in ("conv2d", "depthwise_conv2d", "fully_connected"):
            return
        if node.attributes.activation != "none":
            return
        name, wanted = (
            node.output,
            values[node.output].mean(axis=tuple(range(values[node.output].ndim - 1))),
        )
        quantization = plain[name].quantization
        found = [
            dequantize_values(execute(g, {"input": q}, keep_all=True)[name], quantization)
            .reshape(-1, wanted.size)
            .mean(axis=0)
            for g in (plain, made)
        ]
        step = float(quantization.scale)
        before, after = (np.abs(f - wanted) for f in found)
        assert (after <= before + 0.6 * step).all()


@pytest.mark.parametrize("network", [resnet8, dscnn, mobilenet])
def test_the_best_of_what_is_tried_is_chosen(network):
    graph = prune_magnitude(
        network("float32", size=32) if network is mobilenet else network("float32"), 0.2
    )
    x = samples(graph, 8)["input"]
    best = quantize_with_data(graph, x, Options())
    for equalize in (False, True):
        for correct in (False, True):
            made = quantize_with_data(graph, x, Options(equalize=equalize, correct=correct))
            assert (made.equalized, made.corrected) == (equalize, correct)
            assert best.error <= 4 * made.error
    assert best.error < 0.05


@pytest.mark.quick
def test_blocks_are_pruned_whole():
    graph = resnet8()
    made = prune_magnitude(graph, 0.25, "block1x4")
    for node in prunable_layers(graph):
        weights = made[node.inputs[1]]
        kept = (weights.data != 0).reshape(-1, 4)
        original = (graph[weights.name].data != 0).reshape(-1, 4)
        whole = kept.any(axis=1)
        np.testing.assert_array_equal(kept[whole], original[whole])
        assert whole.sum() == max(1, round(0.25 * kept.size / 4))
        assert weights.pattern == Pattern("block1x4", weights.pattern.density)
    with pytest.raises(UsageError, match="block1x4"):
        prune_magnitude(graph, 0.25, "stars")
