"""Kernels on padded channel planes against the numpy reference, on this machine and on NEON."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler import planner, reference
from fedtiny.compiler.ir import DType, Graph, Tensor
from fedtiny.compiler.quantization import per_tensor
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime import host, table
from fedtiny.runtime.contract import Kernel
from fedtiny.runtime.host_plan import run_plan
from fedtiny.runtime.packing import layouts
from tests import networks
from tests.kernels import single_node
from tests.kernels.single_node import Case

KERNELS = [k for k in table.kernels() if "chw" in (k.layout_in, k.layout_out)]
FLOAT_ERROR = 2.0**-23
"""Of one fused multiply-add, relative to the sum of magnitudes."""

widths = st.one_of(st.sampled_from([4, 8]), st.integers(1, 70))
sizes = st.tuples(st.integers(1, 12), widths, st.integers(1, 17))
pads = st.tuples(st.integers(0, 1), st.integers(0, 1))


@st.composite
def cases(draw: st.DrawFn, op: str) -> Case:
    case = Case(
        size=draw(sizes),
        outputs=draw(st.integers(1, 17)),
        kernel=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        stride=draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1), (3, 3)])),
        padding=draw(st.tuples(pads, pads)),
        groups=0 if op == "depthwise_conv2d" else 1,
        density=draw(st.sampled_from([0.0, 0.05, 0.2, 0.6, 1.0])),
        activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        zero_points=draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))),
        gain=draw(st.sampled_from([0.5, 1.0, 4.0, 300.0])),
        powers=draw(st.booleans()),
        seed=draw(st.integers(0, 1 << 20)),
    )
    if op == "average_pool2d":
        return replace(case, kernel=case.size[:2], stride=(1, 1), padding=((0, 0), (0, 0)))
    return case


def single(kernel: Kernel, case: Case) -> Graph | None:
    """The graph of a case in the kernel's layouts; None where it has no output or no support."""
    window = kernel.op in ("conv2d", "depthwise_conv2d")
    if window and min(case.output()) < 1:
        return None
    graph = single_node.BUILDERS[kernel.op](case, kernel.dtype)  # type: ignore[arg-type]
    graph = single_node.in_layouts(graph, kernel)
    return graph if table.packing(kernel).supports(graph.nodes[0], graph) else None


def tolerance(graph: Graph, inputs: dict[str, single_node.Array]) -> single_node.Array | float:
    """What fused sums in any order may differ by: (terms + 1) roundings of sum |w| |x|."""
    node = graph.nodes[0]
    if graph[node.output].dtype == "int8":
        return 0.0
    if node.op == "convert_layout":
        return 0.0
    changed = []
    for name in node.inputs[1:]:
        if graph[name].data is not None:
            changed.append(replace(graph[name], data=np.abs(graph[name].value)))
    plain = replace(node, attributes=replace(node.attributes, activation="none"))  # type: ignore[call-arg]
    magnitudes = graph.rewrite((plain,), changed)
    terms = max(graph[name].size for name in node.inputs)
    sums = reference.execute(magnitudes, {name: np.abs(x) for name, x in inputs.items()})
    return (terms + 2) * FLOAT_ERROR * sums[node.output]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(draw=st.data())
def test_kernel_equals_the_reference(kernel: Kernel, draw: st.DataObject) -> None:
    equals_the_reference(kernel, draw.draw(cases(kernel.op)))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=500, deadline=None, derandomize=True)
@given(draw=st.data())
def test_kernel_equals_the_reference_on_many_shapes(kernel: Kernel, draw: st.DataObject) -> None:
    equals_the_reference(kernel, draw.draw(cases(kernel.op)))


LARGE = {
    "blocks": Case((16, 16, 130), 5, density=0.4, activation="relu", seed=6),
    "segments": Case((32, 33, 64), 3, density=0.2, seed=7),
    "phases": Case((32, 32, 70), 4, stride=(2, 2), density=0.3, seed=8),
    "windows": Case((4, 4, 512), 6, density=0.3, seed=9),
    "strided windows": Case((8, 8, 130), 6, stride=(2, 2), density=0.8, activation="relu", seed=1),
}
"""What small layers do not need: several blocks of channels, offsets of more than 16 bits, and
copies of narrow images for every tap."""


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("name", ["conv2d_planes_blocked_f32", "conv2d_planes_pairs_s8"])
def test_large_layers_equal_the_reference(name: str, case: Case) -> None:
    kernel = table.kernel(name)
    graph = equals_the_reference(kernel, case)
    assert graph is not None
    packing = table.packing(kernel)
    packed = packing.pack(graph.nodes[0], graph)
    unpacked = packing.unpack(packed, graph.nodes[0], graph)
    np.testing.assert_array_equal(unpacked, graph[graph.nodes[0].inputs[1]].value)


def equals_the_reference(kernel: Kernel, case: Case) -> Graph | None:
    """Run a case in this process and compare; the graph, or None where there is no such node."""
    graph = single(kernel, case)
    if graph is None:
        return None
    node = graph.nodes[0]
    inputs = single_node.data(graph, 1)
    found = host.run_kernel(kernel, node, graph, [inputs[name] for name in graph.inputs])
    expected = reference.execute(graph, inputs)[node.output]
    error = np.abs(found.astype(np.float64) - expected)
    assert np.all(error <= tolerance(graph, inputs))
    return graph


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_kernel_writes_its_padding(kernel: Kernel) -> None:
    """The next kernel reads padding as zero, whatever the arena held before."""
    if kernel.layout_out != "chw":
        return
    graph = single(kernel, Case((5, 6, 3), 4, seed=3))
    assert graph is not None
    node, tensor = graph.nodes[0], graph["y"]
    stored = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "decode", lambda _, data: stored.append(data) or data)
        inputs = single_node.data(graph, 3)
        values = host.run_kernel(kernel, node, graph, [inputs[n] for n in graph.inputs])
    assert stored[0] is values
    again = layouts.encode(tensor, layouts.decode(tensor, values))
    np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(draw=st.data())
def test_packing_is_exactly_undone(kernel: Kernel, draw: st.DataObject) -> None:
    graph = single(kernel, draw.draw(cases(kernel.op)))
    if graph is None or len(graph.nodes[0].inputs) < 3:
        return
    node, module = graph.nodes[0], table.packing(kernel)
    unpacked = module.unpack(module.pack(node, graph), node, graph)
    np.testing.assert_array_equal(unpacked, graph[node.inputs[1]].value)
    assert unpacked.dtype == graph[node.inputs[1]].value.dtype


@pytest.mark.quick
@settings(max_examples=30, deadline=None, derandomize=True)
@given(size=sizes, int8=st.booleans())
def test_layouts_keep_values(size: tuple[int, int, int], int8: bool) -> None:
    shape = (1, *size)
    quantization = per_tensor(0.5, -7) if int8 else None
    tensor = Tensor("x", shape, "int8" if int8 else "float32", quantization, layout="chw")
    values = np.arange(np.prod(shape)).reshape(shape).astype(tensor.dtype)
    stored = layouts.encode(tensor, values)
    assert stored.nbytes == layouts.row_bytes(tensor)
    assert layouts.row_count(tensor) == 1
    np.testing.assert_array_equal(layouts.decode(tensor, stored), values)
    p = layouts.planes(tensor)
    assert (stored[: p.lead] == (-7 if int8 else 0)).all()
    assert stored[p.lead] == values[0, 0, 0, 0]


def same_on_neon(graph: Graph, kind: str, folder: Path, name: str = "cortex-a") -> None:
    """Plan for Arm, run emulated and in this process: fused sums of one order, equal bits."""
    target = profiles.target(name)
    plan = planner.plan(graph, target, "speed")
    assert any("chw" in (x.kernel.layout_in, x.kernel.layout_out) for x in plan.layers)
    inputs = single_node.data(plan.graph, 7)
    ends = [
        tuple(TensorType(plan.graph[n].shape, plan.graph[n].dtype) for n in names)
        for names in (plan.graph.inputs, plan.graph.outputs)
    ]
    with UnicornRunner(target, kind) as runner:
        source = c.write(plan, folder)
        runner.load(runner.build(source, folder / "build"), Signature(ends[0], ends[1]))
        result = runner.run(tuple(inputs.values()))
    here = planner.plan(graph, profiles.target("cortex-a"), "speed")  # pointers of 64 bits
    expected = run_plan(here, list(inputs.values()))
    np.testing.assert_array_equal(result.outputs[0], expected[0])


SHAPES = (
    Case((7, 33, 3), 5, density=0.5, activation="relu", seed=1),
    Case((9, 12, 4), 3, stride=(2, 2), seed=2),
    Case((4, 4, 6), 7, (1, 1), (2, 2), ((0, 0), (0, 0)), density=0.3, seed=3),
    Case((7, 8, 16), 17, density=0.7, activation="relu", seed=4),
    Case((9, 8, 16), 17, stride=(2, 2), density=0.9, seed=5),
)
"""Between them they take every path: several tiles, phases of a stride, parts of a vector, columns
of the window for 8 and for 4 pixels."""


IDS = ("tiles", "stride", "pixels", "eight", "four")
NEON = ("cortex-a", "armv7-neon")
NEON_CASES = [
    pytest.param(
        name,
        kind,
        case,
        id=f"{name}-{kind}-{of}",
        marks=[] if index == 0 and (name == "cortex-a" or of == "tiles") else [pytest.mark.slow],
    )
    for name in NEON
    for index, kind in enumerate(toolchains.available(profiles.target(name)))
    for of, case in zip(IDS, SHAPES, strict=True)
]


@pytest.mark.parametrize(("name", "kind", "case"), NEON_CASES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_kernel_on_neon_equals_this_machine(
    kernel: Kernel,
    name: str,
    kind: str,
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if "dotprod" in kernel.isa:
        if name == "armv7-neon":
            return
        name = "cortex-a+dotprod"
    if kernel.op == "depthwise_conv2d":
        case = replace(case, groups=0)
    elif kernel.op == "average_pool2d":
        case = replace(case, kernel=case.size[:2], stride=(1, 1), padding=((0, 0), (0, 0)))
    graph = single(kernel, case)
    if graph is None:  # a line that equals four roundings does not exist for all scales
        return
    monkeypatch.setattr(planner, "place_layouts", lambda graph, target: graph)
    with single_node.only(kernel):
        same_on_neon(single_node.between_conversions(graph), kind, tmp_path, name)


@pytest.mark.parametrize("name", ["conv2d_planes_s8", "depthwise_conv2d_planes_s8"])
@pytest.mark.parametrize("case", SHAPES, ids=IDS)
def test_nonzeros_by_dot_products_equal_this_machine(
    name: str, case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = table.kernel(name)
    case = replace(case, groups=0) if kernel.op == "depthwise_conv2d" else case
    graph = single(kernel, case)
    assert graph is not None
    monkeypatch.setattr(planner, "place_layouts", lambda graph, target: graph)
    kind = toolchains.available(profiles.target("cortex-a"))[0]
    with single_node.only(kernel):
        between = single_node.between_conversions(graph)
        same_on_neon(between, kind, tmp_path, "cortex-a+dotprod")


@pytest.mark.parametrize("name", NEON)
@pytest.mark.parametrize("dtype", sorted({k.dtype for k in KERNELS}))
def test_a_network_on_neon_equals_this_machine(dtype: DType, name: str, tmp_path: Path) -> None:
    kind = toolchains.available(profiles.target(name))[0]
    same_on_neon(networks.resnet8(dtype, 0.3, size=16, width=8), kind, tmp_path, name)
