"""Runs a plan over abstract bytes and refuses it when any byte is lost while it is needed.

This shares nothing with the code that derives lifetimes and places items: it follows the program
as the executor does, remembers what every byte of the arena holds, and looks whether every row,
scratch and state is still there when a step reads it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fedtiny.compiler.dataflow import INPUT, Dataflow, dataflow
from fedtiny.compiler.plan import FEED, ExecutionPlan
from fedtiny.compiler.schedule import unroll
from fedtiny.errors import FedTinyError


class PlanError(FedTinyError):
    """A plan that would compute wrong results: a defect of the planner or of a row contract."""


def check_plan(plan: ExecutionPlan) -> None:
    """Simulate the program over byte ownership.

    Raises:
        PlanError: A step runs too early, too often or never; a row is read after it was
            overwritten; two things that live at the same time share a byte; something lies
            outside the arena or is misaligned.
    """
    flow = dataflow(plan.graph, [layer.contract for layer in plan.layers])
    _Simulation(plan, flow).run()


class _Simulation:
    def __init__(self, plan: ExecutionPlan, flow: Dataflow) -> None:
        self.plan, self.flow = plan, flow
        self.end = plan.counters_offset
        self.owner = np.full(max(self.end, 1), -1, np.int64)
        self.base = np.cumsum([0, *(s.rows for s in flow.storages)])
        self.rows = [self._addresses(index) for index in range(len(flow.storages))]
        self.final = [0] * len(flow.storages)
        self.progress = [0] * len(flow.layers)
        self.fed = 0

    def _addresses(self, storage: int) -> tuple[int, ...]:
        """Offsets of a storage's rows, from whichever of its views the plan holds."""
        item = self.flow.storages[storage]
        found = None
        for view in self.plan.placements:
            if self.flow.views[view.tensor] != storage:
                continue
            if view.row_bytes == item.row_bytes and len(view.offsets) == item.rows:
                rows = view.offsets
            else:
                self._contiguous(view.tensor, view.offsets, view.row_bytes)
                rows = tuple(view.offsets[0] + r * item.row_bytes for r in range(item.rows))
            if found is not None and found != rows:
                raise PlanError(f"two views of {item.tensor!r} lie at different addresses")
            found = rows
        if found is None:
            raise PlanError(f"the plan has no place for tensor {item.tensor!r}")
        if item.contiguous:
            self._contiguous(item.tensor, found, item.row_bytes)
        return found

    def _contiguous(self, tensor: str, offsets: tuple[int, ...], size: int) -> None:
        if any(b - a != size for a, b in pairwise(offsets)):
            raise PlanError(f"the rows of {tensor!r} must be contiguous and are not")

    def run(self) -> None:
        plan, flow = self.plan, self.flow
        for index, storage in enumerate(flow.storages):
            if storage.writer == INPUT and not plan.fed:
                for row in range(storage.rows):
                    self._write(index, row)
                self.final[index] = storage.rows
        for layer in unroll(plan.program):
            if layer == FEED:
                self._feed()
            else:
                self._step(layer)
        for index, layer_flow in enumerate(flow.layers):
            if self.progress[index] != layer_flow.steps:
                raise PlanError(f"layer {layer_flow.name!r} runs {self.progress[index]} steps")
        for index, storage in enumerate(flow.storages):
            if storage.output:
                for row in range(storage.rows):
                    self._read(index, row, "the caller")
        if plan.fed and self.fed != flow.storages[0].rows:
            raise PlanError(f"the program takes {self.fed} of {flow.storages[0].rows} input rows")

    def _feed(self) -> None:
        if not self.plan.fed or self.fed == self.flow.storages[0].rows:
            raise PlanError("the program feeds a row that does not exist")
        self._write(0, self.fed)
        self.fed += 1
        self.final[0] = self.fed

    def _step(self, index: int) -> None:
        layer, planned = self.flow.layers[index], self.plan.layers[index]
        step = self.progress[index]
        if step == layer.steps:
            raise PlanError(f"layer {layer.name!r} runs more than its {layer.steps} steps")
        self.progress[index] += 1
        reads = [
            (touch.storage, row)
            for touch in layer.reads
            for row in range(touch.low[step], touch.high[step])
        ]
        for storage, row in reads:
            if row >= self.final[storage]:
                raise PlanError(f"step {step} of {layer.name!r} reads row {row} before it is made")
        if layer.state_bytes:
            span = self._span(planned.state_offset, layer.state_bytes, f"state of {layer.name!r}")
            mark = -2 - index
            if step and not (self.owner[span] == mark).all():
                raise PlanError(f"the state of {layer.name!r} is overwritten before step {step}")
            self.owner[span] = mark
        busy = np.zeros(self.owner.shape, bool)
        if layer.state_bytes:
            busy[span] = True
        if layer.scratch_bytes:
            scratch = self._span(
                planned.scratch_offset, layer.scratch_bytes, f"scratch of {layer.name!r}"
            )
            if busy[scratch].any():
                raise PlanError(f"scratch and state of {layer.name!r} overlap")
            self.owner[scratch] = -1
            busy[scratch] = True
        # Whatever scratch or state destroyed is missed here.
        for storage, row in reads:
            self._read(storage, row, f"step {step} of {layer.name!r}")
        if layer.overlap != "any":
            for storage, row in reads:
                busy[self._row(storage, row)] = True
        out = layer.write.storage
        for row in range(layer.write.low[step], layer.write.high[step]):
            if layer.overlap == "same_address" and self._replaces(index, step, row):
                self._write(out, row)
                continue
            if busy[self._row(out, row)].any():
                raise PlanError(
                    f"step {step} of {layer.name!r} writes row {row} over what it reads or needs"
                )
            self._write(out, row)
        self.final[out] = max(self.final[out], self.flow.complete[index][step])
        if layer.write.low[step] < layer.write.high[step]:
            for row in range(self.final[out]):
                if row >= layer.write.low[step]:
                    self._read(out, row, f"step {step} of {layer.name!r}, its own output")

    def _replaces(self, index: int, step: int, row: int) -> bool:
        """Whether an output row lies exactly on one input row.

        That is the one of the same index in the step, unless the step writes but one row.
        """
        layer = self.flow.layers[index]
        mine = self._row(layer.write.storage, row)
        place = row - layer.write.low[step]
        alone = layer.write.high[step] - layer.write.low[step] == 1
        exact = False
        for touch in layer.reads:
            for k, other in enumerate(range(touch.low[step], touch.high[step])):
                theirs = self._row(touch.storage, other)
                if theirs == mine and (alone or k == place):
                    exact = True
                elif theirs.start < mine.stop and mine.start < theirs.stop:
                    return False
        return exact

    def _row(self, storage: int, row: int) -> slice:
        start = self.rows[storage][row]
        return slice(start, start + self.flow.storages[storage].row_bytes)

    def _span(self, offset: int | None, size: int, what: str) -> slice:
        if offset is None or offset < 0 or offset + size > self.end:
            raise PlanError(f"the {what} lies outside the arena")
        return slice(offset, offset + size)

    def _write(self, storage: int, row: int) -> None:
        span = self._row(storage, row)
        if span.start < 0 or span.stop > self.end:
            raise PlanError(
                f"row {row} of {self.flow.storages[storage].tensor!r} is outside the arena"
            )
        self.owner[span] = self.base[storage] + row

    def _read(self, storage: int, row: int, reader: str) -> None:
        if not (self.owner[self._row(storage, row)] == self.base[storage] + row).all():
            tensor = self.flow.storages[storage].tensor
            raise PlanError(f"row {row} of {tensor!r} is overwritten before {reader} reads it")
