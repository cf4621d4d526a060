"""The dense kernel of 16-bit products on emulated cores and in C, against the numpy reference."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import host, table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.emulated_cores import dsp_cores, opened
from tests.kernels.single_node import Case

DENSE = table.kernel("conv2d_dense_s8_dsp")
KERNELS = (DENSE,)
STACK_BYTES = 512


@pytest.fixture(scope="module", params=dsp_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def cases(draw: st.DrawFn, kernel: Kernel) -> Case:
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    common = {
        "padding": draw(st.tuples(pads, pads)),
        "density": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "activation": draw(st.sampled_from(["none", "relu", "relu6"])),
        "zero_points": draw(st.tuples(*[st.sampled_from([-128, -1, 0, 5, 127])] * 2)),
        "gain": draw(st.sampled_from([0.001, 0.01, 0.5, 1.0, 4.0])),
        "powers": draw(st.booleans()),
        "seed": draw(st.integers(0, 1 << 20)),
    }
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 26))
    return Case(
        (rows, columns, draw(st.one_of(st.integers(1, 9), st.sampled_from([16, 64])))),
        draw(st.integers(1, 9)),
        kernel=draw(st.tuples(st.integers(1, 4), st.integers(1, 5))),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        dilation=(draw(st.integers(1, 2)), 1),
        **common,
    )


def graph_of(draw: st.DataObject, kernel: Kernel) -> tuple[Graph, Case]:
    case = draw.draw(cases(kernel).filter(lambda c: min(c.output()) >= 1))
    return single_node.conv2d(case, "int8"), case


def check(core: KernelCore, kernel: Kernel, draw: st.DataObject) -> None:
    graph, case = graph_of(draw, kernel)
    node, data = graph.nodes[0], single_node.data(graph, case.seed)
    if not table.packing(kernel).supports(node, graph):
        return
    run = core.run(kernel, node, graph, [data["x"]])
    np.testing.assert_array_equal(run.output, reference.execute(graph, data)["y"])
    assert run.stack_bytes <= STACK_BYTES


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(draw=st.data())
def test_plain_c_equals_the_reference(kernel: Kernel, draw: st.DataObject) -> None:
    graph, case = graph_of(draw, kernel)
    node, data = graph.nodes[0], single_node.data(graph, case.seed)
    packing = table.packing(kernel)
    if not packing.supports(node, graph):
        return
    expected = reference.execute(graph, data)["y"]
    np.testing.assert_array_equal(host.run_kernel(kernel, node, graph, [data["x"]]), expected)
    if packing.contract(node, graph).overlap != "none":
        shared = host.run_kernel(kernel, node, graph, [data["x"]], overlap=True)
        np.testing.assert_array_equal(shared, expected)
    unpacked = packing.unpack(packing.pack(node, graph), node, graph)
    np.testing.assert_array_equal(unpacked, graph["weights"].value)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(draw=st.data())
def test_cores_equal_the_reference(core: KernelCore, kernel: Kernel, draw: st.DataObject) -> None:
    check(core, kernel, draw)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(
    max_examples=700,  # some shapes have scales that the kernels do not take
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(draw=st.data())
def test_cores_equal_the_reference_long(
    core: KernelCore, kernel: Kernel, draw: st.DataObject
) -> None:
    check(core, kernel, draw)
