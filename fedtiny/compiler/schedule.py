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

from fedtiny.compiler.dataflow import INPUT, Dataflow, LayerFlow
from fedtiny.compiler.plan import FEED, Run

RUN_LIMIT = 64
"""Most steps of one program entry."""


def layers_order(flow: Dataflow, fed: bool = False) -> tuple[Run, ...]:
    """Every layer runs all its steps before the next layer starts."""
    order: list[int] = []
    for index in range(len(flow.layers)):
        stage = _Stage(flow, fed, index, index)
        order += stage.run()
    return _entries(flow, order, fed)


def rows_order(flow: Dataflow, fed: bool = False) -> tuple[Run, ...]:
    """Row streaming, in the stages that give the smallest peak of living bytes."""
    order: list[int] = []
    for first, last in stages(flow, fed):
        order += _Stage(flow, fed, first, last).run()
    return _entries(flow, order, fed)


def stages(flow: Dataflow, fed: bool = False) -> tuple[tuple[int, int], ...]:
    """Split the layers into consecutive stages `(first, last)` with the smallest peak.

    The state between two stages depends only on which layers have run, so the peak of a split is
    the largest peak of its stages, each of which is simulated once. Of equal splits the one with
    the fewest stages is taken.
    """
    count = len(flow.layers)
    whole = _Stage(flow, fed, 0, count - 1)
    whole.run()
    limit = whole.peak
    best: list[tuple[int, int, tuple[tuple[int, int], ...]] | None] = [(0, 0, ())]
    for last in range(count):
        found = None
        for first in range(last + 1):
            before = best[first]
            if before is None:
                continue
            bound = min(limit, found[0] if found else limit)
            stage = _Stage(flow, fed, first, last)
            if before[0] > bound or not stage.within(bound):
                continue
            option = (max(before[0], stage.peak), before[1] + 1, (*before[2], (first, last)))
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


class _Stage:
    """Runs layers `first .. last` step by step and counts the bytes that are alive.

    Before a stage every earlier layer has run completely and no later one has started.
    """

    def __init__(self, flow: Dataflow, fed: bool, first: int, last: int) -> None:
        self.flow = flow
        self.first, self.last = first, last
        self.order: list[int] = []
        self.progress = [0] * len(flow.layers)
        for index in range(first):
            self.progress[index] = flow.layers[index].steps
        self.made = [0] * len(flow.storages)  # rows that exist
        self.final = [0] * len(flow.storages)  # rows that may be read
        for index, storage in enumerate(flow.storages):
            if storage.writer == INPUT:
                rows = self._fed_before(index) if fed else storage.rows
            else:
                rows = storage.rows if storage.writer < first else 0
            self.made[index] = self.final[index] = rows
        self.bytes = [self._alive(index) for index in range(len(flow.storages))]
        self.state = 0
        self.live = sum(self.bytes)
        self.peak = self.live

    def run(self) -> list[int]:
        """The steps of the stage, in order; `FEED` where an input row has to arrive first."""
        self._advance(None)
        return self.order

    def within(self, limit: int) -> bool:
        """Run the stage, giving up once more than `limit` bytes are alive."""
        return self._advance(limit)

    def _advance(self, limit: int | None) -> bool:
        stage = range(self.first, self.last + 1)
        ready = {index for index in stage if self._runnable(index)}
        left = sum(self.flow.layers[index].steps for index in stage)
        while left:
            if limit is not None and self.peak > limit:
                return False
            if ready:
                index = max(ready)
                self._step(index)
                left -= 1
                if not self._runnable(index):
                    ready.discard(index)
                touched = self.flow.layers[index].write.storage
            else:
                # Only a row of the input can be missing: the graph is topologically sorted.
                touched = 0
                self._feed()
            for reader, _ in self.flow.readers[touched]:
                if reader in stage and self._runnable(reader):
                    ready.add(reader)
        return limit is None or self.peak <= limit

    def _fed_before(self, storage: int) -> int:
        """Input rows that earlier stages have asked for."""
        return max(
            (t.high[-1] for layer, t in self.flow.readers[storage] if layer < self.first), default=0
        )

    def _runnable(self, index: int) -> bool:
        layer, step = self.flow.layers[index], self.progress[index]
        if step == layer.steps:
            return False
        return all(self.final[touch.storage] >= touch.high[step] for touch in layer.reads)

    def _alive(self, index: int) -> int:
        """Bytes of a storage that exist and will still be read (or are the result)."""
        storage = self.flow.storages[index]
        if storage.output:
            freed = 0
        else:
            freed = storage.rows
            for reader, touch in self.flow.readers[index]:
                step = self.progress[reader]
                if step < self.flow.layers[reader].steps:
                    freed = min(freed, touch.low[step])
        rows = max(0, self.made[index] - freed)
        if storage.contiguous and rows:
            rows = storage.rows
        return rows * storage.row_bytes

    def _update(self, index: int) -> int:
        """Recount one storage; returns how many bytes were freed (negative: made)."""
        before, now = self.bytes[index], self._alive(index)
        self.bytes[index] = now
        self.live += now - before
        return before - now

    def _feed(self) -> None:
        if self.flow.storages[0].writer != INPUT or self.made[0] == self.flow.storages[0].rows:
            raise AssertionError("no layer can run and no input row is left")
        self.made[0] += 1
        self.final[0] += 1
        self.order.append(FEED)
        self._update(0)
        self.peak = max(self.peak, self.live + self.state)

    def _step(self, index: int) -> None:
        layer, step = self.flow.layers[index], self.progress[index]
        out = layer.write.storage
        storage = self.flow.storages[out]
        if step == 0:
            self.state += layer.state_bytes
        fixed = self.state + layer.scratch_bytes
        self.peak = max(self.peak, self.live + fixed)
        made = max(self.made[out], layer.write.high[step])
        if storage.contiguous:
            written = storage.rows * storage.row_bytes if self.bytes[out] == 0 else 0
        else:
            written = (made - self.made[out]) * storage.row_bytes
        self.progress[index] = step + 1
        freed = {t.storage: self._update(t.storage) for t in layer.reads}
        self._count_writing(layer, fixed, written, freed)
        self.made[out] = made
        self.final[out] = max(self.final[out], self.flow.complete[index][step])
        self._update(out)
        self.order.append(index)
        if step + 1 == layer.steps:
            self.state -= layer.state_bytes

    def _count_writing(
        self, layer: LayerFlow, fixed: int, written: int, freed: dict[int, int]
    ) -> None:
        """Raise the peak to what is alive while the step writes its output."""
        if layer.overlap == "any":
            kept = 0
        elif layer.overlap == "same_address":
            kept = sum(freed.values()) - min(written, max(freed.values(), default=0))
        else:
            kept = sum(freed.values())
        self.peak = max(self.peak, self.live + kept + fixed + written)
