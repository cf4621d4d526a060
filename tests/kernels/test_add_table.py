"""The table-driven add on emulated cores and on this machine, against the numpy reference."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import host, table
from tests.kernels import single_node
from tests.kernels.emulated_cores import opened
from tests.kernels.single_node import Case

KERNEL = table.kernel("add_table_s8_dsp")


@pytest.fixture(scope="module", params=toolchains.available(profiles.targets()["cortex-m4"]))
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(("cortex-m4", request.param), [KERNEL])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    activation=st.sampled_from(["none", "relu"]),
    zero_point=st.sampled_from([-128, -128, 0, 127]),
    seed=st.integers(0, 1 << 20),
)
def test_add_equals_the_reference(
    core: KernelCore, size: tuple[int, int, int], activation: str, zero_point: int, seed: int
) -> None:
    case = Case(size, activation=activation, zero_points=(seed % 256 - 128, zero_point), seed=seed)  # type: ignore[arg-type]
    graph = single_node.add(case, "int8")
    node = graph.nodes[0]
    data = single_node.data(graph, seed)
    if not table.packing(KERNEL).supports(node, graph):
        assert activation == "relu"
        assert zero_point > -128
        return
    y = reference.execute(graph, data)["y"]
    inputs = [data[name] for name in graph.inputs]
    np.testing.assert_array_equal(core.run(KERNEL, node, graph, inputs).output, y)
    np.testing.assert_array_equal(host.run_kernel(KERNEL, node, graph, inputs), y)


def test_every_pair_of_inputs(core: KernelCore) -> None:
    """All 65,536 sums, with either input the larger scale."""
    values = np.arange(-128, 128, dtype=np.int8)
    a, b = (m.reshape(1, 256, 64, 4) for m in np.meshgrid(values, values))
    for seed in range(6):
        graph = single_node.add(Case((256, 64, 4), zero_points=(3, -20), seed=seed), "int8")
        node = graph.nodes[0]
        y = reference.execute(graph, {"a": a, "b": b})["y"]
        run = core.run(KERNEL, node, graph, [a, b])
        np.testing.assert_array_equal(run.output, y)
        assert run.instructions / y.size < 12
        assert run.stack_bytes <= 512
