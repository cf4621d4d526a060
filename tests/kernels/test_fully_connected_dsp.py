"""The fully connected kernels for DSP cores, on emulated cores and in C, against the reference."""

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
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.emulated_cores import dsp_cores, opened
from tests.kernels.single_node import Case

DENSE = table.kernel("fully_connected_s8_dsp")
SPARSE = table.kernel("fully_connected_csr_s8_dsp")
BLOCKS = table.kernel("fully_connected_block1x4_s8_dsp")
KERNELS = (DENSE, SPARSE, BLOCKS)


@pytest.fixture(scope="module", params=dsp_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    inputs = st.one_of(st.integers(1, 80), st.integers(1, 20).map(lambda n: 4 * n), st.just(1024))
    return Case(
        (1, 1, draw(inputs)),
        draw(st.integers(1, 21)),
        density=draw(st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.7, 1.0])),
        activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        zero_points=draw(st.tuples(*[st.integers(-128, 127)] * 2)),
        gain=draw(st.sampled_from([0.01, 0.5, 1.0, 4.0, 300.0])),
        powers=draw(st.booleans()),
        seed=draw(st.integers(0, 1 << 20)),
    )


def candidates(graph: Graph) -> list[Kernel]:
    return [k for k in KERNELS if table.packing(k).supports(graph.nodes[0], graph)]


def check(graph: Graph, seed: int, core: KernelCore | None) -> None:
    node = graph.nodes[0]
    data = single_node.data(graph, seed)
    y = reference.execute(graph, data)["y"]
    for kernel in candidates(graph):
        if core is None:
            found = host.run_kernel(kernel, node, graph, [data["x"]])
        else:
            run = core.run(kernel, node, graph, [data["x"]])
            assert run.stack_bytes <= 160
            found = run.output
        np.testing.assert_array_equal(found, y, kernel.name)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases())
def test_core_equals_the_reference(core: KernelCore, case: Case) -> None:
    check(single_node.fully_connected(case, "int8"), case.seed, core)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True)
@given(case=cases())
def test_core_equals_the_reference_500_times(core: KernelCore, case: Case) -> None:
    check(single_node.fully_connected(case, "int8"), case.seed, core)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases())
def test_plain_c_equals_the_reference_and_weights_unpack(case: Case) -> None:
    graph = single_node.fully_connected(case, "int8")
    check(graph, case.seed, None)
    node = graph.nodes[0]
    for kernel in candidates(graph):
        packing = table.packing(kernel)
        unpacked = packing.unpack(packing.pack(node, graph), node, graph)
        np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value, kernel.name)


def test_distances_beyond_a_byte(core: KernelCore) -> None:
    graph = single_node.fully_connected(Case((1, 1, 1500), 6), "int8")
    weights = np.zeros((6, 1500), np.int8)
    weights[0, 1499] = -128
    weights[2, [0, 255, 511, 1021]] = 127
    weights[3, 700:] = np.arange(800) % 255 - 127
    weights[5, 254:256] = 9
    graph = graph.rewrite(graph.nodes, [replace(graph["weights"], data=weights)])
    node = graph.nodes[0]
    packing = table.packing(SPARSE)
    assert SPARSE in candidates(graph)
    np.testing.assert_array_equal(packing.unpack(packing.pack(node, graph), node, graph), weights)
    check(graph, 0, None)
    check(graph, 0, core)
    entries = packing.pack(node, graph).constants[0].array.size // 2
    assert packing.features(node, graph)["words"] * 2 == entries


def test_usual_layers_have_all_kernels() -> None:
    """Otherwise they would fall back to slower kernels unnoticed."""
    for seed in range(20):
        graph = single_node.fully_connected(Case((1, 1, 128), 10, seed=seed), "int8")
        assert candidates(graph) == list(KERNELS)


@pytest.mark.parametrize(
    ("kernel", "density", "most"), [(DENSE, 1.0, 1.5), (SPARSE, 0.1, 0.55), (SPARSE, 0.2, 0.95)]
)
def test_instructions_per_multiply_accumulate(
    core: KernelCore, kernel: Kernel, density: float, most: float
) -> None:
    """CMSIS-NN takes 2.2 on layers of these sizes."""
    graph = single_node.fully_connected(Case((1, 1, 128), 128, density=density), "int8")
    node = graph.nodes[0]
    run = core.run(kernel, node, graph, [single_node.data(graph)["x"]])
    assert run.instructions / 128**2 < most
    if "cortex-m4" in kernel.cost:
        predicted = table.instructions(kernel, node, graph, "cortex-m4")
        assert predicted == pytest.approx(run.instructions, rel=0.05)
