"""Every kernel against the numpy reference and its op's plain C reference, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph
from fedtiny.runtime import host, table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.single_node import BUILDERS, Case

KERNELS = [k for k in table.kernels() if (k.layout_in, k.layout_out) == ("hwc", "hwc")]
"""Those of other layouts are compared in test_planes.py."""

ISA = ("dsp",)
"""Plain C that is written for a feature still runs anywhere."""

small = st.integers(1, 9)
pads = st.tuples(st.integers(0, 2), st.integers(0, 2))
activations = st.sampled_from(["none", "relu", "relu6"])
zero_points = st.tuples(st.integers(-128, 127), st.integers(-128, 127))


@st.composite
def cases(draw: st.DrawFn, op: str) -> Case:
    grouped = op in ("conv2d", "transpose_conv2d", "pad")
    groups = draw(st.sampled_from([1, 1, 1, 2, 3])) if grouped else 1
    channels = draw(st.integers(1, 40 // groups)) * groups
    pooling = op in ("average_pool2d", "max_pool2d")
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    case = Case(
        size=(draw(small), draw(st.integers(1, 21)), channels),
        outputs=draw(st.integers(1, 40 // groups)) * groups,
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(pads, pads)),
        dilation=(1, 1) if pooling else draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        groups=0 if op == "depthwise_conv2d" else groups,
        density=draw(st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.7, 1.0])),
        activation=draw(activations),
        zero_points=draw(zero_points),
        gain=draw(st.sampled_from([0.01, 0.5, 1.0, 4.0, 300.0])),
        powers=draw(st.booleans()),
        scales=draw(st.sampled_from(["one", "outputs"])),
        seed=draw(st.integers(0, 1 << 20)),
    )
    return case


def fits(op: str, case: Case) -> bool:
    if not op.endswith("2d") or op == "transpose_conv2d":
        return True
    if min(case.output()) < 1:
        return False
    if op not in ("average_pool2d", "max_pool2d"):
        return True
    inside = all(p[0] < k and p[1] < k for p, k in zip(case.padding, case.kernel, strict=True))
    return inside


def check(kernel: Kernel, graph: Graph, seed: int) -> None:
    node = graph.nodes[0]
    inputs = single_node.data(graph, seed)
    expected = reference.execute(graph, inputs)[node.output]
    activations = [inputs[name] for name in graph.inputs]
    plain = next(
        k
        for k in table.kernels()
        if (k.op, k.dtype, k.reference) == (kernel.op, kernel.dtype, True)
    )
    from_plain = host.run_kernel(plain, node, graph, activations)
    if kernel.dtype == "int8":
        np.testing.assert_array_equal(from_plain, expected)
    else:
        np.testing.assert_allclose(from_plain, expected, rtol=1e-4, atol=1e-4)
    if kernel is not plain and table.packing(kernel).supports(node, graph):
        np.testing.assert_array_equal(host.run_kernel(kernel, node, graph, activations), from_plain)
    contract = table.packing(kernel).contract(node, graph)
    if contract.overlap != "none" and table.packing(kernel).supports(node, graph):
        shared = host.run_kernel(kernel, node, graph, activations, overlap=True)
        np.testing.assert_array_equal(shared, from_plain)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(draw=st.data())
def test_kernel_equals_the_reference(kernel: Kernel, draw: st.DataObject) -> None:
    case = draw.draw(cases(kernel.op).filter(lambda c: fits(kernel.op, c)))
    if kernel.name.startswith("global"):
        kernel_size = (case.size[0], case.size[1])
        case = Case(
            size=case.size,
            kernel=kernel_size,
            padding=((0, 0), (0, 0)),
            activation=case.activation,
            zero_points=case.zero_points,
            seed=case.seed,
        )
    graph = BUILDERS[kernel.op](case, kernel.dtype)
    check(kernel, graph, case.seed)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(draw=st.data())
def test_packing_is_exactly_undone(kernel: Kernel, draw: st.DataObject) -> None:
    case = draw.draw(cases(kernel.op).filter(lambda c: fits(kernel.op, c)))
    graph = BUILDERS[kernel.op](case, kernel.dtype)
    node = graph.nodes[0]
    module = table.packing(kernel)
    if len(node.inputs) < 3 or not module.supports(node, graph):
        return
    unpacked = module.unpack(module.pack(node, graph), node, graph)
    np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value)
    assert unpacked.dtype == graph[node.inputs[1]].value.dtype
