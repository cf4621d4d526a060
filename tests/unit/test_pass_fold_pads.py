"""Folding pads keeps every output, and takes away what a reader can do itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.operators import MaxPool2d, Pad
from fedtiny.compiler.passes import apply, lower
from fedtiny.compiler.passes.fold_pads import LEAST_FLOAT, PADS_FOLDED, PASS
from fedtiny.compiler.reference import execute
from fedtiny.compiler.reference_common import output_size
from tests.graph_strategies import GraphBuilder, samples

READERS = ("conv2d", "depthwise_conv2d", "transpose_conv2d", "max_pool2d", "average_pool2d", "pad")


@st.composite
def padded_graphs(draw: st.DrawFn, dtype: str) -> Graph:
    """Pads one after another, each with readers of its own that end the graph."""
    b = GraphBuilder(draw, dtype)
    x = b.activation("input", (1, draw(st.integers(2, 6)), draw(st.integers(2, 6)), 2))
    ends = []
    for i in range(draw(st.integers(1, 3), label="pads")):
        x = b.pad(x, f"pad{i}")
        if draw(st.booleans(), label="least"):
            last = b.nodes[-1]
            b.nodes[-1] = replace(last, attributes=replace(last.attributes, value=-3e38))
        for j, op in enumerate(draw(st.lists(st.sampled_from(READERS), max_size=2))):
            ends.append(getattr(b, op)(x, f"reader{i}.{j}"))
    ends.append(draw(st.sampled_from([n.output for n in b.nodes])))
    outputs = tuple(dict.fromkeys(ends))
    return Graph("padded", b.tensors, tuple(b.nodes), ("input",), outputs).verify()


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draw=st.data())
def test_outputs_stay(dtype: str, draw: st.DataObject) -> None:
    graph = draw.draw(padded_graphs(dtype))
    folded = apply(graph, [PASS])
    assert PADS_FOLDED.holds(folded)
    x = samples(graph, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        before, after = execute(graph, x), execute(folded, x)
    for name in graph.outputs:
        if dtype == "int8":
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
        else:
            np.testing.assert_allclose(before[name], after[name], 1e-5, 1e-5, err_msg=name)
    assert set(folded.tensors) <= set(graph.tensors)


def single(dtype: str, value: float, reader: str, channels=(0, 0)) -> Graph:
    """A pad of one row and column around a map, and a reader."""

    @st.composite
    def made(draw: st.DrawFn) -> Graph:
        b = GraphBuilder(draw, dtype)
        x = b.activation("input", (1, 5, 5, 2))
        around = ((1, 1), (1, 1))
        shape = (1, 7, 7, 2 + sum(channels))
        y = b.activation("padded", shape, b.tensors[x].quantization)
        b.node("pad", Pad(around, channels, value), [x], y)
        if reader == "max_pool2d":
            size = output_size(7, 3, 2, (0, 0), 1)
            z = b.activation("out", (1, size, size, shape[3]), b.tensors[x].quantization)
            b.node("reader", MaxPool2d((3, 3), (2, 2)), [y], z)
        else:
            z = getattr(b, reader)(y, "reader")
        return Graph("g", b.tensors, tuple(b.nodes), ("input",), (z,)).verify()

    from hypothesis import find

    return find(made(), lambda graph: True)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize(
    ("value", "reader", "folds"),
    [
        (0.0, "conv2d", True),
        (0.0, "depthwise_conv2d", True),
        (1.5e4, "conv2d", False),
        (2 * LEAST_FLOAT, "max_pool2d", True),
        (1.5e4, "max_pool2d", False),
        (0.0, "average_pool2d", False),
    ],
)
def test_what_folds(dtype: str, value: float, reader: str, folds: bool) -> None:
    graph = lower(single(dtype, value, reader))
    assert ("pad" not in {n.op for n in graph.nodes}) == folds


@pytest.mark.quick
def test_padded_channels_stay() -> None:
    graph = lower(single("int8", 0.0, "conv2d", (1, 0)))
    assert "pad" in {n.op for n in graph.nodes}
