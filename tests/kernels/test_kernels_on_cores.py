"""Plain C kernels and table-driven adds on every emulated Cortex-M, against the numpy reference.

Kernels in assembly have files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.emulated_cores import helium_cores, opened
from tests.kernels.single_node import BUILDERS, Case
from tests.kernels.test_kernels import KERNELS, cases, fits

STACK_BYTES = 512


def _kernels(core: str) -> list[Kernel]:
    """int8 kernels that run on a core, of which no other file of tests does so 500 times."""
    target = profiles.target(core)
    return [
        kernel
        for kernel in KERNELS
        if kernel.dtype == "int8"
        and target.cost in kernel.cost
        and set(kernel.isa) <= set(target.isa)
        and (kernel.op == "add" or not any(h.endswith(".S") for h in kernel.helpers))
    ]


def _cores() -> list[tuple[str, str]]:
    names = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
    kinds = {name: toolchains.available(profiles.target(name)) for name in names}
    return [(name, found[0]) for name, found in kinds.items() if found] + helium_cores()[:1]


@pytest.fixture(scope="module", params=_cores(), ids=lambda core: core[0])
def core(request: pytest.FixtureRequest) -> Iterator[tuple[str, KernelCore]]:
    for made in opened(request.param, _kernels(request.param[0])):
        yield request.param[0], made


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted({k.name for core, _ in _cores() for k in _kernels(core)}))
@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(draw=st.data())
def test_core_equals_the_reference_500_times(
    core: tuple[str, KernelCore], name: str, draw: st.DataObject
) -> None:
    kernel = table.kernel(name)
    if kernel not in _kernels(core[0]):
        pytest.skip(f"{core[0]} has other kernels")

    def supported(case: Case) -> bool:
        if not fits(kernel.op, case):
            return False
        graph = BUILDERS[kernel.op](case, "int8")
        return table.packing(kernel).supports(graph.nodes[0], graph)

    case = draw.draw(
        cases(kernel.op)
        .map(_global if kernel.name.startswith("global") else _same)
        .filter(supported)
    )
    graph = BUILDERS[kernel.op](case, "int8")
    node = graph.nodes[0]
    data = single_node.data(graph, case.seed)
    expected = reference.execute(graph, data)[node.output]
    run = core[1].run(kernel, node, graph, [data[x] for x in graph.inputs])
    np.testing.assert_array_equal(run.output, expected)
    assert run.stack_bytes <= STACK_BYTES


def _same(case: Case) -> Case:
    return case


def _global(case: Case) -> Case:
    """The window is the image."""
    return Case(
        size=case.size,
        kernel=(case.size[0], case.size[1]),
        padding=((0, 0), (0, 0)),
        activation=case.activation,
        zero_points=case.zero_points,
        seed=case.seed,
    )
