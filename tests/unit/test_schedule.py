"""Orders of steps: complete, never too early, and small where they promise to be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler.dataflow import dataflow
from fedtiny.compiler.ir import GraphError
from fedtiny.compiler.lifetimes import items, peak_bytes
from fedtiny.compiler.plan import FEED, Run, row_count
from fedtiny.compiler.schedule import (
    RUN_LIMIT,
    layers_order,
    rows_order,
    stages,
    unroll,
)
from fedtiny.runtime import table
from fedtiny.runtime.contract import Access, RowContract
from tests.networks import autoencoder, dscnn, flattened, mobilenet, resnet8
from tests.row_graphs import row_graphs

ORDERS = {"layers": layers_order, "rows": rows_order}


def check_program(graph, contracts, program, fed):
    """Follow the rows by hand, from the contracts alone."""
    by_name = dict(zip((c.output.tensor for c in contracts), contracts, strict=True))
    views = {name: name for name in (*graph.inputs, *by_name)}
    for node in graph.nodes:
        views.setdefault(node.output, views[node.inputs[0]])
    done = Counter()
    fed_rows = 0

    def final_bytes(tensor):
        """How many leading bytes of a tensor's memory are final."""
        root = views[tensor]
        rows = row_count(graph[root])
        if root in graph.inputs:
            ready = fed_rows if fed else rows
        else:
            contract = by_name[root]
            steps, write = done[root], contract.output
            if steps == contract.steps:
                ready = rows
            else:
                ready = 0 if write.flat else max(0, min(write.start + steps * write.advance, rows))
        return ready * (graph[root].size // rows)

    for layer in unroll(program):
        if layer == FEED:
            fed_rows += 1
            continue
        contract = contracts[layer]
        step = done[contract.output.tensor]
        assert step < contract.steps
        for access in contract.inputs:
            rows = row_count(graph[access.tensor])
            end = rows if access.flat else access.start + step * access.advance + access.window
            needed = max(0, min(end, rows)) * (graph[access.tensor].size // rows)
            assert final_bytes(access.tensor) >= needed, (layer, step, access)
        done[contract.output.tensor] += 1
    assert {name: done[name] for name in by_name} == {n: c.steps for n, c in by_name.items()}
    assert fed_rows == (row_count(graph[graph.inputs[0]]) if fed else 0)
    assert all(1 <= entry.count <= RUN_LIMIT for entry in program)


@pytest.mark.quick
@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_step_runs_once_and_reads_only_what_is_made(order, data):
    fed = data.draw(st.booleans())
    graph, contracts = data.draw(row_graphs(inputs=1 if fed else 2))
    flow = dataflow(graph, contracts)
    check_program(graph, contracts, ORDERS[order](flow, fed), fed)


def streaming_contract(node, graph):
    """Of the kernel that reads the fewest rows a step and needs the least scratch."""
    found = [table.packing(k).contract(node, graph) for k in table.candidates(node, graph, ())]
    return min(found, key=lambda c: (c.inputs[0].window, c.scratch_bytes))


def real_flow(graph):
    contracts = []
    for node in graph.nodes:
        if node.op != "reshape":
            contracts.append(streaming_contract(node, graph))
    return dataflow(graph, contracts)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("network", "fed", "limit"),
    [
        (resnet8, False, 11_392),
        (resnet8, True, 10_240),
        (dscnn, False, 3_930),
        (dscnn, True, 3_600),
        (mobilenet, False, 28_032),
        (mobilenet, True, 10_272),
    ],
)
def test_streaming_keeps_few_rows_alive(network, fed, limit):
    flow = real_flow(network())
    program = rows_order(flow, fed)
    assert peak_bytes(items(flow, program, fed)) <= limit


@pytest.mark.quick
@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("network", [resnet8, dscnn, mobilenet, flattened, autoencoder])
def test_stages_never_cost_more_than_layer_by_layer(network, fed):
    flow = real_flow(network())
    layers = peak_bytes(items(flow, layers_order(flow, fed), fed))
    assert peak_bytes(items(flow, rows_order(flow, fed), fed)) <= layers


@pytest.mark.quick
def test_a_wide_first_layer_becomes_a_stage_of_its_own():
    # MobileNet's input is three times as large as the first layer's output: shrinking it first
    # beats keeping it while deeper layers stream.
    assert stages(real_flow(mobilenet()))[0] == (0, 0)
    assert stages(real_flow(resnet8())) == ((0, 13),)


@pytest.mark.quick
def test_layer_by_layer_is_one_entry_for_every_64_steps():
    flow = real_flow(mobilenet())
    program = layers_order(flow)
    assert program[0] == Run(0, 48)
    assert len(program) == 29


@pytest.mark.quick
def test_a_contract_that_leaves_rows_unwritten_is_refused():
    graph = resnet8()
    node = graph.nodes[0]
    short = RowContract((Access("input", 3, 1, -1),), Access(node.output, 1, 1), 31)
    rest = [streaming_contract(n, graph) for n in graph.nodes[1:] if n.op != "reshape"]
    with pytest.raises(GraphError, match="31 steps write 31 of the 32 rows"):
        dataflow(graph, [short, *rest])
