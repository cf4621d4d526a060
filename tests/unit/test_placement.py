"""Placement: nothing alive is ever overwritten, and the checker that says so can say otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler.assemble import assemble, counters_of
from fedtiny.compiler.check_plan import PlanError, check_plan
from fedtiny.compiler.ir import Conv2d, Graph, Node, Tensor
from fedtiny.compiler.lifetimes import Item, Part, bound_bytes, peak_bytes
from fedtiny.compiler.placement import place
from fedtiny.compiler.plan import FEED, Run
from fedtiny.compiler.planner import plan as make_plan
from fedtiny.devices.profiles import target as real_target
from fedtiny.runtime.contract import Access, RowContract
from tests.networks import flattened, resnet8
from tests.row_graphs import layers_of, row_graphs, target


def item(name: int, size: int, *lives: tuple[int, int]) -> Item:
    part = Part("row", name)
    return Item(tuple((part, life) for life in lives), size, lives)


@pytest.mark.quick
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 20), st.integers(1, 9), st.booleans()),
        max_size=25,
    ),
    st.sampled_from([1, 4, 16]),
)
def test_items_alive_together_are_disjoint_and_aligned(specs, alignment):
    found = [
        item(i, size, (start, start + length), *([(40, 45)] if twice else []))
        for i, (size, start, length, twice) in enumerate(specs)
    ]
    offsets, top = place(found, alignment)
    assert top == max((o + i.size_bytes for i, o in zip(found, offsets, strict=True)), default=0)
    assert top >= peak_bytes(found)
    for a, (one, x) in enumerate(zip(found, offsets, strict=True)):
        assert x % alignment == 0
        for two, y in list(zip(found, offsets, strict=True))[a + 1 :]:
            meet = any(b < d2 and b2 < d for b, d in one.intervals for b2, d2 in two.intervals)
            assert not meet or x + one.size_bytes <= y or y + two.size_bytes <= x


@pytest.mark.quick
def test_a_gap_in_a_life_is_used():
    # Scratch of a layer that runs at two times; a row lives in between.
    found = [item(0, 8, (0, 2), (6, 8)), item(1, 8, (3, 5))]
    assert place(found, 4) == ((0, 0), 8)
    assert peak_bytes(found) == 8


@settings(max_examples=120, deadline=None)
@given(data=st.data(), schedule=st.sampled_from(["layers", "rows"]))
def test_plans_of_random_graphs_lose_nothing(data, schedule):
    fed = data.draw(st.booleans())
    graph, contracts = data.draw(row_graphs(inputs=1 if fed else 2))
    chip = target(data.draw(st.sampled_from([1, 4, 16])), data.draw(st.sampled_from([4, 8])))
    plan = assemble(graph, chip, layers_of(graph, contracts), schedule, fed)
    check_plan(plan)
    assert plan.arena_bound_bytes <= plan.arena_bytes
    assert plan.pointers_offset + plan.max_window * chip.pointer_bytes == plan.arena_bytes
    assert plan.pointers_offset % 8 == 0
    for life in plan.lifetimes:
        assert 0 <= life.born < life.dies
        assert life.offset + life.size_bytes <= plan.counters_offset


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_the_checker_notices_a_row_that_moved(data):
    """Move one row onto another that lives at the same time: the plan must be refused."""
    graph, contracts = data.draw(row_graphs())
    plan = assemble(graph, target(), layers_of(graph, contracts), "rows")
    lives = [life for life in plan.lifetimes if "[" in life.name]
    pairs = [
        (a, b)
        for a in lives
        for b in lives
        if a.offset != b.offset
        and a.born + 1 < a.dies
        and b.born + 1 < b.dies
        and max(a.born, b.born) + 1 < min(a.dies, b.dies)
    ]
    if not pairs:
        return
    moved, onto = data.draw(st.sampled_from(pairs))
    name, row = moved.name[:-1].split("[")
    roots = [
        replace(
            p,
            offsets=tuple(onto.offset if r == int(row) else o for r, o in enumerate(p.offsets)),
        )
        if p.tensor == name
        else p
        for p in plan.placements
    ]
    views = [p for p in roots if p.tensor != name and p.offsets == plan_offsets(plan, name)]
    with pytest.raises(PlanError):
        check_plan(replace(plan, placements=tuple(p for p in roots if p not in views)))


def plan_offsets(plan, name):
    return plan.placements[plan.placement(name)].offsets


def resnet_plan(schedule="rows", fed=False):
    graph = resnet8(size=8, width=4)
    made = make_plan(graph, real_target("cortex-m4"), "min", fed)
    assert made.schedule == schedule
    return made


@pytest.mark.quick
def test_the_checker_notices_steps_out_of_order():
    plan = resnet_plan()
    swapped = (plan.program[1], plan.program[0], *plan.program[2:])
    with pytest.raises(PlanError, match="before it is made"):
        check_plan(replace(plan, program=swapped))


@pytest.mark.quick
def test_the_checker_notices_missing_and_extra_steps():
    plan = resnet_plan()
    with pytest.raises(PlanError, match="runs 0 steps"):
        check_plan(replace(plan, program=plan.program[:-1]))
    with pytest.raises(PlanError, match="runs more than its 1 steps"):
        check_plan(replace(plan, program=(*plan.program, plan.program[-1])))
    with pytest.raises(PlanError, match="feeds a row"):
        check_plan(replace(plan, program=(Run(FEED), *plan.program)))


def summing_plan(**contract):
    """One layer that sums four rows of 8 bytes, with memory of its own."""
    tensors = {n: Tensor(n, s, "int8") for n, s in {"x": (1, 4, 1, 8), "y": (1, 1, 1, 8)}.items()}
    graph = Graph("sum", tensors, (Node("y", Conv2d(), ("x",), ("y",)),), ("x",), ("y",))
    made = RowContract((Access("x", 1, 1),), Access("y", 1, 0), 4, **contract)
    return assemble(graph, target(), layers_of(graph, [made]), "rows")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("contract", "offset", "row", "message"),
    [
        ({"state_bytes": 8}, "state_offset", 3, "overwritten"),
        ({"scratch_bytes": 8}, "scratch_offset", 3, "overwritten before step 3"),
        ({"scratch_bytes": 8, "state_bytes": 8}, "scratch_offset", None, "overlap"),
        ({"scratch_bytes": 8, "overlap": "any"}, "scratch_offset", 0, "overwritten before step 0"),
    ],
)
def test_the_checker_notices_working_memory_in_the_way(contract, offset, row, message):
    plan = summing_plan(**contract)
    check_plan(plan)
    layer = plan.layers[0]
    place = layer.state_offset if row is None else plan.placements[0].offsets[row]
    with pytest.raises(PlanError, match=message):
        check_plan(replace(plan, layers=(replace(layer, **{offset: place}),)))


@pytest.mark.quick
def test_only_a_kernel_that_reads_first_may_overwrite_its_input():
    def overwriting(overlap):
        plan = summing_plan(overlap=overlap)
        x, y = plan.placements
        return replace(plan, placements=(x, replace(y, offsets=x.offsets[:1])))

    check_plan(overwriting("any"))
    with pytest.raises(PlanError, match="over what it reads"):
        check_plan(overwriting("none"))


@pytest.mark.quick
def test_a_flattened_map_is_contiguous_and_has_two_views():
    made = make_plan(flattened(), real_target("cortex-m4"))
    pooled = next(n for n in made.graph.nodes if n.op == "average_pool2d").output
    rows = made.placements[made.placement(pooled)]
    view = made.placements[made.placement(made.layers[-1].contract.inputs[0].tensor)]
    assert [b - a for a, b in zip(rows.offsets, rows.offsets[1:], strict=False)] == [20] * 4
    assert view.offsets == rows.offsets[:1]
    assert view.row_bytes == 100


@pytest.mark.quick
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 20), st.integers(1, 9)),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([1, 4, 8]),
)
def test_no_placement_is_below_the_bound(specs, alignment):
    found = [
        item(i, size, (start, start + length)) for i, (size, start, length) in enumerate(specs)
    ]
    bound = bound_bytes(found, alignment)
    assert peak_bytes(found) <= bound <= place(found, alignment)[1]


@pytest.mark.quick
def test_layers_that_are_never_under_way_together_share_a_counter():
    program = [Run(0, 2), Run(1), Run(0), Run(1, 2), Run(2), Run(FEED), Run(3), Run(2), Run(3)]
    assert counters_of(program, [3, 3, 2, 2]) == [0, 1, 0, 1]
