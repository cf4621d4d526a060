"""Kernel and stage selection: equal to trying everything, on random graphs of row contracts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler.dataflow import dataflow
from fedtiny.compiler.flash import Flash, trade_flash, within_budgets
from fedtiny.compiler.selection import Option, Selector
from fedtiny.compiler.stage import StageSimulator
from tests.row_graphs import KERNEL, row_graphs


def wider(contract):
    """The same with two steps in one, where that is possible."""
    accesses = (*contract.inputs, contract.output)
    if contract.steps < 2 or any(a.flat or a.advance == 0 for a in accesses):
        return contract

    def twice(access):
        return replace(access, window=access.window + access.advance, advance=2 * access.advance)

    return replace(
        contract,
        inputs=tuple(map(twice, contract.inputs)),
        output=twice(contract.output),
        steps=-(-contract.steps // 2),
    )


@st.composite
def problems(draw, most: int):
    """A graph with up to three kernels a layer, of any cost, scratch and rows a step."""
    graph, contracts = draw(row_graphs().filter(lambda case: len(case[1]) <= most))
    options = []
    for contract in contracts:
        layer = []
        for index in range(draw(st.integers(1, 3))):
            base = wider(contract) if draw(st.integers(0, 2)) == 0 else contract
            scratch = draw(st.sampled_from([0, 0, 3, 10, 30]))
            overlap = base.overlap
            if overlap != "same_address":
                overlap = draw(st.sampled_from(["none", "any"]))
            cost = draw(st.integers(1, 50))
            kernel = replace(KERNEL, name=f"kernel_{index}")
            varied = replace(base, scratch_bytes=scratch, overlap=overlap)
            layer.append(Option(kernel, varied, cost, None))
        options.append(tuple(layer))
    return graph, options, draw(st.booleans()) and len(graph.inputs) == 1


def splits(count):
    for cuts in product((False, True), repeat=count - 1):
        ends = [i for i, cut in enumerate(cuts) if cut] + [count - 1]
        starts = [0, *(end + 1 for end in ends[:-1])]
        yield tuple(zip(starts, ends, strict=True))


def everything(graph, options, fed):
    """Every selection's (peak, cost), by choice and stages."""
    found = {}
    for choice in product(*(range(len(layer)) for layer in options)):
        chosen = [layer[k] for layer, k in zip(options, choice, strict=True)]
        flow = dataflow(graph, [option.contract for option in chosen])
        simulator = StageSimulator(flow, fed)
        cost = sum(option.cost for option in chosen)
        for split in splits(len(options)):
            peak = max(simulator.run(*stage).peak(flow) for stage in split)
            found[choice, split] = peak, cost
    return found


@settings(max_examples=40, deadline=None)
@given(problems(most=4))
def test_the_frontier_is_what_trying_everything_finds(problem):
    graph, options, fed = problem
    selector = Selector(graph, options, fed)
    frontier = selector.frontier
    all_of_them = everything(graph, options, fed)
    for a, b in pairwise(frontier):
        assert a.cost < b.cost
        assert a.peak_bytes > b.peak_bytes
    for item in frontier:
        assert all_of_them[item.choice, item.split] == (item.peak_bytes, item.cost)
    for peak, _ in set(all_of_them.values()):
        best = min(c for p, c in all_of_them.values() if p <= peak)
        found = selector.under(peak)
        assert found is not None
        assert found.peak_bytes <= peak
        # The fastest without streaming may be taken where streaming would save memory only.
        assert found.cost == best
    least = min(p for p, _ in all_of_them.values())
    assert frontier[-1].peak_bytes == least
    assert selector.under(least - 1) is None


@settings(max_examples=30, deadline=None)
@given(problems(most=7))
def test_what_is_said_of_a_selection_is_true(problem):
    graph, options, fed = problem
    selector = Selector(graph, options, fed)
    most = 1.3 * selector.fastest.cost
    for item in (*selector.curve(), *selector.smallest(most)):
        contracts = [layer[k].contract for layer, k in zip(options, item.choice, strict=True)]
        flow = dataflow(graph, contracts)
        simulator = StageSimulator(flow, fed)
        assert item.peak_bytes == max(simulator.run(*stage).peak(flow) for stage in item.split)
        assert item.cost == sum(x[k].cost for x, k in zip(options, item.choice, strict=True))
    assert all(item.cost <= most for item in selector.smallest(most))


@st.composite
def flashes(draw, options):
    """Constants of every option, and which of a few functions its kernel calls."""
    constants = [[draw(st.integers(0, 20)) for _ in layer] for layer in options]
    sizes = {name: draw(st.integers(1, 15)) for name in "abc"}
    calls = [[draw(st.sets(st.sampled_from("abc"))) for _ in layer] for layer in options]
    return Flash(
        lambda i, k: constants[i][k], lambda i, k: {name: sizes[name] for name in calls[i][k]}
    )


@settings(max_examples=60, deadline=None)
@given(problems(most=4), st.data())
def test_all_budgets_together_are_kept_where_anything_keeps_them(problem, data):
    """Fewest instructions within memory and flash, equal to trying every choice and staging."""
    graph, options, fed = problem
    selector = Selector(graph, options, fed)
    flash = data.draw(flashes(options))
    tried = [
        (cost, peak, flash.total(choice))
        for (choice, _), (peak, cost) in everything(graph, options, fed).items()
    ]
    memory = data.draw(st.sampled_from(sorted({peak for _, peak, _ in tried})))
    budget = data.draw(st.sampled_from(sorted({size for _, _, size in tried})))
    found = within_budgets(selector, memory, flash, budget)
    allowed = [cost for cost, peak, size in tried if peak <= memory and size <= budget]
    if not allowed:
        assert found is None
        return
    assert found is not None
    assert found.peak_bytes <= memory
    assert flash.total(found.choice) <= budget
    assert found.cost == min(allowed)


@settings(max_examples=30, deadline=None)
@given(problems(most=5), st.data())
def test_flash_is_traded_for_instructions_at_its_price(problem, data):
    graph, options, fed = problem
    selector = Selector(graph, options, fed)
    selection = data.draw(st.sampled_from(selector.frontier))
    flash = data.draw(flashes(options))
    price = data.draw(st.sampled_from([0.0, 0.5, 3.0, 1000.0]))
    most = (1 + data.draw(st.sampled_from([0.0, 0.02, 0.3]))) * selection.cost
    found = trade_flash(selector, selection, flash, price, most)
    assert found.cost <= most
    assert found.peak_bytes <= selection.peak_bytes
    assert found.split == selection.split

    def paid(choice):
        cost = sum(options[i][k].cost for i, k in enumerate(choice))
        return cost + price * flash.total(choice), cost

    choices = [paid(choice) for choice in product(*selector.within(selection))]
    least = min(total for total, cost in choices if cost <= most)
    assert paid(found.choice)[0] == pytest.approx(least)


@pytest.mark.quick
def test_the_cases_have_kernels_that_touch_other_rows():
    seen = []

    @settings(max_examples=100, database=None, derandomize=True)
    @given(problems(most=4))
    def look(problem):
        seen.append(any(len({o.rows for o in layer}) > 1 for layer in problem[1]))

    look()
    assert any(seen)
