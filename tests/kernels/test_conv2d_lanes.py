"""The kernels of two pixels per 32-bit word on cores without DSP, and on this machine."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.quantization import conv_multipliers
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import host, table
from fedtiny.runtime.contract import Kernel
from fedtiny.runtime.packing import lanes
from fedtiny.runtime.packing.lanes_stream import Channel
from tests.kernels import single_node
from tests.kernels.emulated_cores import opened
from tests.kernels.single_node import Case
from tests.kernels.test_conv2d_pairs import (
    cases,
    expected,
    fits,
    large,
    with_constant,
    with_output_scale,
)

KERNELS = tuple(k for k in table.kernels() if k.packing in ("lanes", "lanes_rows"))
STACK_BYTES = 512


def _cores() -> list[object]:
    """Cortex-M0+ and M3, every installed compiler; usual tests run one compiler on each."""
    targets, found = profiles.targets(), []
    for name, usual in (("cortex-m0plus", 0), ("cortex-m3", -1)):
        kinds = toolchains.available(targets[name])
        for kind in kinds:
            marks = () if kind == kinds[usual] else pytest.mark.slow
            found.append(pytest.param((name, kind), marks=marks, id=f"{name}-{kind}"))
    return found


@pytest.fixture(scope="module", params=_cores())
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def wide_cases(draw: st.DrawFn) -> Case:
    """Few pixels of many channels, where distances are long."""
    return Case(
        size=(draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(65, 513))),
        outputs=draw(st.integers(1, 5)),
        kernel=draw(st.sampled_from([(1, 1), (2, 2), (1, 3)])),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        density=draw(st.sampled_from([0.0, 0.01, 0.1, 1.0])),
        groups=draw(st.sampled_from([1, 1, 0])),
        gain=draw(st.sampled_from([0.01, 1.0, 300.0])),
        zero_points=draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))),
        seed=draw(st.integers(0, 1 << 20)),
    )


def candidates(graph: Graph) -> list[Kernel]:
    node = graph.nodes[0]
    return [k for k in KERNELS if k.op == node.op and table.packing(k).supports(node, graph)]


def check(graph: Graph, core: KernelCore | None, seed: int = 0) -> None:
    node = graph.nodes[0]
    x, y = expected(graph, seed)
    for kernel in candidates(graph):
        if core is None:
            np.testing.assert_array_equal(host.run_kernel(kernel, node, graph, [x]), y, kernel.name)
            packing = table.packing(kernel)
            unpacked = packing.unpack(packing.pack(node, graph), node, graph)
            np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value)
            continue
        run = core.run(kernel, node, graph, [x])
        np.testing.assert_array_equal(run.output, y, kernel.name)
        assert run.stack_bytes <= STACK_BYTES


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=(cases() | wide_cases()).filter(fits))
def test_core_equals_the_reference(core: KernelCore, case: Case) -> None:
    check(single_node.conv2d(case, "int8"), core, case.seed)


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 0])
@settings(max_examples=550, deadline=None, derandomize=True)
@given(case=(cases() | wide_cases()).filter(fits))
def test_core_equals_the_reference_500_times(core: KernelCore, case: Case, groups: int) -> None:
    case = replace(case, groups=groups)
    check(single_node.conv2d(case, "int8"), core, case.seed)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=(cases() | wide_cases()).filter(fits))
def test_plain_c_equals_the_reference(case: Case) -> None:
    check(single_node.conv2d(case, "int8"), None, case.seed)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("fill", [-128, 127, None])
@pytest.mark.parametrize(("channels", "taps"), [(28, 3), (121, 3)])
def test_groups_at_the_bound_of_half_a_word(
    core: KernelCore, sign: int, fill: int | None, channels: int, taps: int
) -> None:
    graph = large(sign, channels, taps)
    node = graph.nodes[0]
    data = single_node.data(graph, 3)
    if fill is not None:
        data["x"][:] = fill
    y = reference.execute(graph, data)["y"]
    for kernel in candidates(graph):
        np.testing.assert_array_equal(host.run_kernel(kernel, node, graph, [data["x"]]), y)
        np.testing.assert_array_equal(core.run(kernel, node, graph, [data["x"]]).output, y)


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize("factor", [2.0**-9, 2.0**-7, 0.02, 1.0, 100.0, 2.0**20])
def test_scales_from_above_one_to_almost_nothing(
    core: KernelCore, activation: str, factor: float
) -> None:
    case = Case((3, 11, 5), 6, density=0.4, activation=activation, zero_points=(7, -128))  # type: ignore[arg-type]
    graph = with_output_scale(single_node.conv2d(case, "int8"), factor)
    plain = lanes.pack(graph.nodes[0], graph).params["sums_bytes"] > 0
    assert plain == (factor in (2.0**-9, 2.0**-7, 2.0**20))
    check(graph, None)
    check(graph, core)


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("zero_point", [-128, 60])
@pytest.mark.parametrize("right", [5, 6, 9])
def test_scaling_of_neighbouring_sums(
    core: KernelCore, right: int, zero_point: int, step: int
) -> None:
    """Where values change, a product of half the precision must not decide."""
    case = Case(
        (256, 128 // step, 2), 4, (1, 1), padding=((0, 0), (0, 0)), zero_points=(0, zero_point)
    )
    graph = single_node.conv2d(replace(case, seed=right), "int8")
    _, shifts = conv_multipliers(graph.nodes[0], graph)
    graph = with_output_scale(graph, 2.0 ** (right + int(shifts.max())))
    weights = np.array([[127, 1]] * 4, np.int8).reshape(graph["weights"].shape)
    bias = np.array([0, 1, -20000, 30000], np.int32)
    graph = with_constant(with_constant(graph, "weights", weights), "bias", bias)
    x = np.empty((1, 256, 128 // step, 2), np.int8)
    x[..., 0] = np.arange(-128, 128)[:, None]
    x[..., 1] = np.arange(-64, 64, step)
    y = reference.execute(graph, {"x": x})["y"]
    assert len(np.unique(y)) > 40
    kernel = candidates(graph)[-1]
    np.testing.assert_array_equal(core.run(kernel, graph.nodes[0], graph, [x]).output, y)


@pytest.mark.parametrize("value", [1 << 30, -(1 << 30), 40000, -40000, 77])
def test_channels_without_weights(core: KernelCore, value: int) -> None:
    graph = single_node.conv2d(Case((4, 10, 8), 6, density=0.3), "int8")
    weights, bias = graph["weights"].value.copy(), graph["bias"].value.copy()
    weights[[0, 3]] = 0
    bias[[0, 3]] = value
    graph = with_constant(with_constant(graph, "weights", weights), "bias", bias)
    check(graph, None)
    check(graph, core)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16])
@pytest.mark.parametrize("kernel", [1, 3])
def test_every_narrow_width(core: KernelCore, width: int, kernel: int) -> None:
    pad = kernel // 2
    case = Case((11, width, 12), 5, (kernel, kernel), padding=((pad, pad), (pad, pad)), density=0.3)
    graph = single_node.conv2d(case, "int8")
    check(graph, None)
    check(graph, core)


@pytest.mark.quick
def test_groups_are_as_long_as_their_sums_allow() -> None:
    weights = np.array([127, 127, 1, 0, -128, -126, -1, -1, 3], np.int64)
    groups = Channel(np.arange(9), weights).groups
    assert [[weight for _, weight in group] for group in groups] == [
        [127, 127, 1, 0],
        [-128, -126, -1],
        [-1, 3],
    ]


@pytest.mark.parametrize(
    ("name", "most", "error"), [("cortex-m3", 0.33, 0.03), ("cortex-m0plus", 0.56, 0.05)]
)
def test_instructions_are_those_that_the_costs_say(name: str, most: float, error: float) -> None:
    """On a layer that was not fitted; per dense multiply-accumulate at density 0.1."""
    case = Case((16, 16, 32), 32, density=0.1, activation="relu", zero_points=(-128, -128))
    graph = single_node.conv2d(case, "int8")
    node, target = graph.nodes[0], profiles.targets()[name]
    if "gcc" not in toolchains.available(target):
        pytest.skip("coefficients are of arm-none-eabi-gcc")
    with KernelCore(target, KERNELS, "gcc") as core:
        for kernel in candidates(graph):
            run = core.run(kernel, node, graph, [single_node.data(graph)["x"]])
            predicted = table.instructions(kernel, node, graph, name)
            assert run.instructions / (16 * 16 * 32 * 32 * 9) < most
            assert predicted == pytest.approx(run.instructions, rel=error)
