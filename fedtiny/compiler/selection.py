"""Chooses a kernel for every layer together with the stages of the schedule.

Within fixed stages, and between kernels that touch the same rows, layers are independent: a kernel
may be used under a limit of memory when the rows alive while its layer runs, plus its scratch, stay
below it. The cheapest selection under a limit therefore is a shortest path over stages, each with
the cheapest kernels that the limit allows; lowering the limit from point to point gives every
selection that trades instructions for memory. Kernels that touch other rows (several output rows a
step) change what is alive for their neighbours: where few such combinations exist all are tried,
otherwise the fastest, the smallest, and from there one layer after another (`improved`).

Peaks are of living bytes; what placement adds on top is seen when a selection is planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.dataflow import dataflow
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import row_bytes, row_count
from fedtiny.compiler.stage import StageRun, StageSimulator
from fedtiny.runtime.contract import Kernel, RowContract

MOST_COMBINATIONS = 32
"""Of kinds of row contracts, up to which all are tried."""

MOST_STAGE_LAYERS = 64
"""Of one stage, so that time grows with a network's depth and not with its cube; no network that
streams from end to end is known to be deeper."""

RESOLUTION = 256
"""The smallest limit is sought to within this fraction of itself."""

SLACK = (0.03, 0.1, 1.0)
"""Shares of the peak that are left free where a selection does not place without gaps."""

Split = tuple[tuple[int, int], ...]
"""First and last layer of every stage."""


@dataclass(frozen=True)
class Option:
    """A kernel that can run a node.

    Attributes:
        kernel: The kernel.
        contract: Its row contract for the node.
        cost: Instructions of one inference, the executor's steps included, rounded so that sums are
            exact; for choosing.
        instructions: The kernel's alone, as predicted for the target; None where nothing is known.
    """

    kernel: Kernel
    contract: RowContract
    cost: int
    instructions: float | None

    @property
    def rows(self) -> RowContract:
        """The contract without what only its own layer notices: its kind."""
        return replace(self.contract, scratch_bytes=0, overlap="none")


@dataclass(frozen=True)
class Selection:
    """A kernel for every layer, and stages.

    Attributes:
        choice: By layer, the index of its option.
        split: The stages.
        peak_bytes: Most bytes alive.
        cost: Sum of the options' costs.
    """

    choice: tuple[int, ...]
    split: Split
    peak_bytes: int
    cost: int


def pareto(found: Iterable[Selection]) -> tuple[Selection, ...]:
    """Those that no other beats, from the cheapest to the smallest."""
    kept: list[Selection] = []
    for item in sorted(found, key=lambda s: (s.cost, s.peak_bytes, len(s.split), s.choice)):
        if not kept or item.peak_bytes < kept[-1].peak_bytes:
            kept.append(item)
    return tuple(kept)


class Selector:
    """Finds selections for one graph."""

    def __init__(self, graph: Graph, options: Sequence[Sequence[Option]], fed: bool) -> None:
        self.graph, self.options, self.fed = graph, options, fed
        self._kinds = [list(dict.fromkeys(o.rows for o in layer)) for layer in options]
        self._kind_of = [
            [kinds.index(o.rows) for o in layer]
            for kinds, layer in zip(self._kinds, options, strict=True)
        ]
        self._simulators: dict[tuple[int, ...], StageSimulator] = {}
        self._runs: dict[tuple[int, int, tuple[int, ...], int | None], StageRun | None] = {}
        self._limit: int | None = None
        split = tuple((i, i) for i in range(len(options)))
        cheapest = tuple(
            min(range(len(layer)), key=lambda k: (layer[k].cost, layer[k].kernel.reference))
            for layer in options
        )
        self.fastest = self.measured(cheapest, split)
        # Whatever needs more than this is slower and larger than the fastest, layer by layer.
        self._limit = self.fastest.peak_bytes

    @cached_property
    def frontier(self) -> tuple[Selection, ...]:
        """From the fastest to the smallest, none worse than another in both ways."""
        found = [self.fastest]
        for kinds in self._combinations():
            found += self._descend(kinds)
        return pareto(found)

    def under(self, limit: int) -> Selection | None:
        """The cheapest selection that was found for a limit of bytes; None where nothing fits.

        It is sought from the points of the frontier below the limit, one for each way of staging.
        """
        if limit >= self.fastest.peak_bytes:
            return self.fastest
        starts = {s.split: s for s in reversed(self.frontier) if s.peak_bytes <= limit}
        found = [self.improved(start, limit) for start in starts.values()]
        return min(found, key=lambda s: (s.cost, s.peak_bytes), default=None)

    def smallest(self, most_cost: float) -> Iterator[Selection]:
        """Selections of few bytes within a cost: the smallest found, then some that place easier.

        The smallest limit is found by bisection. Its kernels may just fit where rows and scratch
        leave gaps, so that the same stages with less scratch come next.
        """
        last = self.frontier[-1]
        best = last if last.cost <= most_cost else self.fastest
        low, high = last.peak_bytes, best.peak_bytes
        while high - low > low // RESOLUTION:
            found = self.under((low + high) // 2)
            if found is not None and found.cost <= most_cost:
                best, high = found, found.peak_bytes
            else:
                low = (low + high) // 2 + 1
        yield best
        for share in SLACK:
            eased = self._eased(best, int(best.peak_bytes * (1 - share)))
            if eased.cost <= most_cost and eased.choice != best.choice:
                yield eased

    def curve(self) -> tuple[Selection, ...]:
        """The frontier, with steps in between where other kinds of kernels allow them."""
        found = list(self.frontier)
        for a, b in pairwise(self.frontier):
            limits = np.linspace(b.peak_bytes, a.peak_bytes, 6)[1:-1]
            found += [s for limit in limits if (s := self.under(int(limit))) is not None]
        return pareto(found)

    def _eased(self, selection: Selection, limit: int) -> Selection:
        """The same with kernels that stay below a lower limit, or need least where none does."""
        kinds = tuple(self._kind_of[i][k] for i, k in enumerate(selection.choice))
        choice = list[int]()
        for first, last in selection.split:
            stage = _Stage.of(self, kinds, first, last)
            assert stage is not None
            for options in stage.options:
                fits = [option for option in options if option[1] <= limit]
                best = fits[0] if fits else min(options, key=lambda option: (option[1], option))
                choice.append(best[3])
        return self.measured(tuple(choice), selection.split)

    def improved(self, selection: Selection, limit: int) -> Selection:
        """The same stages with kernels that touch other rows where they are cheaper.

        One layer after another changes, that which saves most first, as long as its stage stays
        below a limit of bytes.
        """
        choice = list(selection.choice)
        kinds = [self._kind_of[i][k] for i, k in enumerate(choice)]
        for first, last in selection.split:
            stage = _Stage.of(self, tuple(kinds), first, last)
            assert stage is not None
            best = stage.cheapest(limit)
            assert best is not None
            changes = True
            while changes:
                changes = False
                for layer, kind in self._cheaper_kinds(first, best[1]):
                    trial = [*kinds[:layer], kind, *kinds[layer + 1 :]]
                    stage = _Stage.of(self, tuple(trial), first, last)
                    other = stage and stage.cheapest(limit)
                    if other and other[0] < best[0]:
                        kinds, best, changes = trial, other, True
            choice[first : last + 1] = best[1]
        return self.measured(tuple(choice), selection.split)

    def measured(self, choice: tuple[int, ...], split: Split, limit: int = 0) -> Selection:
        """The selection of given options and stages, which may need a limit of bytes."""
        kinds = tuple(self._kind_of[i][k] for i, k in enumerate(choice))
        peak = 0
        for first, last in split:
            run = self._run(kinds, first, last, limit)
            assert run is not None
            peak = max(peak, run.idle)
            for i, needs in run.needs.items():
                contract = self.options[i][choice[i]].contract
                peak = max(peak, needs.total(contract.scratch_bytes, contract.overlap))
        cost = sum(self.options[i][k].cost for i, k in enumerate(choice))
        return Selection(choice, split, peak, cost)

    def within(self, selection: Selection) -> list[list[int]]:
        """By layer, the options that can replace a selection's without raising its peak.

        In a stage of several layers, only options that touch the same rows: what others touch
        changes what is alive for their neighbours.
        """
        kinds = tuple(self._kind_of[i][k] for i, k in enumerate(selection.choice))
        found = []
        for first, last in selection.split:
            alone = first == last
            trials = [
                (*kinds[:first], kind, *kinds[first + 1 :])
                for kind in (range(len(self._kinds[first])) if alone else kinds[first : first + 1])
            ]
            stages = [_Stage.of(self, trial, first, last) for trial in trials]
            for layer in range(first, last + 1):
                needs = [x for stage in stages if stage for x in stage.options[layer - first]]
                found.append([k for _, need, _, k in needs if need <= selection.peak_bytes])
        return found

    def of_kind(self, layer: int, kind: int) -> list[int]:
        """The options of a layer that touch the same rows."""
        return [k for k, other in enumerate(self._kind_of[layer]) if other == kind]

    def _cheaper_kinds(self, first: int, choice: Sequence[int]) -> list[tuple[int, int]]:
        """Layers from `first` on and other kinds with cheaper options, the largest saving first."""
        found = []
        for layer, chosen in enumerate(choice, first):
            options = self.options[layer]
            for kind in range(len(self._kinds[layer])):
                saving = options[chosen].cost - min(
                    options[k].cost for k in self.of_kind(layer, kind)
                )
                if kind != self._kind_of[layer][chosen] and saving > 0:
                    found.append((-saving, layer, kind))
        return [(layer, kind) for _, layer, kind in sorted(found)]

    def _combinations(self) -> Iterator[tuple[int, ...]]:
        """Kinds for all layers that are worth descending from."""
        if prod(len(kinds) for kinds in self._kinds) <= MOST_COMBINATIONS:
            yield from product(*(range(len(kinds)) for kinds in self._kinds))
            return
        yield from dict.fromkeys(reversed(self._ends))

    def _step_bytes(self, contract: RowContract) -> int:
        """Bytes that one step touches, and state."""
        found = contract.state_bytes
        for access in (*contract.inputs, contract.output):
            tensor = self.graph[access.tensor]
            rows = row_count(tensor)
            found += row_bytes(tensor) * (rows if access.flat else min(access.window, rows))
        return found

    def _descend(self, kinds: tuple[int, ...]) -> list[Selection]:
        """Of some kinds, every selection at which a lower limit costs more."""
        count = len(self.options)
        stages = [
            stage
            for last in range(count)
            for first in range(max(0, last + 1 - MOST_STAGE_LAYERS), last + 1)
            if (stage := _Stage.of(self, kinds, first, last)) is not None
        ]
        if not stages:  # these kinds need more than the fastest whatever the kernels are
            return []
        table = _Stages(stages, count)
        found: list[Selection] = []
        limit = self.fastest.peak_bytes
        while (path := table.cheapest(limit)) is not None:
            choice: list[int] = []
            for stage in path:
                best = stage.cheapest(limit)
                assert best is not None
                choice += best[1]
            split = tuple((stage.first, stage.last) for stage in path)
            found.append(self.measured(tuple(choice), split))
            limit = found[-1].peak_bytes - 1
        return found

    def allowed(
        self, kinds: tuple[int, ...], first: int, last: int, limit: int
    ) -> list[list[int]] | None:
        """By layer of a stage, the options of some kinds below a limit of bytes; None without."""
        stage = _Stage.of(self, kinds, first, last, limit)
        if stage is None or stage.idle > limit:
            return None
        found = [[k for _, need, _, k in layer if need <= limit] for layer in stage.options]
        return found if all(found) else None

    def stage_kinds(self, first: int, last: int) -> Iterable[tuple[int, ...]]:
        """Kinds of all layers that are worth trying for a stage.

        All combinations in the stage where they are few; otherwise those of the fastest and of the
        smallest options, and what differs from them in one layer.
        """
        fast, small = self._ends
        counts = [len(kinds) for kinds in self._kinds[first : last + 1]]
        if prod(counts) <= MOST_COMBINATIONS:
            inner = list(product(*map(range, counts)))
        else:
            ends = fast[first : last + 1], small[first : last + 1]
            inner = [
                (*end[:layer], kind, *end[layer + 1 :])
                for end in ends
                for layer, count in enumerate(counts)
                for kind in range(count)
            ]
        return dict.fromkeys((*fast[:first], *kinds, *fast[last + 1 :]) for kinds in inner)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Kinds of the fastest options, and those whose steps touch least."""
        fast = tuple(self._kind_of[i][k] for i, k in enumerate(self.fastest.choice))
        small = tuple(
            min(range(len(kinds)), key=lambda k: self._step_bytes(kinds[k]))
            for kinds in self._kinds
        )
        return fast, small

    def _run(
        self, kinds: tuple[int, ...], first: int, last: int, limit: int = 0
    ) -> StageRun | None:
        """Run a stage, once for all selections whose layers in it touch the same rows.

        Args:
            kinds: Of all layers.
            first: First layer.
            last: Last layer.
            limit: Of bytes, where it is above what the fastest needs.
        """
        least = None if self._limit is None else max(limit, self._limit)
        key = first, last, kinds[first : last + 1], least
        if key not in self._runs:
            self._runs[key] = self._simulator(kinds).run(first, last, least)
        return self._runs[key]

    def _simulator(self, kinds: tuple[int, ...]) -> StageSimulator:
        if kinds not in self._simulators:
            contracts = [
                replace(options[k], scratch_bytes=0, overlap="any")
                for options, k in zip(self._kinds, kinds, strict=True)
            ]
            self._simulators[kinds] = StageSimulator(dataflow(self.graph, contracts), self.fed)
        return self._simulators[kinds]


@dataclass(frozen=True)
class _Stage:
    """The options of a stage's layers with the bytes that each needs.

    Attributes:
        first: First layer.
        last: Last layer.
        idle: Bytes that the stage needs whatever its kernels are.
        options: By layer, (cost, bytes, is reference, index) of its options.
    """

    first: int
    last: int
    idle: int
    options: tuple[tuple[tuple[int, int, bool, int], ...], ...]

    @staticmethod
    def of(
        selector: Selector, kinds: tuple[int, ...], first: int, last: int, limit: int = 0
    ) -> _Stage | None:
        """None where it needs more than the fastest selection, and a limit, with any kernels."""
        run = selector._run(kinds, first, last, limit)
        if run is None:
            return None
        found = []
        for layer in range(first, last + 1):
            options = []
            for k in selector.of_kind(layer, kinds[layer]):
                option = selector.options[layer][k]
                contract = option.contract
                need = run.needs[layer].total(contract.scratch_bytes, contract.overlap)
                options.append((option.cost, need, option.kernel.reference, k))
            found.append(tuple(sorted(options)))
        return _Stage(first, last, run.idle, tuple(found))

    def cheapest(self, limit: int) -> tuple[int, list[int]] | None:
        """Cost and options of the cheapest kernels that stay within a limit."""
        if self.idle > limit:
            return None
        cost, choice = 0, []
        for options in self.options:
            fits = next((option for option in options if option[1] <= limit), None)
            if fits is None:
                return None
            cost += fits[0]
            choice.append(fits[3])
        return cost, choice


class _Stages:
    """Every stage of some kinds, as arrays, so that limits are tried quickly."""

    def __init__(self, stages: Sequence[_Stage], layers: int) -> None:
        self.stages, self.layers = stages, layers
        most = max(len(options) for stage in stages for options in stage.options)
        rows = [options for stage in stages for options in stage.options]
        self._cost: NDArray[np.float64] = np.full((len(rows), most), inf)
        self._need: NDArray[np.int64] = np.zeros((len(rows), most), np.int64)
        for row, options in enumerate(rows):
            self._cost[row, : len(options)] = [option[0] for option in options]
            self._need[row, : len(options)] = [option[1] for option in options]
        lengths = [len(stage.options) for stage in stages]
        self._starts = np.cumsum([0, *lengths[:-1]])
        self._idle = np.array([stage.idle for stage in stages])

    def cheapest(self, limit: int) -> list[_Stage] | None:
        """The cheapest path of stages, of equal ones that of the fewest; None where none fits."""
        allowed = np.where(self._need <= limit, self._cost, inf).min(axis=1)
        costs = np.add.reduceat(allowed, self._starts)
        costs[self._idle > limit] = inf
        best: list[tuple[float, int, int]] = [(0.0, 0, -1)]
        best += [(inf, 0, -1)] * self.layers
        for index in np.flatnonzero(np.isfinite(costs)).tolist():  # by last layer, then by first
            stage = self.stages[index]
            before = best[stage.first]
            option = before[0] + float(costs[index]), before[1] + 1, index
            if option < best[stage.last + 1]:
                best[stage.last + 1] = option
        if best[-1][0] == inf:
            return None
        path, at = [], self.layers
        while at:
            stage = self.stages[best[at][2]]
            path.append(stage)
            at = stage.first
        return path[::-1]
