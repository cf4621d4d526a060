"""No plan of a sparse graph is slower than the plan of the same graph without zeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import cost, patterns
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.planner import plan
from fedtiny.compiler.statistics import weights
from fedtiny.devices.profiles import target
from tests.graph_strategies import graphs
from tests.kernels import single_node
from tests.kernels.single_node import Case

CORES = (
    *("cortex-m4", "cortex-m3", "cortex-m0plus", "cortex-m55"),
    *("cortex-a", "cortex-a+dotprod"),
)


def filled(graph: Graph) -> Graph:
    """The same with ones for zero weights."""
    tensors = dict(graph.tensors)
    for tensor in filter(None, (weights(node, graph) for node in graph.nodes)):
        data = np.where(tensor.value == 0, 1, tensor.value).astype(tensor.value.dtype)
        tensors[tensor.name] = replace(tensor, data=data, pattern=patterns.of(data))
    return replace(graph, tensors=tensors).verify()


def instructions(graph: Graph, core: str) -> float:
    """Of the fastest plan."""
    made = plan(graph, target(core), "speed")
    return sum(layer.instructions or 0.0 for layer in made.layers) + cost.executor(made)


@st.composite
def layers(draw) -> Graph:
    """One layer of realistic size with a random density."""
    op = draw(st.sampled_from(["conv2d", "conv2d", "depthwise_conv2d", "fully_connected"]))
    size = draw(st.sampled_from([1, 3]))
    case = Case(
        size=(draw(st.integers(3, 12)), draw(st.integers(3, 12)), draw(st.integers(1, 48))),
        outputs=draw(st.integers(1, 48)),
        kernel=(size, size),
        padding=((size // 2,) * 2,) * 2,
        stride=draw(st.sampled_from([(1, 1), (2, 2)])),
        groups=0 if op == "depthwise_conv2d" else 1,
        density=draw(st.floats(0.01, 0.99)),
        activation=draw(st.sampled_from(["none", "relu"])),
        seed=draw(st.integers(0, 1000)),
    )
    if op == "fully_connected":
        case = replace(case, size=(1, 1, draw(st.integers(1, 300))))
    return single_node.BUILDERS[op](case, "int8")


@pytest.mark.parametrize("core", CORES)
@settings(max_examples=15, deadline=None)
@given(graph=st.one_of(layers(), graphs()))
def test_zeros_never_make_a_plan_slower(core, graph):
    assert instructions(graph, core) <= instructions(filled(graph), core)
