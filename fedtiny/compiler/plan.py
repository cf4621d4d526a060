"""The execution plan: everything that emitters serialize and nothing else.

A plan is layers in topological order, a program (whose next step runs), and the arena address of
every row of every tensor. Whole-tensor and row-by-row schedules differ only in the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fedtiny.compiler.ir import Graph, Node, Tensor
from fedtiny.devices.profiles import Target
from fedtiny.runtime.contract import Kernel, Packed, RowContract
from fedtiny.runtime.packing import layouts

Schedule = Literal["layers", "rows"]
"""Order of a program: each layer all its steps, or rows as soon as they can be computed."""

FEED = -1
"""Program entry that waits for the next row of the input."""


def row_count(tensor: Tensor) -> int:
    """Rows of an activation in its layout."""
    return layouts.row_count(tensor)


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of an activation in its layout."""
    return layouts.row_bytes(tensor)


@dataclass(frozen=True)
class Layer:
    """One node bound to one kernel.

    Attributes:
        node: The node it runs.
        kernel: The kernel that the planner chose.
        contract: The kernel's row contract for this node.
        packed: Constants and parameters.
        instructions: Predicted by the cost model; None when the target has no coefficients.
        scratch_offset: Arena offset of the scratch, or None.
        state_offset: Arena offset of the state, or None.
        counter: Index of the executor's counter of its steps; layers that are never under way at
            the same time share one.
    """

    node: Node
    kernel: Kernel
    contract: RowContract
    packed: Packed
    instructions: float | None
    scratch_offset: int | None = None
    state_offset: int | None = None
    counter: int = 0

    @property
    def name(self) -> str:
        """The layer's name in reports: its node's."""
        return self.node.name


@dataclass(frozen=True)
class Placement:
    """Where a tensor's rows lie.

    Attributes:
        tensor: Name in the graph.
        row_bytes: Bytes of one row.
        offsets: Arena offset of every row, in bytes.
        flat: This is the single-row view of a contiguous tensor of several rows.
    """

    tensor: str
    row_bytes: int
    offsets: tuple[int, ...]
    flat: bool = False


@dataclass(frozen=True)
class Run:
    """One program entry: the layer's next `count` steps. `layer == FEED` takes one input row."""

    layer: int
    count: int = 1


@dataclass(frozen=True)
class Lifetime:
    """For reports: one item of the arena, alive in program steps [born, dies)."""

    name: str
    offset: int
    size_bytes: int
    born: int
    dies: int


@dataclass(frozen=True)
class ExecutionPlan:
    """A model bound to a target.

    Attributes:
        graph: The final graph (after every pass).
        target: What it is compiled for.
        schedule: `"layers"` or `"rows"`.
        fed: Input rows arrive one call at a time; otherwise the whole input lies in the arena.
        layers: In topological order.
        placements: Every view of every tensor that layers, inputs and outputs name.
        program: Order of the steps.
        arena_bytes: Everything that is written: rows, scratch, state, counters, row pointers.
        arena_bound_bytes: The liveness lower bound of `arena_bytes` for this program.
        arena_alignment: Of the arena, in bytes; a power of two.
        address_shift: Row addresses in the tables are offsets >> this.
        counters_offset: Arena offset of the executor's counters; everything else lies below.
        pointers_offset: Arena offset of the executor's row pointers, which end the arena, so that
            the same plan also runs on a host whose pointers are larger.
        max_window: Number of those pointers.
        lifetimes: Items of the arena, for the report's map.
    """

    graph: Graph
    target: Target
    schedule: Schedule
    fed: bool
    layers: tuple[Layer, ...]
    placements: tuple[Placement, ...]
    program: tuple[Run, ...]
    arena_bytes: int
    arena_bound_bytes: int
    arena_alignment: int
    address_shift: int
    counters_offset: int
    pointers_offset: int
    max_window: int
    lifetimes: tuple[Lifetime, ...]

    @cached_property
    def n_counters(self) -> int:
        """Counters of steps."""
        return 1 + max(layer.counter for layer in self.layers)

    @cached_property
    def _views(self) -> dict[tuple[str, bool], int]:
        return {(item.tensor, item.flat): i for i, item in enumerate(self.placements)}

    def placement(self, tensor: str, flat: bool = False) -> int:
        """Index of a tensor's view in `placements`; a tensor of one row has one view."""
        several = row_count(self.graph[tensor]) > 1
        return self._views[tensor, flat and several]
