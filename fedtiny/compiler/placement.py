"""Arena offsets for items with lifetimes: greedy, over several orders, the best improved."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.lifetimes import Item, bound_bytes, live_bytes

CLASS_SHARE = 0.75
"""Of the largest size of a class, what its smallest is at least."""

KEPT = 8
"""Placements that are improved by moves."""

MOST_MOVES = 160
MOVED_ITEMS = 40_000
"""Limits of the moves, and of the moves times the items."""


def place(
    found: Sequence[Item], alignment: int, moves: int | None = None, seed: int = 0
) -> tuple[tuple[int, ...], int]:
    """Give every item an offset so that items alive at the same time are disjoint.

    Items are placed one after another, each into a gap that is free for its whole life. The order
    decides how well that packs: fixed ways are tried (the sorting keys of `_orders`, each with the
    tightest and with the lowest gap, each with items' own sizes and with classes of them), then
    the best few, taking turns, with the items that reach highest moved forward. Stops early at the
    lower bound.

    Args:
        found: The items.
        alignment: Of every item, a power of two.
        moves: How many; None is fewer for more items.
        seed: Of the moves.

    Returns:
        Offsets in the order of the items, and the first byte above all of them.
    """
    if not found:
        return (), 0
    bound = bound_bytes(found, alignment)
    neighbours = _neighbours(found)
    best: list[_Result] = []
    for sizes in _sizes(found, alignment):
        for order in _orders(found):
            for tightest in (True, False):
                most = best[-1].top if len(best) == KEPT else None
                way = _Way(order, tightest, sizes)
                result = _greedy(found, neighbours, alignment, way, most)
                if result is not None:
                    best = sorted([*best, result], key=lambda r: r.top)[:KEPT]
                if best[0].top == bound:
                    return tuple(best[0].offsets), best[0].top
    generator = random.Random(seed)
    for move in range(min(MOST_MOVES, MOVED_ITEMS // len(found)) if moves is None else moves):
        turn = move % len(best)
        way = _moved(best[turn], found, generator)
        result = _greedy(found, neighbours, alignment, way, best[turn].top)  # sideways too
        best[turn] = result or best[turn]
        if best[turn].top == bound:
            break
    least = min(best, key=lambda r: r.top)
    return tuple(least.offsets), least.top


@dataclass(frozen=True)
class _Way:
    """Places items in an order, into the tightest or the lowest gap, with what each may fill."""

    order: list[int]
    tightest: bool
    sizes: list[int]


@dataclass(frozen=True)
class _Result:
    """A placement and the way it was found."""

    top: int
    offsets: list[int]
    way: _Way


def _sizes(found: Sequence[Item], alignment: int) -> list[list[int]]:
    """What items may fill: what they need; and classes of sizes, so that gaps fit more than one."""
    plain = [-(-item.size_bytes // alignment) * alignment for item in found]
    once = {size for size, item in zip(plain, found, strict=True) if len(item.intervals) == 1}
    classes: list[int] = []
    for size in sorted(once, reverse=True):
        if not classes or size < CLASS_SHARE * classes[-1]:
            classes.append(size)
    padded = [
        min((c for c in classes if c >= size), default=size) if len(item.intervals) == 1 else size
        for size, item in zip(plain, found, strict=True)
    ]
    return [plain] if padded == plain else [plain, padded]


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


def _moved(best: _Result, found: Sequence[Item], generator: random.Random) -> _Way:
    """The order with the items that reach the top placed earlier."""
    order = best.way.order
    high = {i for i in order if best.offsets[i] + found[i].size_bytes == best.top}
    rest = [i for i in order if i not in high]
    for index in sorted(high):
        rest.insert(generator.randrange(order.index(index) + 1), index)
    if generator.random() < 0.5:
        a, b = generator.randrange(len(rest)), generator.randrange(len(rest))
        rest.insert(a, rest.pop(b))
    return _Way(rest, best.way.tightest, best.way.sizes)


def _greedy(
    found: Sequence[Item],
    neighbours: Sequence[NDArray[np.int64]],
    alignment: int,
    way: _Way,
    most: int | None,
) -> _Result | None:
    """Place in the given way; None when the result would be above `most`."""
    low: NDArray[np.int64] = np.full(len(found), -1, np.int64)
    high: NDArray[np.int64] = np.zeros(len(found), np.int64)
    top = 0
    for index in way.order:
        size = found[index].size_bytes
        near = neighbours[index]
        near = near[low[near] >= 0]
        offset = _gap(low[near], high[near], way.sizes[index], alignment, way.tightest)
        top = max(top, offset + size)
        if most is not None and top > most:
            return None
        low[index], high[index] = offset, offset + way.sizes[index]
    return _Result(top, low.tolist(), way)


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
