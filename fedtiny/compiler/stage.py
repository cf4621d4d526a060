"""Runs one stage of a schedule on paper: the order of its steps, and the bytes each layer needs.

What a layer needs is kept apart from its scratch, so that one run answers for every kernel that
touches the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedtiny.compiler.dataflow import INPUT, Dataflow
from fedtiny.compiler.plan import FEED
from fedtiny.runtime.contract import Overlap

NEVER = 1 << 62
"""More rows than any storage has."""


@dataclass(frozen=True)
class Needs:
    """Most bytes alive while any step of a layer runs, its own scratch not counted.

    Attributes:
        reading: While it reads its inputs.
        writing: While it writes its output, by what the output may overlap.
    """

    reading: int
    writing: Mapping[Overlap, int]

    def total(self, scratch_bytes: int, overlap: Overlap) -> int:
        """Bytes alive with a kernel's scratch."""
        return scratch_bytes + max(self.reading, self.writing[overlap])


@dataclass(frozen=True)
class StageRun:
    """What a stage does.

    Attributes:
        order: The layer of every step, in order; `FEED` where an input row has to arrive first.
        idle: Most bytes alive while no layer runs.
        needs: By layer.
    """

    order: tuple[int, ...]
    idle: int
    needs: Mapping[int, Needs]

    def peak(self, flow: Dataflow) -> int:
        """Most bytes alive, with the scratch of the flow's layers."""
        layers = flow.layers
        return max(
            self.idle,
            *(n.total(layers[i].scratch_bytes, layers[i].overlap) for i, n in self.needs.items()),
        )


class StageSimulator:
    """Runs stages of one dataflow."""

    def __init__(self, flow: Dataflow, fed: bool) -> None:
        self.flow, self.fed = flow, fed
        ends = [storage.rows for storage in flow.storages]
        # Once a reader has run all its steps it frees every row.
        self._frees = [
            [(reader, (*touch.low, ends[s])) for reader, touch in flow.readers[s]]
            for s in range(len(flow.storages))
        ]
        # The rows that a step needs, and one more that never exist once all steps have run.
        self._needs = [
            [(touch.storage, (*touch.high, NEVER)) for touch in layer.reads]
            or [(0, (*(0,) * layer.steps, NEVER))]
            for layer in flow.layers
        ]
        self._reads = [sorted({touch.storage for touch in layer.reads}) for layer in flow.layers]
        # Rows that no reader keeps, bytes of a contiguous storage (else 0), bytes of a row.
        self._sizes = [
            (0 if s.output else s.rows, s.rows * s.row_bytes * s.contiguous, s.row_bytes)
            for s in flow.storages
        ]
        self._readers = [sorted({reader for reader, _ in item}) for item in flow.readers]

    def run(self, first: int, last: int, limit: int | None = None) -> StageRun | None:
        """Run layers `first .. last`, always the deepest that can take a step.

        Every earlier layer has run completely and no later one has started.

        Args:
            first: First layer.
            last: Last layer.
            limit: Give up, returning None, once more bytes than this are alive.
        """
        return _Run(self, first, last, limit).finish()

    def fed_before(self, storage: int, first: int) -> int:
        """Input rows that the layers before a stage have asked for."""
        readers = self.flow.readers[storage]
        return max((touch.high[-1] for layer, touch in readers if layer < first), default=0)


class _Run:
    """One stage on its way."""

    def __init__(self, simulator: StageSimulator, first: int, last: int, limit: int | None) -> None:
        self.simulator, self.flow = simulator, simulator.flow
        self.first, self.last = first, last
        self.limit = float("inf") if limit is None else limit
        layers, storages = self.flow.layers, self.flow.storages
        self.progress = [layer.steps if i < first else 0 for i, layer in enumerate(layers)]
        self.made = []  # rows that exist, by storage
        for index, storage in enumerate(storages):
            if storage.writer == INPUT:
                fed = simulator.fed
                self.made.append(simulator.fed_before(index, first) if fed else storage.rows)
            else:
                self.made.append(storage.rows if storage.writer < first else 0)
        self.final = list(self.made)  # rows that may be read
        self.bytes = [self._alive(index) for index in range(len(storages))]
        self.state = 0
        self.live = self.idle = sum(self.bytes)
        self.order: list[int] = []
        self.reading = dict.fromkeys(range(first, last + 1), 0)
        self.any, self.same, self.none = (dict(self.reading) for _ in range(3))

    def finish(self) -> StageRun | None:
        """Run to the end; None where the limit is exceeded."""
        stage = range(self.first, self.last + 1)
        left = sum(self.flow.layers[index].steps for index in stage)
        ready = {index for index in stage if self._runnable(index)}
        while left:
            if ready:
                index = max(ready)
                if not self._step(index):
                    return None
                left -= 1
                if not self._runnable(index):
                    ready.discard(index)
                touched = self.flow.layers[index].write.storage
            else:
                # Only a row of the input can be missing: the graph is topologically sorted.
                touched = 0
                if not self._feed():
                    return None
            for reader in self.simulator._readers[touched]:
                if self.first <= reader <= self.last and self._runnable(reader):
                    ready.add(reader)
        needs = {
            i: Needs(
                self.reading[i],
                {"any": self.any[i], "same_address": self.same[i], "none": self.none[i]},
            )
            for i in stage
        }
        return StageRun(tuple(self.order), self.idle, needs) if self.idle <= self.limit else None

    def _runnable(self, index: int) -> bool:
        step, final = self.progress[index], self.final
        for storage, high in self.simulator._needs[index]:  # noqa: SIM110 (all() is slower)
            if final[storage] < high[step]:
                return False
        return True

    def _alive(self, index: int) -> int:
        """Bytes of a storage that exist and will still be read (or are the result)."""
        freed, whole, row_bytes = self.simulator._sizes[index]
        progress = self.progress
        for reader, low in self.simulator._frees[index]:
            at = low[progress[reader]]
            if at < freed:
                freed = at
        rows = self.made[index] - freed
        if rows <= 0:
            return 0
        return whole or rows * row_bytes

    def _update(self, index: int) -> int:
        """Recount one storage; returns how many bytes were freed (negative: made)."""
        before, now = self.bytes[index], self._alive(index)
        self.bytes[index] = now
        self.live += now - before
        return before - now

    def _feed(self) -> bool:
        storage = self.flow.storages[0]
        if storage.writer != INPUT or self.made[0] == storage.rows:
            raise AssertionError("no layer can run and no input row is left")
        self.made[0] += 1
        self.final[0] += 1
        self.order.append(FEED)
        self._update(0)
        self.idle = max(self.idle, self.live + self.state)
        return self.idle <= self.limit

    def _step(self, index: int) -> bool:
        layer, step = self.flow.layers[index], self.progress[index]
        out = layer.write.storage
        storage = self.flow.storages[out]
        if step == 0:
            self.state += layer.state_bytes
        reading = self.live + self.state
        made = max(self.made[out], layer.write.high[step])
        if storage.contiguous:
            written = storage.rows * storage.row_bytes if self.bytes[out] == 0 else 0
        else:
            written = (made - self.made[out]) * storage.row_bytes
        self.progress[index] = step + 1
        freed = [self._update(s) for s in self.simulator._reads[index]]
        total = sum(freed)
        any_bytes = self.live + self.state + written
        same_bytes = any_bytes + total - min(written, max(freed, default=0))
        none_bytes = any_bytes + total
        if reading > self.reading[index]:
            self.reading[index] = reading
        if any_bytes > self.any[index]:
            self.any[index] = any_bytes
        if same_bytes > self.same[index]:
            self.same[index] = same_bytes
        if none_bytes > self.none[index]:
            self.none[index] = none_bytes
        self.made[out] = made
        self.final[out] = max(self.final[out], self.flow.complete[index][step])
        self._update(out)
        self.order.append(index)
        if step + 1 == layer.steps:
            self.state -= layer.state_bytes
        written_bytes = any_bytes if layer.overlap == "any" else none_bytes
        if layer.overlap == "same_address":
            written_bytes = same_bytes
        return max(reading, written_bytes) + layer.scratch_bytes <= self.limit
