"""The order of steps: layer by layer, or row by row so that few rows are alive at a time.

Row streaming runs, among the layers of the current stage, the deepest whose next step can be
computed. A stage ends where keeping a whole tensor is cheaper than keeping rows of many; the
boundaries are found by dynamic programming over the stages' peaks. Nothing is ever recomputed, so
both orders execute the same steps.

A *fed* program takes the rows of its one input as they arrive; otherwise the whole input lies in
the arena from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedtiny.compiler.dataflow import Dataflow
from fedtiny.compiler.plan import FEED, Run
from fedtiny.compiler.stage import StageSimulator

RUN_LIMIT = 64
"""Most steps of one program entry."""


Stages = Sequence[tuple[int, int]]
"""Consecutive stages `(first, last)` that hold every layer once."""


def layers_order(flow: Dataflow, fed: bool = False) -> tuple[Run, ...]:
    """Every layer runs all its steps before the next layer starts."""
    return rows_order(flow, fed, [(index, index) for index in range(len(flow.layers))])


def rows_order(flow: Dataflow, fed: bool = False, split: Stages | None = None) -> tuple[Run, ...]:
    """Row streaming within given stages, or those that give the smallest peak of living bytes."""
    simulator = StageSimulator(flow, fed)
    order: list[int] = []
    for first, last in stages(flow, fed) if split is None else split:
        found = simulator.run(first, last)
        assert found is not None
        order += found.order
    return _entries(flow, order, fed)


def stages(flow: Dataflow, fed: bool = False) -> tuple[tuple[int, int], ...]:
    """Split the layers into consecutive stages `(first, last)` with the smallest peak.

    The state between two stages depends only on which layers have run, so the peak of a split is
    the largest peak of its stages, each of which is simulated once. Of equal splits the one with
    the fewest stages is taken.
    """
    count = len(flow.layers)
    simulator = StageSimulator(flow, fed)
    whole = simulator.run(0, count - 1)
    assert whole is not None
    limit = whole.peak(flow)
    best: list[tuple[int, int, tuple[tuple[int, int], ...]] | None] = [(0, 0, ())]
    for last in range(count):
        found = None
        for first in range(last + 1):
            before = best[first]
            if before is None:
                continue
            bound = min(limit, found[0] if found else limit)
            stage = simulator.run(first, last, bound) if before[0] <= bound else None
            if stage is None:
                continue
            peak = max(before[0], stage.peak(flow))
            option = (peak, before[1] + 1, (*before[2], (first, last)))
            if found is None or option[:2] < found[:2]:
                found = option
        best.append(found)
    final = best[count]
    assert final is not None  # the whole graph as one stage stays within the limit by definition
    return final[2]


def unroll(program: Sequence[Run]) -> Iterator[int]:
    """The layer of every single step in order; `FEED` takes an input row."""
    for entry in program:
        for _ in range(entry.count):
            yield entry.layer


def _entries(flow: Dataflow, order: list[int], fed: bool) -> tuple[Run, ...]:
    """Join consecutive steps of one layer; feed what nobody reads at the end."""
    if fed:
        order = order + [FEED] * (flow.storages[0].rows - order.count(FEED))
    entries: list[Run] = []
    for layer in order:
        last = entries[-1] if entries else None
        if last and last.layer == layer != FEED and last.count < RUN_LIMIT:
            entries[-1] = Run(layer, last.count + 1)
        else:
            entries.append(Run(layer))
    return tuple(entries)
