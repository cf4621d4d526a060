"""Convolutions for Helium on an emulated Cortex-M55, against the numpy reference."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.emulated_cores import helium_cores, opened
from tests.kernels.single_node import Case

NAMES = "conv2d_gather", "conv2d_block1x4", "conv2d_dense", "depthwise_conv2d"
KERNELS = tuple(table.kernel(f"{name}{rows}_s8_mve") for name in NAMES for rows in ("", "_rows"))
STACK_BYTES = 512


@pytest.fixture(scope="module", params=helium_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    wide = draw(st.integers(0, 9)) == 0  # patches of more than 256 bytes
    channels = st.sampled_from([29, 48, 65, 96]) if wide else st.integers(1, 20)
    case = Case(
        (draw(st.integers(1, 7)), draw(st.integers(1, 18)), draw(channels)),
        draw(st.integers(1, 9)),
        kernel=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(pads, pads)),
        dilation=draw(st.tuples(st.integers(1, 2), st.sampled_from([1, 1, 2]))),
        density=draw(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])),
        activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        zero_points=draw(st.tuples(*[st.sampled_from([-128, -1, 0, 5, 127])] * 2)),
        gain=draw(st.sampled_from([0.001, 0.01, 0.5, 1.0, 4.0])),
        powers=draw(st.booleans()),
        seed=draw(st.integers(0, 1 << 20)),
    )
    return case


def check(core: KernelCore, kernel: Kernel, case: Case) -> None:
    depthwise = kernel.op == "depthwise_conv2d"
    if depthwise:
        size = tuple(min(k, most) for k, most in zip(case.kernel, (3, 4), strict=True))
        case = replace(case, groups=0, kernel=size)
    graph = single_node.conv2d(case, "int8")
    node, data = graph.nodes[0], single_node.data(graph, case.seed)
    if not table.packing(kernel).supports(node, graph):
        return
    run = core.run(kernel, node, graph, [data["x"]])
    np.testing.assert_array_equal(run.output, reference.execute(graph, data)["y"])
    assert run.stack_bytes <= STACK_BYTES


able = cases().filter(lambda case: min(case.output()) >= 1)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=able)
def test_core_equals_the_reference(core: KernelCore, kernel: Kernel, case: Case) -> None:
    check(core, kernel, case)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(
    max_examples=700,  # some shapes have scales or channels that the kernels do not take
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=able)
def test_core_equals_the_reference_500_times(core: KernelCore, kernel: Kernel, case: Case) -> None:
    check(core, kernel, case)


def test_padding_that_is_wider_than_the_window(core: KernelCore) -> None:
    case = Case((1, 1, 29), 4, (1, 2), (1, 3), ((0, 0), (3, 0)))
    for kernel in KERNELS:
        check(core, kernel, case)
