"""The two-pixel kernels on emulated cores and at their edges, against the numpy reference."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import planner, reference
from fedtiny.compiler.ir import Graph, Quantization
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime import host, table
from fedtiny.runtime.contract import Kernel
from fedtiny.runtime.packing import pairs
from fedtiny.runtime.packing.pairs_stream import DENSE1, DENSE2, DENSE3
from tests.kernels import single_node
from tests.kernels.emulated_cores import dsp_cores, opened
from tests.kernels.single_node import Case

PACKINGS = ("pairs", "pairs_rows", "pairs_lean", "pairs_rows_lean")
KERNELS = tuple(k for k in table.kernels() if k.packing in PACKINGS)
ONE_ROW = table.kernel("conv2d_pairs_s8_dsp")
RELU, SIGNED, PLAIN = 0, 1, 2
NONE = ((0, 0), (0, 0))
STACK_BYTES = 512


@pytest.fixture(scope="module", params=dsp_cores(), ids="-".join)
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(request.param, KERNELS)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 1, 0, 2, 4]))
    channels = draw(st.integers(1, 64 // max(groups, 1))) * max(groups, 1)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    case = Case(
        size=(draw(st.integers(1, 11)), draw(st.integers(1, 37)), channels),
        outputs=draw(st.integers(1, 12)) * max(groups, 1),
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)),
        dilation=draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        groups=groups,
        density=draw(st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.7, 1.0])),
        activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        zero_points=draw(st.tuples(*[st.sampled_from([-128, -1, 0, 5, 127])] * 2)),
        gain=draw(st.sampled_from([0.001, 0.01, 0.5, 1.0, 4.0, 300.0])),
        seed=draw(st.integers(0, 1 << 20)),
    )
    return case


def fits(case: Case) -> bool:
    return min(case.output()) >= 1


def expected(graph: Graph, seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = single_node.data(graph, seed)
    return data["x"], reference.execute(graph, data)["y"]


def candidates(graph: Graph) -> list[Kernel]:
    node = graph.nodes[0]
    return [k for k in KERNELS if k.op == node.op and table.packing(k).supports(node, graph)]


def check_host(graph: Graph, seed: int = 0) -> None:
    node = graph.nodes[0]
    x, y = expected(graph, seed)
    for kernel in candidates(graph):
        np.testing.assert_array_equal(host.run_kernel(kernel, node, graph, [x]), y, kernel.name)


def check_core(core: KernelCore, graph: Graph, seed: int = 0) -> None:
    node = graph.nodes[0]
    x, y = expected(graph, seed)
    for kernel in candidates(graph):
        run = core.run(kernel, node, graph, [x])
        np.testing.assert_array_equal(run.output, y, kernel.name)
        assert run.stack_bytes <= STACK_BYTES


def form_of(graph: Graph) -> int:
    return int(pairs.pack(graph.nodes[0], graph).params["form"])


def with_constant(graph: Graph, name: str, values: np.ndarray) -> Graph:
    tensor = replace(graph[name], data=values)
    return graph.rewrite(graph.nodes, [tensor])


def with_output_scale(graph: Graph, factor: float) -> Graph:
    """Scales the multiplier of every channel by 1 / factor."""
    quantization = graph["y"].quantization
    assert quantization is not None
    scale = np.float32(quantization.scale * factor)
    tensor = replace(graph["y"], quantization=Quantization(scale, quantization.zero_point))
    return graph.rewrite(graph.nodes, [tensor])


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("width", [6, 11])
def test_distances_of_four_bits_need_no_other_parts(activation: str, width: int) -> None:
    """A program that holds what such a layer runs, and nothing else, computes the same."""
    target = profiles.target("cortex-m4")
    if not toolchains.available(target):
        pytest.skip("no compiler for cortex-m4")
    case = Case((3, width, 64), outputs=9, kernel=(1, 1), density=0.1, activation=activation)
    graph = single_node.conv2d(case, "int8")
    lean = table.kernel("conv2d_pairs_lean_s8_dsp")
    parts = table.packing(lean).pack(graph.nodes[0], graph).parts
    assert not any("dense" in part for part in parts)
    x, y = expected(graph, 0)
    with KernelCore(target, (lean,), parts=parts) as core:
        np.testing.assert_array_equal(core.run(lean, graph.nodes[0], graph, [x]).output, y)


@pytest.mark.parametrize("channels", [1, 16, 63, 64, 513])
@pytest.mark.parametrize("density", [0.01, 0.05, 0.2, 0.5])
def test_distances_of_four_bits(core: KernelCore, channels: int, density: float) -> None:
    """Weights come back whole, take fewer bytes than with eight bits, and compute the same."""
    case = Case((3, 7, channels), outputs=9, kernel=(1, 1), density=density, seed=channels)
    graph = single_node.conv2d(case, "int8")
    node = graph.nodes[0]
    lean = table.kernel("conv2d_pairs_lean_s8_dsp")
    if not table.packing(lean).supports(node, graph):
        plain = pairs.pack(node, graph).params["form"] == PLAIN
        assert plain or channels < 16 or density in (0.01, 0.05)
        return
    packed = table.packing(lean).pack(node, graph)
    assert "pairs4_nibble" in packed.parts
    np.testing.assert_array_equal(
        table.packing(lean).unpack(packed, node, graph), graph[node.inputs[1]].value
    )
    assert len(packed.constants[0].array) < len(pairs.pack(node, graph).constants[0].array)
    check_core(core, graph)
    check_host(graph)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=cases().filter(fits))
def test_core_equals_the_reference(core: KernelCore, case: Case) -> None:
    check_core(core, single_node.conv2d(case, "int8"), case.seed)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True)
@given(case=cases().filter(fits))
def test_core_equals_the_reference_500_times(core: KernelCore, case: Case) -> None:
    check_core(core, single_node.conv2d(case, "int8"), case.seed)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(case=cases().filter(fits))
def test_plain_c_equals_the_reference(case: Case) -> None:
    graph = single_node.conv2d(case, "int8")
    check_host(graph, case.seed)
    node = graph.nodes[0]
    for kernel in candidates(graph):
        packing = table.packing(kernel)
        unpacked = packing.unpack(packing.pack(node, graph), node, graph)
        np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value)


def large(sign: int, channels: int, taps: int) -> Graph:
    """Weights and inputs at their ends, so that sums need up to `channels * taps**2` * 2^15."""
    case = Case(
        (taps, 9, channels), 3, (taps, taps), padding=((0, 0), (0, 0)), zero_points=(-128, 5)
    )
    graph = single_node.conv2d(case, "int8")
    weights = np.full(graph["weights"].shape, 127 * sign, np.int8)
    weights[1, ..., ::2] *= -1
    return with_constant(graph, "weights", weights)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("fill", [-128, 127, None])
@pytest.mark.parametrize(
    ("channels", "taps", "form"), [(28, 3, SIGNED), (32, 3, PLAIN), (121, 3, PLAIN)]
)
def test_sums_at_the_bound_of_the_low_lane(
    core: KernelCore, sign: int, fill: int | None, channels: int, taps: int, form: int
) -> None:
    graph = large(sign, channels, taps)
    bias = np.zeros(3, np.int32)
    graph = with_constant(graph, "bias", bias)
    assert form_of(graph) == form
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
    check_host(graph)
    check_core(core, graph)


def test_scales_above_a_quarter_take_the_plain_form() -> None:
    graph = with_output_scale(single_node.conv2d(Case((3, 11, 5), 6), "int8"), 2.0**-9)
    assert form_of(graph) == PLAIN


@pytest.mark.parametrize("value", [1 << 30, -(1 << 30), 40000, -40000, 77])
def test_channels_without_weights_become_constants(core: KernelCore, value: int) -> None:
    graph = single_node.conv2d(Case((4, 10, 8), 6, density=0.3), "int8")
    weights = graph["weights"].value.copy()
    weights[[0, 3]] = 0
    bias = graph["bias"].value.copy()
    bias[[0, 3]] = value
    graph = with_constant(with_constant(graph, "weights", weights), "bias", bias)
    assert form_of(graph) == SIGNED
    check_host(graph)
    check_core(core, graph)


def test_wide_distances_and_distances_that_continue(core: KernelCore) -> None:
    graph = single_node.conv2d(Case((3, 40, 200), 6, density=1.0), "int8")
    weights = np.zeros(graph["weights"].shape, np.int8)
    weights[0, 2, 2, 199] = 3  # one weight, far away
    weights[1, ::2, 1, ::60] = 5  # every distance too long for 8 bits
    weights[2, 0, :, :5] = 7
    weights[2, 2, 2, 199] = -7  # one long distance among short ones
    weights[4, 1, 1, 0] = -128
    graph = with_constant(graph, "weights", weights)
    node = graph.nodes[0]
    packed = pairs.pack(node, graph)
    np.testing.assert_array_equal(pairs.unpack(packed, node, graph), weights)
    check_host(graph)
    check_core(core, graph)


@pytest.mark.parametrize(
    ("taps", "stride", "kind"),
    [
        (1, 1, DENSE1),
        (1, 2, DENSE1),
        (2, 1, DENSE2),
        (4, 2, DENSE2),
        (3, 1, DENSE3),
        (5, 2, DENSE3),
    ],
)
@pytest.mark.parametrize("channels", [2, 3, 7, 8])
def test_dense_channels_have_no_distances(
    core: KernelCore, taps: int, stride: int, kind: int, channels: int
) -> None:
    case = Case((6, 21, channels), 5, (3, taps), (1, stride), ((1, 1), (1, 1)))
    graph = single_node.conv2d(case, "int8")
    data = pairs.pack(graph.nodes[0], graph).constants[0].array.tobytes()
    assert data[7] // 4 * 4 in (kind, kind + 4 * (kind == DENSE1))
    check_host(graph)
    check_core(core, graph)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17])
@pytest.mark.parametrize("kernel", [1, 3])
def test_every_narrow_width(core: KernelCore, width: int, kernel: int) -> None:
    pad = kernel // 2
    case = Case((11, width, 12), 5, (kernel, kernel), padding=((pad, pad), (pad, pad)), density=0.3)
    graph = single_node.conv2d(case, "int8")
    check_host(graph)
    check_core(core, graph)


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        (Case((5, 9, 8), 6, (3, 3), density=0.2), {"pairs4_narrow", "pairs4_signed"}),
        (
            Case((5, 11, 90), 6, (3, 3), density=0.005),
            {"pairs4_narrow", "pairs4_wide", "pairs4_signed"},
        ),
        (
            Case((6, 21, 8), 5, (3, 4), (1, 2), activation="relu"),
            {"pairs4_dense2", "pairs4_relu", "pairs_clamp"},
        ),
        (Case((6, 8, 8), 5, (3, 3)), {"pairs3_dense3", "pairs3_signed", "pairs3_even"}),
        (Case((6, 7, 8), 5, (3, 3)), {"pairs3_dense3", "pairs3_signed"}),
        (
            Case((6, 7, 8), 5, (3, 3), density=0.3, activation="relu"),
            {"pairs3_narrow", "pairs3_relu", "pairs_clamp"},
        ),
        (
            Case((8, 5, 8), 5, (1, 1)),
            {"pairs4_dense1", "pairs4_signed", "pairs_joined"},
        ),
    ],
)
def test_a_program_has_the_parts_that_its_layers_run(
    case: Case, parts: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, with all other parts left out."""
    monkeypatch.setattr(table, "candidates", lambda node, graph, isa: tuple(candidates(graph)))
    target = profiles.target("cortex-m4")
    if not toolchains.available(target):
        pytest.skip("no compiler for cortex-m4")
    graph = single_node.conv2d(replace(case, padding=NONE), "int8")
    plan = planner.plan(graph, target, "speed")
    assert plan.layers[0].packed.parts == parts
    source = c.write(plan, tmp_path)
    text = (source / "fedtiny" / "parts.h").read_text()
    linked = {name.lower() for name in re.findall(r"FEDTINY_PART_(\w+) +1", text)}
    assert linked == plan.layers[0].packed.parts
    x, y = expected(graph, 0)
    types = [TensorType(graph[name].shape, "int8") for name in ("x", "y")]
    with UnicornRunner(target) as runner:
        runner.load(runner.build(source, tmp_path / "build"), Signature((types[0],), (types[1],)))
        np.testing.assert_array_equal(runner.run((x,)).outputs[0], y)


def test_instructions_are_those_that_the_costs_say(core: KernelCore) -> None:
    """On shapes of networks; the coefficients were fitted to others."""
    kernel = ONE_ROW
    if "cortex-m4" not in kernel.cost:
        pytest.skip("no coefficients yet")
    for case in (
        Case((16, 16, 32), 32, density=0.1, activation="relu", zero_points=(-128, -128)),
        Case((32, 32, 16), 32, (1, 1), (2, 2), ((0, 0), (0, 0)), density=0.2),
        Case((8, 8, 64), 64, density=0.05),
    ):
        graph = single_node.conv2d(case, "int8")
        node = graph.nodes[0]
        counted = core.run(kernel, node, graph, [single_node.data(graph)["x"]]).instructions
        predicted = table.instructions(kernel, node, graph, "cortex-m4")
        assert predicted == pytest.approx(counted, rel=0.05)
