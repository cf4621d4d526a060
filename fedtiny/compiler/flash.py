"""Trades instructions for flash at fixed stages and memory, exactly, as an integer program.

Flash is the layers' constants and the code of the kernels, in which a function that several layers
call counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from fedtiny.compiler.selection import Selection, Selector


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


def within_flash(
    selector: Selector, selection: Selection, flash: Flash, budget_bytes: int
) -> Selection | None:
    """The fewest instructions within a budget of flash, at the selection's stages and memory.

    Layers keep touching the rows that they touch; every other kernel that stays below the
    selection's peak may replace a layer's.

    Args:
        selector: The graph's.
        selection: Within the memory budget.
        flash: What options need.
        budget_bytes: Of all layers together.

    Returns:
        The selection, another one, or None where nothing fits.
    """
    if flash.total(selection.choice) <= budget_bytes:
        return selection
    problem = _Problem(selector, selector.within(selection), flash)
    choice = problem.solve(problem.costs, problem.sizes, budget_bytes)
    return None if choice is None else selector.measured(choice, selection.split)


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
    choice = problem.solve(prices, problem.costs, most_cost)
    return selection if choice is None else selector.measured(choice, selection.split)


class _Problem:
    """One variable for each option of each layer, then one for each function.

    Attributes:
        costs: Of the variables.
        sizes: Of the variables.
    """

    def __init__(self, selector: Selector, options: list[list[int]], flash: Flash) -> None:
        self._layers = len(options)
        self._pairs = [(layer, k) for layer, found in enumerate(options) for k in found]
        code = [flash.code(layer, k) for layer, k in self._pairs]
        functions = {name: size for one in code for name, size in one.items()}
        index = {name: len(self._pairs) + i for i, name in enumerate(functions)}
        costs = [selector.options[layer][k].cost for layer, k in self._pairs]
        sizes = [flash.constants(layer, k) for layer, k in self._pairs]
        self.costs = np.array([*costs, *(0 for _ in functions)], np.float64)
        self.sizes = np.array([*sizes, *functions.values()], np.float64)
        # An option needs its functions: option - function <= 0.
        needs = [(i, index[name]) for i, one in enumerate(code) for name in one]
        rows = np.repeat(np.arange(len(needs)), 2)
        signs = np.tile([1.0, -1.0], len(needs))
        shape = len(needs), len(self.costs)
        self._needs = csr_array((signs, (rows, np.array(needs, np.int64).reshape(-1))), shape)

    def solve(
        self, objective: NDArray[np.float64], limited: NDArray[np.float64], most: float
    ) -> tuple[int, ...] | None:
        """The choice of the least objective with a limit on the sum of something else."""
        variables = len(objective)
        owner = np.full(variables, -1)
        owner[: len(self._pairs)] = [layer for layer, _ in self._pairs]
        one_each = (owner[None, :] == np.arange(self._layers)[:, None]).astype(np.float64)
        constraints = [
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(limited[None, :], -np.inf, most),
        ]
        if self._needs.shape[0]:
            constraints.append(LinearConstraint(self._needs, -np.inf, 0))
        solved = milp(
            objective,
            integrality=np.ones(variables, np.int64),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if not solved.success:
            return None
        taken = dict(pair for pair, x in zip(self._pairs, solved.x, strict=False) if x > 0.5)
        return tuple(taken[layer] for layer in range(self._layers))
