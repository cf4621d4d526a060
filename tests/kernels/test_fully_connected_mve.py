"""The fully connected kernels for Helium, on an emulated Cortex-M55, against the reference."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import table
from tests.kernels import single_node
from tests.kernels.emulated_cores import helium_cores, opened
from tests.kernels.single_node import Case

KERNELS = tuple(
    table.kernel(f"fully_connected_{kind}_s8_mve") for kind in ("gather", "block1x4", "dense")
)


@pytest.fixture(scope="module", params=helium_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sixteens = st.integers(1, 9).map(lambda n: 16 * n)
    inputs = st.one_of(sixteens, sixteens, st.just(1024), st.integers(1, 80))
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


def check(core: KernelCore, case: Case) -> None:
    graph = single_node.fully_connected(case, "int8")
    node, data = graph.nodes[0], single_node.data(graph, case.seed)
    y = reference.execute(graph, data)["y"]
    for kernel in KERNELS:
        if table.packing(kernel).supports(node, graph):
            run = core.run(kernel, node, graph, [data["x"]])
            np.testing.assert_array_equal(run.output, y, kernel.name)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases())
def test_core_equals_the_reference(core: KernelCore, case: Case) -> None:
    check(core, case)


@pytest.mark.slow
@settings(max_examples=900, deadline=None, derandomize=True)  # most suit the dense kernel too
@given(case=cases())
def test_core_equals_the_reference_500_times(core: KernelCore, case: Case) -> None:
    check(core, case)


def test_usual_layers_have_all_kernels() -> None:
    """Otherwise they would fall back to slower kernels unnoticed."""
    for seed in range(20):
        graph = single_node.fully_connected(Case((1, 1, 128), 10, seed=seed), "int8")
        assert all(table.packing(k).supports(graph.nodes[0], graph) for k in KERNELS)
