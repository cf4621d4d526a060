"""Planning: kernels, memory modes, limits, the tables; and plans that run as the reference does."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.cli.app import fedtiny
from fedtiny.compiler import cost
from fedtiny.compiler.assemble import assemble
from fedtiny.compiler.dataflow import layer_nodes
from fedtiny.compiler.ir import BatchNorm, Graph, Node, Pattern, Relu, Tensor
from fedtiny.compiler.plan import FEED, Run
from fedtiny.compiler.planner import RAM_MODES, STACK_RESERVE_BYTES, curve, plan
from fedtiny.compiler.reference import execute
from fedtiny.compiler.schedule import unroll
from fedtiny.compiler.serialize import FEED_ENTRY, shared, tables
from fedtiny.devices.profiles import DeviceProfile, target, targets
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.exporters import tflite
from fedtiny.runtime import table
from fedtiny.runtime.contract import Access, RowContract
from fedtiny.runtime.host_plan import run_plan, run_plan_tensors
from tests.graph_strategies import graphs, samples
from tests.networks import Builder, autoencoder, dscnn, flattened, resnet8
from tests.row_graphs import layers_of, row_graphs
from tests.row_graphs import target as fake_target

M4 = target("cortex-m4")


def has_kernels(graph: Graph) -> bool:
    return {node.op for node in layer_nodes(graph)} <= {kernel.op for kernel in table.kernels()}


@settings(max_examples=60, deadline=None)
@given(graph=graphs(most=6).filter(has_kernels), ram=st.sampled_from(RAM_MODES), fed=st.booleans())
def test_plans_of_random_networks_compute_what_the_reference_does(graph, ram, fed):
    host = target("c")
    inputs = samples(graph, 1)
    expected = execute(graph, inputs, keep_all=True)
    made = run_plan_tensors(plan(graph, host, ram, fed), list(inputs.values()))
    assert set(made) >= {node.output for node in layer_nodes(graph)}
    for name, value in made.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.quick
@pytest.mark.parametrize("network", [resnet8, dscnn, autoencoder, flattened])
def test_modes_trade_arena_for_instructions(network):
    graph = network()
    speed, balanced, small = (plan(graph, M4, mode) for mode in ("speed", "balanced", "min"))
    assert speed.schedule == "layers"
    assert small.arena_bytes <= balanced.arena_bytes <= speed.arena_bytes
    assert all(p.arena_bound_bytes <= p.arena_bytes for p in (speed, balanced, small))


@pytest.mark.quick
def test_resnet8_fits_in_a_third_of_its_tensors():
    frame, fed = plan(resnet8(), M4, "min"), plan(resnet8(), M4, "min", fed=True)
    assert frame.arena_bytes <= 11_440
    assert fed.arena_bytes <= 10_384


@pytest.mark.quick
def test_a_sparse_layer_takes_the_sparse_kernel():
    made = plan(resnet8(density=0.05), target("c"), "speed")
    dense, pruned = (
        table.packing(layer.kernel).features(layer.node, made.graph) for layer in made.layers[:2]
    )
    assert "nonzero_macs" in pruned
    assert "nonzero_macs" not in dense


@pytest.mark.quick
def test_costs_are_of_one_set_and_what_was_not_counted_is_not_rated():
    graph = resnet8(density=0.5)
    node = graph.nodes[1]
    kernels = [
        kernel
        for kernel in table.candidates(node, graph, ())
        if "outputs" in table.packing(kernel).features(node, graph)
    ]
    plain = [replace(k, cost={}) for k in kernels]
    work = cost.compare(plain, node, graph, M4)
    fitted = [replace(k, cost={"cortex-m4": {"outputs": 2.0}}) for k in kernels]
    outputs = 32 * 32 * 16
    assert cost.compare(fitted, node, graph, M4) == (2.0 * outputs,) * len(kernels)
    mixed = cost.compare([plain[0], *fitted[1:]], node, graph, M4)
    assert mixed == (None, *(2.0 * outputs,) * (len(kernels) - 1))
    assert cost.predict(plain[0], node, graph, M4) is None
    # Without coefficients an index pays below density 0.25, and a reference never.
    by_name = dict(zip((k.name for k in kernels), work, strict=True))
    assert by_name["conv2d_csr_s8"] > by_name["conv2d_im2col_s8"] < by_name["conv2d_s8"]


@pytest.mark.quick
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("name", sorted(targets()))
def test_every_target_rates_every_layer_and_never_with_nothing(name, dtype):
    to = target(name)
    for graph in (resnet8(dtype, density=0.1), dscnn(dtype, 16), flattened(dtype)):
        for node in layer_nodes(graph):
            kernels = table.candidates(node, graph, to.isa)
            costs = cost.compare(kernels, node, graph, to)
            rated = [c for c in costs if c is not None]
            assert rated
            assert min(rated) >= graph[node.output].size
            plain = [replace(k, cost={}) for k in kernels]
            assert min(cost.compare(plain, node, graph, to)) >= graph[node.output].size


@pytest.mark.quick
@pytest.mark.parametrize("name", sorted(targets()))
def test_plain_references_run_nowhere_where_something_faster_exists(name):
    made = plan(resnet8(density=0.1), target(name), "speed")
    assert not any("conv2d_s8" in layer.kernel.name for layer in made.layers)


def board(sram_bytes: int, flash_bytes: int | None = None) -> DeviceProfile:
    return DeviceProfile("board", "", "cortex-m4", "", 1, flash_bytes, sram_bytes)


@pytest.mark.quick
def test_a_device_gets_the_fewest_instructions_that_fit_it():
    graph = resnet8(size=16)
    points = curve(graph, M4)
    assert len(points) > 3
    for faster, smaller in pairwise(points):
        assert faster.instructions < smaller.instructions
        assert faster.plan.arena_bytes > smaller.plan.arena_bytes
    for faster, smaller in pairwise(points):
        budget = (faster.plan.arena_bytes + smaller.plan.arena_bytes) // 2
        made = plan(graph, M4, device=board(budget + STACK_RESERVE_BYTES))
        assert made.arena_bytes <= budget
        assert sum(layer.instructions for layer in made.layers) <= 1.05 * smaller.instructions
    smallest = plan(graph, M4, device=board(1))
    assert smallest.arena_bytes == plan(graph, M4, "min").arena_bytes


@pytest.mark.quick
def test_a_device_without_flash_for_the_fastest_kernels_gets_smaller_constants():
    graph = resnet8(size=16, width=4, density=0.6)
    ample = plan(graph, M4, device=board(1 << 20, 1 << 20))
    sizes = [len(tables(p).constants) for p in (ample, plan(graph, M4, "min"))]
    budget = sizes[0] - 200
    tight = plan(graph, M4, device=board(1 << 20, budget))
    assert sum(a.nbytes for layer in tight.layers for a in arrays(layer)) <= budget
    assert sum(x.instructions for x in tight.layers) > sum(x.instructions for x in ample.layers)


def arrays(layer):
    return [constant.array for constant in layer.packed.constants]


@pytest.fixture
def two_kernels(monkeypatch):
    """Every fully connected layer has a fast kernel with scratch and a small, slower one."""
    base = next(k for k in table.kernels() if k.name == "fully_connected_double_s8")
    kernels = tuple(replace(base, name=name) for name in ("fast", "small"))
    packing = table.packing(base)

    class Fake:
        pack = staticmethod(packing.pack)

        def __init__(self, kernel):
            self.name = kernel.name

        def contract(self, node, graph):
            scratch = Fake.scratch(node) if self.name == "fast" else 0
            return replace(packing.contract(node, graph), scratch_bytes=scratch)

    def use(slower, scratch):
        Fake.scratch = staticmethod(scratch)
        price = {"fast": 1000.0, "small": 1000.0 * slower}
        monkeypatch.setattr(table, "candidates", lambda *_: kernels)
        monkeypatch.setattr(table, "packing", Fake)
        monkeypatch.setattr(table, "instructions", lambda k, *_: price[k.name])
        monkeypatch.setattr(table, "executor_cost", lambda _: {})

    return use


def chosen(ram):
    return [layer.kernel.name for layer in plan(autoencoder(), M4, ram).layers]


@pytest.mark.quick
@pytest.mark.parametrize(("slower", "taken"), [(1.09, "small"), (2.1, "fast")])
def test_balanced_pays_ten_percent_for_a_smaller_arena(two_kernels, slower, taken):
    two_kernels(slower, lambda node: 4096)
    assert chosen("speed") == ["fast"] * 10
    assert chosen("balanced") == [taken] * 10
    assert chosen("min") == ["small"] * 10


@pytest.mark.quick
@pytest.mark.parametrize(("slower", "taken"), [(1.9, "small"), (2.1, "fast")])
def test_only_the_layer_at_the_peak_becomes_slower(two_kernels, slower, taken):
    # One of ten equal layers may cost twice as much before the whole costs ten percent more.
    two_kernels(slower, lambda node: 4096 if node.name == "fully_connected_3" else 8)
    assert chosen("balanced") == ["fast"] * 3 + [taken] + ["fast"] * 6
    made = plan(autoencoder(), M4, "balanced")
    assert sum(layer.instructions for layer in made.layers) <= 1.1 * 10_000


def batch_norm_graph() -> Graph:
    b = Builder("bn", "float32")
    x = b.conv(b.input(1, 4, 4, 2), 3)
    for name in ("s", "o", "m", "v"):
        b._constant(name, np.ones(3, np.float32))
    b._activation(BatchNorm(), (x, "s", "o", "m", "v"), (1, 4, 4, 3))
    return b.graph()


@pytest.mark.quick
def test_a_node_without_a_kernel_is_named():
    with pytest.raises(UnsupportedError) as caught:
        plan(batch_norm_graph(), M4)
    message = str(caught.value)
    assert "'batch_norm_1' (batch_norm, float32)" in message
    assert "Supported operators: add, average_pool2d, " in message


@pytest.mark.quick
def test_a_shape_without_a_kernel_is_named():
    b = Builder("wide")
    x = b.average(b.input(1, 2, 2, 70_000))
    with pytest.raises(UnsupportedError, match=r"no int8 kernel of average_pool2d .*70000"):
        plan(b.graph(x), M4)


@pytest.mark.quick
def test_what_the_runtime_cannot_hold_is_refused():
    b = Builder("empty")
    x = b.reshape(b.input(1, 2, 2, 1), 1, 4)
    with pytest.raises(UnsupportedError, match="no layer that computes"):
        plan(b.graph(x), M4)

    graph = resnet8(size=8, width=2)
    unread = Tensor("unread", (1, 4), "int8")
    spare = replace(graph, tensors={**graph.tensors, "unread": unread}, inputs=("input", "unread"))
    with pytest.raises(UnsupportedError, match="'unread' of model 'resnet8' is never read"):
        plan(spare, M4)
    with pytest.raises(UsageError, match="2 inputs; rows can be fed to one"):
        plan(spare, M4, fed=True)
    with pytest.raises(UsageError, match="'balanced'"):
        plan(graph, M4, "balance")  # type: ignore[arg-type]

    b = Builder("batch")
    x = b.add(b.input(2, 3, 3, 1), "input")
    with pytest.raises(UnsupportedError, match="batch size 1"):
        plan(b.graph(x), M4)


@pytest.mark.quick
def test_an_input_that_is_an_output_keeps_its_rows():
    b = Builder("echo")
    x = b.input(1, 5, 3, 2)
    graph = b.graph(b.conv(x, 2), x)
    made = plan(graph, target("c"), "min")
    inputs = samples(graph, 1)
    result, echo = run_plan(made, list(inputs.values()))
    np.testing.assert_array_equal(echo, inputs["input"])
    np.testing.assert_array_equal(result, execute(graph, inputs)[graph.outputs[0]])


@pytest.mark.quick
def test_equal_graphs_give_equal_tables():
    one, two = (tables(plan(dscnn(), M4)) for _ in range(2))
    assert one.constants == two.constants
    assert (one.row_address, one.program, one.layers) == (two.row_address, two.program, two.layers)


@settings(max_examples=60, deadline=None)
@given(row_graphs(inputs=1), st.booleans())
def test_the_program_survives_encoding(case, fed):
    graph, contracts = case
    made = assemble(graph, fake_target(), layers_of(graph, contracts), "rows", fed)
    steps = []
    for entry in made.program:
        encoded = FEED_ENTRY if entry.layer == FEED else (entry.count - 1) << 10 | entry.layer
        assert encoded < 1 << 16
        back = Run(FEED) if encoded == FEED_ENTRY else Run(encoded & 0x3FF, (encoded >> 10) + 1)
        assert back == entry
        steps += [entry.layer] * entry.count
    assert steps == list(unroll(made.program))


@pytest.mark.quick
def test_every_constant_lies_where_its_struct_says():
    made = plan(resnet8(density=0.1), M4)
    model = tables(made)
    at = 0
    for member in model.members:  # no gaps, no overlaps
        assert member.offset == at
        at += member.size_bytes
    assert at == len(model.constants)
    assert at % model.constants_alignment == 0
    by_name = {m.name: m for m in model.members if m.name}
    for row, layer in zip(model.layers, made.layers, strict=True):
        dtype = table.param_struct(layer.kernel.params)
        struct = np.frombuffer(model.constants, dtype, 1, row.params)[0]
        for constant in layer.packed.constants:
            offset = int(struct[constant.name])
            data = np.frombuffer(model.constants, constant.array.dtype, constant.array.size, offset)
            np.testing.assert_array_equal(data, constant.array.reshape(-1))
            assert offset % max(constant.alignment, constant.array.dtype.itemsize) == 0
        assert by_name[f"{row.identifier}_params"].offset == row.params


@pytest.mark.quick
def test_equal_arrays_are_stored_once_and_empty_ones_not_at_all():
    b = Builder("twins", seed=3)
    x = b.conv(b.input(1, 4, 4, 2), 2)
    y = b.conv(x, 2)
    for name in ("layer_0", "layer_1"):
        weights = b.tensors[f"{name}_w"]
        same = np.arange(36, dtype=np.int8).reshape(2, 3, 3, 2)
        b.tensors[f"{name}_w"] = replace(weights, data=same)
    twins = tables(plan(b.graph(y), target("c"), "min"))
    stored = [m.name for m in twins.members if m.name.endswith("weights")]
    assert stored == ["conv2d_0_weights"]

    zeros = np.zeros_like(b.tensors["layer_1_w"].value)
    b.tensors["layer_1_w"] = replace(
        b.tensors["layer_1_w"], data=zeros, pattern=Pattern("unstructured", 0.0)
    )
    graph = b.graph(y)
    made = plan(graph, target("c"), "speed")
    assert "csr" in made.layers[1].kernel.name
    assert all(m.size_bytes for m in tables(made).members)
    inputs = samples(graph, 1)
    expected = execute(graph, inputs)
    np.testing.assert_array_equal(run_plan_tensors(made, list(inputs.values()))[y], expected[y])


@pytest.mark.quick
def test_large_arenas_shift_their_addresses():
    made = plan(resnet8("float32", size=64), target("c"), "speed")
    model = tables(made)
    assert made.arena_bytes > 4 << 16
    assert model.address_shift >= 3
    assert max(model.row_address) <= 0xFFFF
    assert model.arena_alignment % (1 << model.address_shift) == 0
    for view in made.placements:
        first = model.tensors[made.placements.index(view)].first_row
        for row, offset in enumerate(view.offsets):
            assert model.row_address[first + row] << model.address_shift == offset


@pytest.mark.quick
def test_contiguous_rows_that_addresses_cannot_name_are_refused():
    tensors = {
        n: Tensor(n, s, "int8")
        for n, s in {"x": (1, 3, 1, 40_001), "y": (1, 3, 1, 40_001), "z": (1, 2)}.items()
    }
    nodes = (Node("y", Relu(), ("x",), ("y",)), Node("z", Relu(), ("y",), ("z",)))
    graph = Graph("odd", tensors, nodes, ("x",), ("z",))
    contracts = [
        RowContract((Access("x", 1, 1),), Access("y", 1, 1), 3),
        RowContract((Access("y", 1, 0, flat=True),), Access("z", 1, 0), 1),
    ]
    with pytest.raises(UnsupportedError, match="'y' must be contiguous, but its rows of 40001"):
        assemble(graph, fake_target(), layers_of(graph, contracts), "layers")


def test_the_curve_is_printed_and_is_one_document(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite.to_bytes(resnet8(size=8, width=4, density=0.3)))
    words = ["plan", str(path), "--target", "cortex-m4"]
    text = CliRunner().invoke(fedtiny, words)
    document = json.loads(CliRunner().invoke(fedtiny, [*words, "--json"]).stdout)
    assert text.exit_code == 0
    assert "row by row" in text.stdout
    assert "% " in text.stdout
    points = document["points"]
    assert points[0]["extra"] == 0
    for a, b in pairwise(points):
        assert a["arena_bytes"] > b["arena_bytes"]
        assert a["instructions"] < b["instructions"]
    for point in points:
        above = point["arena_bytes"] / point["bound_bytes"] - 1
        assert point["gap"] == pytest.approx(above, abs=1e-4)
        assert 0 <= above <= 0.25


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), max_size=8))
def test_lists_that_overlap_are_read_back_whole(lists):
    joined, starts = shared(lists)
    for values, start in zip(lists, starts, strict=True):
        assert list(joined[start : start + len(values)]) == values
    assert len(joined) <= sum(map(len, lists))


def test_rows_that_lie_where_others_did_take_no_place():
    lists = [[5, 6, 7], [5, 6], [4, 5, 6], [256, 1]]
    assert shared(lists) == ((256, 1, 4, 5, 6, 7), [3, 3, 2, 0])


@pytest.mark.parametrize("ram", RAM_MODES)
def test_optimizing_size_takes_less_flash_in_the_same_memory(ram):
    graph = dscnn(channels=32, density=0.2)
    fast, small = (plan(graph, M4, ram, optimize=how) for how in ("speed", "size"))
    flash = [
        len(tables(made).constants) + sum(functions_of(made).values()) for made in (fast, small)
    ]
    assert flash[1] < flash[0]
    assert small.arena_bytes <= fast.arena_bytes
    with pytest.raises(UsageError, match=r"unknown optimization 'siz'. Did you mean 'size'"):
        plan(graph, M4, optimize="siz")


@pytest.mark.parametrize("ram", ["balanced", "speed"])
def test_optimizing_size_leaves_planes_where_rows_take_less(ram):
    graph = resnet8(density=0.05)
    fast, small = (plan(graph, target("cortex-a"), ram, optimize=how) for how in ("speed", "size"))
    assert any(tensor.layout == "chw" for tensor in fast.graph.activations())
    assert all(tensor.layout == "hwc" for tensor in small.graph.activations())
    assert len(tables(small).constants) < 0.5 * len(tables(fast).constants)
    assert small.arena_bytes <= fast.arena_bytes


def functions_of(made):
    """Bytes of the functions of a plan's kernels."""
    found = {}
    for layer in made.layers:
        found |= table.code(layer.kernel, made.target.cost)
    return found
