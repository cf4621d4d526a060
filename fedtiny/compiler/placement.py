"""Arena offsets for items with lifetimes: greedy, over several orders, best one kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.lifetimes import Item, peak_bytes


def place(
    found: Sequence[Item], alignment: int, tries: int = 40, seed: int = 0
) -> tuple[tuple[int, ...], int]:
    """Give every item an offset so that items alive at the same time are disjoint.

    Items are placed one after another, each into a gap that is free for its whole life. The order
    decides how well that packs: sixteen fixed ways are tried (the sorting keys of `_orders`, each
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
    ways = [(order, tightest) for order in _orders(found) for tightest in (True, False)]
    generator = random.Random(seed)
    best: _Result | None = None
    for attempt in range(max(tries, 1)):
        if attempt < len(ways):
            order, tightest = ways[attempt]
        else:
            assert best is not None
            order, tightest = _moved(best, found, generator), best.tightest
        result = _greedy(found, alignment, order, tightest, best.top if best else None)
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
    """By size, by death, by birth and by length of life; then the same after scratch.

    Scratch of a layer that runs in turns with others needs the same place at many times, so that it
    is hard to place late.
    """
    lengths = [sum(dies - born for born, dies in item.intervals) for item in found]
    keys: list[Callable[[int], tuple[int, ...]]] = [
        lambda i: (-found[i].size_bytes, found[i].intervals[0][0]),
        lambda i: (-found[i].intervals[-1][1], -found[i].size_bytes),
        lambda i: (found[i].intervals[0][0], -found[i].size_bytes),
        lambda i: (-lengths[i], -found[i].size_bytes),
    ]
    plain = [sorted(range(len(found)), key=key) for key in keys]
    turns = [i for i in plain[0] if len(found[i].intervals) > 1]
    late = [[*turns, *(i for i in order if len(found[i].intervals) == 1)] for order in plain]
    return [*plain, *late]


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
    found: Sequence[Item], alignment: int, order: list[int], tightest: bool, limit: int | None
) -> _Result | None:
    """Place in the given order; None when the result would not be below `limit`."""
    count = sum(len(item.intervals) for item in found)
    born, dies, low, high = (np.zeros(count, np.int64) for _ in range(4))
    offsets = [0] * len(found)
    used = top = 0
    for index in order:
        item = found[index]
        taken = _conflicts(item, born[:used], dies[:used])
        blocks = sorted(
            {*zip(low[:used][taken].tolist(), high[:used][taken].tolist(), strict=True)}
        )
        offset = _gap(blocks, item.size_bytes, alignment, tightest)
        top = max(top, offset + item.size_bytes)
        if limit is not None and top >= limit:
            return None
        offsets[index] = offset
        for interval in item.intervals:
            born[used], dies[used] = interval
            low[used], high[used] = offset, offset + item.size_bytes
            used += 1
    return _Result(top, offsets, order, tightest)


def _conflicts(item: Item, born: NDArray[np.int64], dies: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which placed intervals meet any interval of the item."""
    taken = np.zeros(born.shape, bool)
    for start, end in item.intervals:
        taken |= (born < end) & (dies > start)
    return taken


def _gap(blocks: list[tuple[int, int]], size: int, alignment: int, tightest: bool) -> int:
    """The start of the tightest or the lowest gap between blocks, or the end of the last one."""
    start = 0
    best: tuple[int, int] | None = None
    for low, high in blocks:
        if low - start >= size and (best is None or low - start < best[0]):
            best = (low - start, start)
            if not tightest:
                break
        start = max(start, (high + alignment - 1) & -alignment)
    return best[1] if best else start
