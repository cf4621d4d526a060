"""When every byte of the arena is needed, from the program alone.

Time runs in half steps: step t reads its inputs during [2t, 2t + 1) and writes its output during
[2t + 1, 2t + 2). A kernel that has copied its inputs away before it writes lets go of them at
2t + 1; every other keeps them until 2t + 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from fedtiny.compiler.dataflow import INPUT, Dataflow, LayerFlow
from fedtiny.compiler.plan import FEED, Run
from fedtiny.compiler.schedule import unroll

Interval = tuple[int, int]
"""Half steps [born, dies)."""


@dataclass(frozen=True)
class Part:
    """What an item holds: a row of a storage, a whole storage, or a layer's working memory.

    Attributes:
        kind: What it is.
        owner: Index of the storage (`row`, `storage`) or of the layer (`scratch`, `state`).
        row: Of a `row`, else 0.
    """

    kind: Literal["row", "storage", "scratch", "state"]
    owner: int
    row: int = 0


@dataclass(frozen=True)
class Item:
    """Bytes that need one place in the arena.

    Attributes:
        parts: What lies there, with the half steps each is alive; rows computed in place follow
            each other at the same address.
        size_bytes: Size.
        intervals: When the place is taken: disjoint, ascending.
    """

    parts: tuple[tuple[Part, Interval], ...]
    size_bytes: int
    intervals: tuple[Interval, ...]


def items(
    flow: Dataflow, program: Sequence[Run], fed: bool = False, in_place: int | None = 0
) -> tuple[Item, ...]:
    """Everything that a program keeps in the arena, except pointers and counters.

    Args:
        flow: The dataflow.
        program: The order of its steps.
        fed: Input rows are born when they are fed, not before the first step.
        in_place: Which input an elementwise layer prefers to overwrite; None: never overwrite.
    """
    steps = list(unroll(program))
    rows, working = _row_lives(flow, steps, fed)
    chains = _chains(flow, steps, rows, in_place)
    found = []
    for storage_index, storage in enumerate(flow.storages):
        keys = [(storage_index, row) for row in range(storage.rows)]
        if storage.contiguous and storage.rows > 1:
            life = min(rows[k][0] for k in keys), max(rows[k][1] for k in keys)
            size = storage.rows * storage.row_bytes
            found.append(Item(((Part("storage", storage_index), life),), size, (life,)))
            continue
        for key in keys:
            if key in chains:  # the head of its chain holds it
                chain = chains[key]
                parts = tuple((Part("row", *k), rows[k]) for k in chain)
                life = rows[chain[0]][0], rows[chain[-1]][1]
                found.append(Item(parts, storage.row_bytes, (life,)))
    for index, layer in enumerate(flow.layers):
        if layer.scratch_bytes:
            taken = _joined([(2 * t, 2 * t + 2) for t in working[index]])
            parts = tuple((Part("scratch", index), life) for life in taken)
            found.append(Item(parts, layer.scratch_bytes, taken))
        if layer.state_bytes:
            life = 2 * working[index][0], 2 * working[index][-1] + 2
            found.append(Item(((Part("state", index), life),), layer.state_bytes, (life,)))
    return tuple(found)


def peak_bytes(found: Sequence[Item]) -> int:
    """The most bytes alive at once: no placement of these items can need less."""
    return max((live for _, live in live_bytes(found)), default=0)


def bound_bytes(found: Sequence[Item], alignment: int) -> int:
    """A lower bound of every placement: the peak of aligned sizes, less what the last may save."""
    spare = [-item.size_bytes % alignment for item in found]
    aligned = [
        replace(item, size_bytes=item.size_bytes + more)
        for item, more in zip(found, spare, strict=True)
    ]
    return max(peak_bytes(found), peak_bytes(aligned) - max(spare, default=0))


def live_bytes(found: Sequence[Item]) -> list[tuple[int, int]]:
    """Half steps at which something is born or dies, and the bytes alive from then on."""
    changes: dict[int, int] = {}
    for item in found:
        for born, dies in item.intervals:
            changes[born] = changes.get(born, 0) + item.size_bytes
            changes[dies] = changes.get(dies, 0) - item.size_bytes
    times = sorted(changes)
    return list(zip(times, accumulate(changes[time] for time in times), strict=True))


_Row = tuple[int, int]
"""Storage index and row."""


def _row_lives(
    flow: Dataflow, steps: list[int], fed: bool
) -> tuple[dict[_Row, Interval], list[list[int]]]:
    """Birth and death of every row, and by layer the times at which it runs."""
    born: dict[_Row, int] = {}
    dies: dict[_Row, int] = {}
    working: list[list[int]] = [[] for _ in flow.layers]
    for index, storage in enumerate(flow.storages):
        if storage.writer == INPUT and not fed:
            for row in range(storage.rows):
                born[index, row], dies[index, row] = -1, 0
    arrived = 0
    for time, index in enumerate(steps):
        if index == FEED:
            born[0, arrived], dies[0, arrived] = 2 * time, 2 * time + 2
            arrived += 1
            continue
        layer = flow.layers[index]
        step = len(working[index])
        working[index].append(time)
        release = 2 * time + (1 if layer.overlap == "any" else 2)
        for touch in layer.reads:
            for row in range(touch.low[step], touch.high[step]):
                key = touch.storage, row
                dies[key] = max(dies[key], release)
        for row in range(layer.write.low[step], layer.write.high[step]):
            key = layer.write.storage, row
            born.setdefault(key, 2 * time + 1)
            dies[key] = 2 * time + 2
    end = 2 * len(steps) + 1
    for index, storage in enumerate(flow.storages):
        if storage.output:
            for row in range(storage.rows):
                dies[index, row] = end
    return {key: (born[key], dies[key]) for key in born}, working


def _chains(
    flow: Dataflow, steps: list[int], rows: dict[_Row, Interval], in_place: int | None
) -> dict[_Row, tuple[_Row, ...]]:
    """Rows that share one address, by the first of them; elementwise layers make the chains."""
    head = {key: key for key in rows}
    chain: dict[_Row, tuple[_Row, ...]] = {key: (key,) for key in rows}
    progress = [0] * len(flow.layers)
    for time, index in enumerate(steps):
        if index == FEED:
            continue
        layer, step = flow.layers[index], progress[index]
        progress[index] += 1
        if layer.overlap != "same_address" or in_place is None:
            continue
        for result, operand in _pairs(flow, layer, step, in_place):
            dies_now = rows[operand][1] == 2 * time + 2 and rows[result][0] == 2 * time + 1
            if dies_now and head[result] == result:
                first = head[operand]
                # An operand that another result of this step already took is not free any more.
                if chain[first][-1] == operand:
                    chain[first] += chain.pop(result)
                    head[result] = first
    return chain


def _pairs(flow: Dataflow, layer: LayerFlow, step: int, prefer: int) -> list[tuple[_Row, _Row]]:
    """(output row, input row that it may overwrite if that dies in this step).

    A step of one output row may overwrite any of its input rows; a step of several that reads as
    many, the one of the same index.
    """
    out = flow.storages[layer.write.storage]
    low, high = layer.write.low[step], layer.write.high[step]
    reads = (*layer.reads[prefer:], *layer.reads[:prefer])
    for touch in reads:
        storage = flow.storages[touch.storage]
        apart = not (storage.contiguous or out.contiguous) or storage.rows == out.rows == 1
        if not apart or storage.row_bytes != out.row_bytes or storage.output:
            continue
        operands = [(touch.storage, row) for row in range(touch.low[step], touch.high[step])]
        if high - low == 1:
            return [((layer.write.storage, low), operand) for operand in operands]
        if len(operands) == high - low:
            results = [(layer.write.storage, row) for row in range(low, high)]
            return list(zip(results, operands, strict=True))
    return []


def _joined(intervals: list[Interval]) -> tuple[Interval, ...]:
    joined: list[Interval] = []
    for born, dies in intervals:
        if joined and joined[-1][1] == born:
            joined[-1] = (joined[-1][0], dies)
        else:
            joined.append((born, dies))
    return tuple(joined)
