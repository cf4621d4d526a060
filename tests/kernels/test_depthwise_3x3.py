"""The depthwise 3x3 kernel on emulated cores and in C, against the numpy reference."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import host, table
from fedtiny.runtime.packing import depthwise_conv2d_3x3 as packing
from tests.kernels import single_node
from tests.kernels.emulated_cores import dsp_cores, opened
from tests.kernels.single_node import Case

KERNEL = table.kernel("depthwise_conv2d_3x3_s8_dsp")
STACK_BYTES = 512


@pytest.fixture(scope="module", params=dsp_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, (KERNEL,))


pads = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return Case(
        size=(draw(st.integers(1, 7)), draw(st.integers(1, 19)), 4 * draw(st.integers(1, 8))),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(pads, pads)),
        groups=0,
        density=draw(st.sampled_from([0.0, 0.3, 1.0])),
        activation=draw(st.sampled_from(["none", "relu", "relu", "relu6"])),
        zero_points=draw(st.tuples(*[st.sampled_from([-128, -1, 0, 5, 127])] * 2)),
        gain=draw(st.sampled_from([0.001, 0.01, 0.5, 1.0, 4.0])),
        powers=draw(st.booleans()),
        seed=draw(st.integers(0, 1 << 20)),
    )


def fits(case: Case) -> bool:
    return min(case.output()) >= 1


def check(graph: Graph, seed: int, core: KernelCore | None = None) -> None:
    node = graph.nodes[0]
    if not packing.supports(node, graph):
        return
    data = single_node.data(graph, seed)
    expected = reference.execute(graph, data)["y"]
    inputs = [data["x"]]
    if core is None:
        np.testing.assert_array_equal(host.run_kernel(KERNEL, node, graph, inputs), expected)
        packed = packing.pack(node, graph)
        unpacked = packing.unpack(packed, node, graph)
        np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value)
        return
    run = core.run(KERNEL, node, graph, inputs)
    np.testing.assert_array_equal(run.output, expected)
    assert run.stack_bytes <= STACK_BYTES


def graph_of(case: Case) -> Graph:
    return single_node.conv2d(case, "int8")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cases().filter(fits))
def test_core_equals_the_reference(core: KernelCore, case: Case) -> None:
    check(graph_of(case), case.seed, core)


@pytest.mark.slow
@settings(max_examples=700, deadline=None, derandomize=True)
@given(case=cases().filter(fits))
def test_core_equals_the_reference_500_times(core: KernelCore, case: Case) -> None:
    check(graph_of(case), case.seed, core)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases().filter(fits))
def test_plain_c_equals_the_reference(case: Case) -> None:
    check(graph_of(case), case.seed)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 48])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_width(core: KernelCore, width: int, stride: int) -> None:
    case = Case((5, width, 8), stride=(stride, stride), groups=0, activation="relu")
    case = replace(case, zero_points=(-128, -128))
    assert packing.pack(graph_of(case).nodes[0], graph_of(case)).params["form"] == packing.LINE
    check(graph_of(case), 1, core)


def test_outputs_of_any_sign_are_rounded_as_specified(core: KernelCore) -> None:
    case = Case((5, 7, 8), groups=0, powers=True)
    graph = graph_of(case)
    assert packing.pack(graph.nodes[0], graph).params["form"] == packing.ROUND
    check(graph, 1, core)
