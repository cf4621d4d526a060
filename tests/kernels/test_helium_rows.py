"""Kernels of plain C that have loops for Helium, on an emulated Cortex-M55."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import table
from tests.kernels import single_node
from tests.kernels.emulated_cores import helium_cores, opened
from tests.kernels.single_node import Case

NAMES = "add_line_s8", "global_average_pool2d_s8"
KERNELS = {name: table.kernel(name) for name in NAMES}


@pytest.fixture(scope="module", params=helium_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, list(KERNELS.values()))


def check(core: KernelCore, name: str, graph: Graph, seed: int) -> None:
    node, data = graph.nodes[0], single_node.data(graph, seed)
    if table.packing(KERNELS[name]).supports(node, graph):
        run = core.run(KERNELS[name], node, graph, [data[n] for n in graph.inputs])
        np.testing.assert_array_equal(run.output, reference.execute(graph, data)["y"])


sizes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 21))
seeds = st.integers(0, 1 << 20)


def check_add(core: KernelCore, size: tuple[int, int, int], seed: int) -> None:
    zero_points = (seed % 256 - 128, seed // 256 % 256 - 128)
    activation = "relu" if seed % 3 == 0 else "none"
    case = Case(size, zero_points=zero_points, activation=activation, seed=seed)
    check(core, "add_line_s8", single_node.add(case, "int8"), seed)


def check_pool(core: KernelCore, size: tuple[int, int, int], seed: int) -> None:
    whole = (size[0], size[1])
    case = Case(size, kernel=whole, padding=((0, 0), (0, 0)), zero_points=(seed % 256 - 128, 0))
    check(core, "global_average_pool2d_s8", single_node.average_pool2d(case, "int8"), seed)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=sizes, seed=seeds)
def test_rows_equal_the_reference(core: KernelCore, size: tuple[int, int, int], seed: int) -> None:
    check_add(core, size, seed)
    check_pool(core, size, seed)


@pytest.mark.slow
@settings(max_examples=600, deadline=None, derandomize=True)
@given(size=sizes, seed=seeds)
def test_rows_equal_the_reference_500_times(
    core: KernelCore, size: tuple[int, int, int], seed: int
) -> None:
    check_add(core, size, seed)
    check_pool(core, size, seed)
