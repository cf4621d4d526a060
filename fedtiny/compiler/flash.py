"""Instructions, memory and flash together, exactly, as an integer program.

Flash is the layers' constants and the code of the kernels, in which a function that several layers
call counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from fedtiny.compiler.selection import MOST_STAGE_LAYERS, Selection, Selector, Split

Sets = dict[tuple[int, int], list[int]]
"""By first and last layer of a stage, the options of every kept variant as bits."""

BITS = 32
"""More than options of any layer."""

Stage = tuple[int, int, list[list[int]]]
"""First and last layer, and by layer the options that may be taken in it."""


@dataclass(frozen=True)
class Flash:
    """What a layer's options need of flash.

    Attributes:
        constants: Bytes of a layer's constants under one of its options.
        code: Bytes of the functions that the option's kernel consists of.
    """

    constants: Callable[[int, int], int]
    code: Callable[[int, int], Mapping[str, int]]

    def total(self, choice: tuple[int, ...]) -> int:
        """Bytes of a whole choice."""
        functions: dict[str, int] = {}
        for layer, option in enumerate(choice):
            functions |= self.code(layer, option)
        constants = sum(self.constants(layer, option) for layer, option in enumerate(choice))
        return constants + sum(functions.values())


def within_budgets(
    selector: Selector, limit_bytes: int, flash: Flash, budget_bytes: int
) -> Selection | None:
    """The fewest instructions within a limit of memory and a budget of flash.

    Stages and kernels are chosen together: no other choice of the selector's variants of stages
    that keeps both is cheaper, and where any exists one is found.

    Args:
        selector: The graph's.
        limit_bytes: Of bytes alive.
        flash: What options need.
        budget_bytes: Of flash, all layers together.

    Returns:
        The selection, or None where nothing fits.
    """
    found = selector.under(limit_bytes)
    if found is None or flash.total(found.choice) <= budget_bytes:
        return found
    stages = _stages(selector, limit_bytes)
    options = [
        sorted({k for first, last, v in stages if first <= i <= last for k in v[i - first]})
        for i in range(len(selector.options))
    ]
    if not all(options):
        return None
    problem = _Problem(selector, options, flash, stages)
    solved = problem.solve(problem.costs, problem.sizes, budget_bytes)
    return None if solved is None else selector.measured(*solved, limit_bytes)


def trade_flash(
    selector: Selector, selection: Selection, flash: Flash, byte_cost: float, most_cost: float
) -> Selection:
    """The least of instructions and of flash at a price, at the selection's stages and memory.

    Args:
        selector: The graph's.
        selection: Within the limit.
        flash: What options need.
        byte_cost: Instructions of an inference that a byte is worth.
        most_cost: Limit of instructions, at least the selection's cost.
    """
    costs = [[option.cost for option in layer] for layer in selector.options]
    spare = most_cost - selection.cost
    options = [
        [k for k in found if costs[layer][k] <= costs[layer][chosen] + spare]
        for layer, (found, chosen) in enumerate(
            zip(selector.within(selection), selection.choice, strict=True)
        )
    ]
    problem = _Problem(selector, options, flash)
    prices = problem.costs + byte_cost * problem.sizes
    solved = problem.solve(prices, problem.costs, most_cost)
    return selection if solved is None else selector.measured(solved[0], selection.split)


def _stages(selector: Selector, limit_bytes: int) -> list[Stage]:
    """Stages that no other, and no two shorter ones, replace with all of their options."""
    kept: list[Stage] = []
    sets: Sets = {}
    count = len(selector.options)
    for length in range(1, min(count, MOST_STAGE_LAYERS) + 1):
        for first in range(count + 1 - length):
            last = first + length - 1
            for kinds in selector.stage_kinds(first, last):
                layers = range(first, last + 1)
                most = _bits([selector.of_kind(i, kinds[i]) for i in layers])
                if _covered(sets, first, last, most):
                    continue  # whatever it needs
                found = selector.allowed(kinds, first, last, limit_bytes)
                if found is None or _covered(sets, first, last, bits := _bits(found)):
                    continue
                sets.setdefault((first, last), []).append(bits)
                kept.append((first, last, found))
    return kept


def _bits(allowed: list[list[int]]) -> int:
    """Allowed options of layers as bits, BITS a layer."""
    return sum(1 << BITS * i + k for i, found in enumerate(allowed) for k in found)


def _covered(sets: Sets, first: int, last: int, bits: int) -> bool:
    """Whether one known stage, or shorter ones after each other, have all options of one."""
    reached = {first}
    for start in range(first, last + 1):
        if start not in reached:
            continue
        rest = bits >> BITS * (start - first)
        for end in range(start, last + 1):
            part = rest & (1 << BITS * (end + 1 - start)) - 1
            if any(part & ~other == 0 for other in sets.get((start, end), ())):
                reached.add(end + 1)
    return last + 1 in reached


class _Problem:
    """One variable for each option of each layer, for each function, and for each stage.

    Attributes:
        costs: Of the variables.
        sizes: Of the variables.
    """

    def __init__(
        self,
        selector: Selector,
        options: list[list[int]],
        flash: Flash,
        stages: Sequence[Stage] = (),
    ) -> None:
        """Make the program.

        Args:
            selector: The graph's.
            options: By layer, those to choose from.
            flash: What they need.
            stages: Those to cover the layers with, each once; none where stages are fixed.
        """
        self._layers, self._stages = len(options), stages
        self._pairs = [(layer, k) for layer, found in enumerate(options) for k in found]
        code = [flash.code(layer, k) for layer, k in self._pairs]
        functions = {name: size for one in code for name, size in one.items()}
        index = {name: len(self._pairs) + i for i, name in enumerate(functions)}
        self._first_stage = len(self._pairs) + len(functions)
        costs = [selector.options[layer][k].cost for layer, k in self._pairs]
        sizes = [flash.constants(layer, k) for layer, k in self._pairs]
        rest = [0] * len(stages)
        self.costs = np.array([*costs, *(0 for _ in functions), *rest], np.float64)
        self.sizes = np.array([*sizes, *functions.values(), *rest], np.float64)
        self._constraints = [self._one_each()]
        # An option needs its functions: option - function <= 0.
        needs = [(i, index[name]) for i, one in enumerate(code) for name in one]
        if needs:
            rows = np.repeat(np.arange(len(needs)), 2)
            signs = np.tile([1.0, -1.0], len(needs))
            self._constraints.append(self._at_most_zero(signs, rows, np.array(needs).reshape(-1)))
        if stages:
            self._constraints += [self._path(), self._allowed()]

    def _one_each(self) -> LinearConstraint:
        rows = [layer for layer, _ in self._pairs]
        ones = np.ones(len(rows))
        shape = self._layers, len(self.costs)
        return LinearConstraint(csr_array((ones, (rows, range(len(rows)))), shape), 1, 1)

    def _at_most_zero(
        self, values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> LinearConstraint:
        shape = int(rows[-1]) + 1, len(self.costs)
        return LinearConstraint(csr_array((values, (rows, columns)), shape), -np.inf, 0)

    def _path(self) -> LinearConstraint:
        """Stages follow each other from the first layer to the last."""
        columns = np.arange(self._first_stage, len(self.costs))
        starts = np.array([first for first, _, _ in self._stages])
        ends = np.array([last + 1 for _, last, _ in self._stages])
        signs = np.repeat([1.0, -1.0], len(columns))
        where = (np.concatenate([starts, ends]), np.tile(columns, 2))
        flow = csr_array((signs, where), (self._layers + 1, len(self.costs)))
        balance = np.zeros(self._layers + 1)
        balance[0], balance[-1] = 1, -1
        return LinearConstraint(flow, balance, balance)

    def _allowed(self) -> LinearConstraint:
        """An option is one of its layer's in the stage that is taken: option - stages <= 0."""
        index = {pair: i for i, pair in enumerate(self._pairs)}
        entries = [(1.0, i, i) for i in range(len(self._pairs))]
        for column, (first, _, variant) in enumerate(self._stages, self._first_stage):
            entries += [
                (-1.0, index[layer, k], column)
                for layer, found in enumerate(variant, first)
                for k in found
            ]
        entries.sort(key=lambda entry: entry[1])
        values, rows, columns = (np.array(part) for part in zip(*entries, strict=True))
        return self._at_most_zero(values, rows, columns)

    def solve(
        self, objective: NDArray[np.float64], limited: NDArray[np.float64], most: float
    ) -> tuple[tuple[int, ...], Split] | None:
        """The choice and the stages of the least objective with a limit on another sum."""
        solved = milp(
            objective,
            integrality=np.ones(len(objective), np.int64),
            bounds=Bounds(0, 1),
            constraints=[*self._constraints, LinearConstraint(limited[None, :], -np.inf, most)],
            options={"mip_rel_gap": 0.0},
        )
        if not solved.success:
            return None
        taken = dict(pair for pair, x in zip(self._pairs, solved.x, strict=False) if x > 0.5)
        ways = zip(self._stages, solved.x[self._first_stage :], strict=True)
        split = tuple(sorted((first, last) for (first, last, _), x in ways if x > 0.5))
        return tuple(taken[layer] for layer in range(self._layers)), split
