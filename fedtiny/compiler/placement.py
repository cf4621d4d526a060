"""Arena offsets for items with lifetimes: greedy, over several orders, best one kept."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.lifetimes import Item, peak_bytes


def place(
    found: Sequence[Item], alignment: int, tries: int = 40, seed: int = 0
) -> tuple[tuple[int, ...], int]:
    """Give every item an offset so that items alive at the same time are disjoint.

    Items are placed one after another, each into the tightest gap that is free for its whole life.
    The order decides how well that packs: four fixed orders are tried, then the best order so far
    with the items that reach highest moved forward. Stops early at the liveness bound.

    Args:
        found: The items.
        alignment: Of every item, a power of two.
        tries: How many orders are tried.
        seed: Of the moves.

    Returns:
        Offsets in the order of the items, and the first byte above all of them.
    """
    if not found:
        return (), 0
    bound = peak_bytes(found)
    lengths = [sum(dies - born for born, dies in item.intervals) for item in found]
    indices = range(len(found))
    orders = [
        sorted(indices, key=lambda i: (found[i].intervals[0][0], -found[i].size_bytes)),
        sorted(indices, key=lambda i: (-found[i].size_bytes, found[i].intervals[0][0])),
        sorted(indices, key=lambda i: -found[i].size_bytes * lengths[i]),
        sorted(indices, key=lambda i: (-lengths[i], -found[i].size_bytes)),
    ]
    generator = random.Random(seed)
    best: tuple[int, list[int], list[int]] | None = None
    for attempt in range(tries):
        if attempt < len(orders):
            order = orders[attempt]
        else:
            assert best is not None
            order = _moved(best[1], best[2], best[0], found, generator)
        result = _greedy(found, alignment, order, best[0] if best else None)
        if result is not None:
            best = (result[0], order, result[1])
            if best[0] == bound:
                break
    assert best is not None
    return tuple(best[2]), best[0]


def _moved(
    order: list[int],
    offsets: list[int],
    top: int,
    found: Sequence[Item],
    generator: random.Random,
) -> list[int]:
    """The order with the items that reach the top placed earlier."""
    high = {i for i in order if offsets[i] + found[i].size_bytes == top}
    rest = [i for i in order if i not in high]
    for index in sorted(high):
        rest.insert(generator.randrange(order.index(index) + 1), index)
    if generator.random() < 0.5:
        a, b = generator.randrange(len(rest)), generator.randrange(len(rest))
        rest.insert(a, rest.pop(b))
    return rest


def _greedy(
    found: Sequence[Item], alignment: int, order: list[int], limit: int | None
) -> tuple[int, list[int]] | None:
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
        offset = _gap(blocks, item.size_bytes, alignment)
        top = max(top, offset + item.size_bytes)
        if limit is not None and top >= limit:
            return None
        offsets[index] = offset
        for interval in item.intervals:
            born[used], dies[used] = interval
            low[used], high[used] = offset, offset + item.size_bytes
            used += 1
    return top, offsets


def _conflicts(item: Item, born: NDArray[np.int64], dies: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which placed intervals meet any interval of the item."""
    taken = np.zeros(born.shape, bool)
    for start, end in item.intervals:
        taken |= (born < end) & (dies > start)
    return taken


def _gap(blocks: list[tuple[int, int]], size: int, alignment: int) -> int:
    """The start of the tightest gap between blocks, or the end of the last one."""
    start = 0
    best: tuple[int, int] | None = None
    for low, high in blocks:
        if low - start >= size and (best is None or low - start < best[0]):
            best = (low - start, start)
        start = max(start, (high + alignment - 1) & -alignment)
    return best[1] if best else start
