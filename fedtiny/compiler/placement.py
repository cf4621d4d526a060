"""Arena offsets for items with lifetimes: greedy, over several orders, best one kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.lifetimes import Item, live_bytes, peak_bytes


def place(
    found: Sequence[Item], alignment: int, tries: int = 40, seed: int = 0
) -> tuple[tuple[int, ...], int]:
    """Give every item an offset so that items alive at the same time are disjoint.

    Items are placed one after another, each into a gap that is free for its whole life. The order
    decides how well that packs: twenty fixed ways are tried (the sorting keys of `_orders`, each
    with the tightest and with the lowest gap), then the best way so far with the items that reach
    highest moved forward. Stops early at the liveness bound.

    Args:
        found: The items.
        alignment: Of every item, a power of two.
        tries: How many ways are tried.
        seed: Of the moves.

    Returns:
        Offsets in the order of the items, and the first byte above all of them.
    """
    if not found:
        return (), 0
    bound = peak_bytes(found)
    neighbours = _neighbours(found)
    ways = [(order, tightest) for order in _orders(found) for tightest in (True, False)]
    generator = random.Random(seed)
    best: _Result | None = None
    for attempt in range(max(tries, 1)):
        if attempt < len(ways):
            order, tightest = ways[attempt]
        else:
            assert best is not None
            order, tightest = _moved(best, found, generator), best.tightest
        result = _greedy(found, neighbours, alignment, order, tightest, best.top if best else None)
        if result is not None:
            best = result
            if best.top == bound:
                break
    assert best is not None
    return tuple(best.offsets), best.top


@dataclass(frozen=True)
class _Result:
    """A placement and the way it was found."""

    top: int
    offsets: list[int]
    order: list[int]
    tightest: bool


def _orders(found: Sequence[Item]) -> list[list[int]]:
    """By size, by death, by birth, by length of life, by what is alive; the same after scratch.

    Scratch of a layer that runs in turns with others needs the same place at many times, so that it
    is hard to place late.
    """
    lengths = [sum(dies - born for born, dies in item.intervals) for item in found]
    crowds = _crowds(found)
    keys: list[Callable[[int], tuple[int, ...]]] = [
        lambda i: (-crowds[i], -found[i].size_bytes, found[i].intervals[0][0]),
        lambda i: (-found[i].size_bytes, found[i].intervals[0][0]),
        lambda i: (-found[i].intervals[-1][1], -found[i].size_bytes),
        lambda i: (found[i].intervals[0][0], -found[i].size_bytes),
        lambda i: (-lengths[i], -found[i].size_bytes),
    ]
    plain = [sorted(range(len(found)), key=key) for key in keys]
    turns = [i for i in plain[1] if len(found[i].intervals) > 1]
    late = [[*turns, *(i for i in order if len(found[i].intervals) == 1)] for order in plain]
    return [*plain, *late]


def _crowds(found: Sequence[Item]) -> list[int]:
    """Of every item, the most bytes alive at any time of its life."""
    times, live = (np.array(column, np.int64) for column in zip(*live_bytes(found), strict=True))
    crowds = []
    for item in found:
        most = 0
        for born, dies in item.intervals:
            first, last = np.searchsorted(times, (born, dies))
            most = max(most, int(live[first:last].max()))
        crowds.append(most)
    return crowds


def _moved(best: _Result, found: Sequence[Item], generator: random.Random) -> list[int]:
    """The order with the items that reach the top placed earlier."""
    order = best.order
    high = {i for i in order if best.offsets[i] + found[i].size_bytes == best.top}
    rest = [i for i in order if i not in high]
    for index in sorted(high):
        rest.insert(generator.randrange(order.index(index) + 1), index)
    if generator.random() < 0.5:
        a, b = generator.randrange(len(rest)), generator.randrange(len(rest))
        rest.insert(a, rest.pop(b))
    return rest


def _greedy(
    found: Sequence[Item],
    neighbours: Sequence[NDArray[np.int64]],
    alignment: int,
    order: list[int],
    tightest: bool,
    limit: int | None,
) -> _Result | None:
    """Place in the given order; None when the result would not be below `limit`."""
    low: NDArray[np.int64] = np.full(len(found), -1, np.int64)
    high: NDArray[np.int64] = np.zeros(len(found), np.int64)
    top = 0
    for index in order:
        size = found[index].size_bytes
        near = neighbours[index]
        near = near[low[near] >= 0]
        offset = _gap(low[near], high[near], size, alignment, tightest)
        top = max(top, offset + size)
        if limit is not None and top >= limit:
            return None
        low[index], high[index] = offset, (offset + size + alignment - 1) & -alignment
    return _Result(top, low.tolist(), order, tightest)


def _neighbours(found: Sequence[Item]) -> list[NDArray[np.int64]]:
    """By item, the others that are alive at any time of its life."""
    owner = np.array([i for i, item in enumerate(found) for _ in item.intervals])
    born, dies = (
        np.array([interval[end] for item in found for interval in item.intervals], np.int64)
        for end in (0, 1)
    )
    neighbours = []
    for index, item in enumerate(found):
        taken: NDArray[np.bool_] = np.zeros(born.shape, bool)
        for start, end in item.intervals:
            taken |= (born < end) & (dies > start)
        near = np.unique(owner[taken])
        neighbours.append(near[near != index])
    return neighbours


def _gap(
    low: NDArray[np.int64], high: NDArray[np.int64], size: int, alignment: int, tightest: bool
) -> int:
    """The start of the tightest or the lowest gap between blocks, or the end of the last one."""
    if not low.size:
        return 0
    order = np.argsort(low, kind="stable")
    starts = np.concatenate(([0], np.maximum.accumulate(high[order])))
    gaps = low[order] - starts[:-1]
    fits = np.flatnonzero(gaps >= size)
    if not fits.size:
        return int(starts[-1])
    chosen = fits[gaps[fits].argmin()] if tightest else fits[0]
    return int(starts[chosen])
