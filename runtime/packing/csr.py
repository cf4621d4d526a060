"""Nonzeros as streams: for each output, how far to the next nonzero's input, and its weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DELTA_MAX = 255
COUNT_MAX = 0xFFFF


def encode(
    weights: NDArray[np.int8], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Encode int8 weights as entries of two bytes: delta, weight.

    Deltas run on from entry to entry and start at 0 for every output. A distance above 255 is
    bridged by entries of weight 0.

    Args:
        weights: `(outputs, taps)`.
        offsets: Where each tap's input lies, `(outputs, taps)`, distinct within an output.

    Returns:
        Entries of every output, uint16 `(outputs,)`, and the entries, uint8 `(2 * entries,)`.

    Raises:
        OverflowError: An output has more than 65,535 entries.
    """
    order = np.argsort(offsets, axis=1, kind="stable")
    sorted_weights = np.take_along_axis(weights, order, 1)
    output, tap = np.nonzero(sorted_weights)
    where = np.take_along_axis(offsets, order, 1)[output, tap]
    first = np.diff(output, prepend=-1) != 0
    bridges, deltas = np.divmod(np.where(first, where, where - np.roll(where, 1)), DELTA_MAX)
    counts = np.bincount(output, 1 + bridges, len(weights)).astype(np.int64)
    if counts.max(initial=0) > COUNT_MAX:
        raise OverflowError(f"{counts.max()} entries in one output, at most {COUNT_MAX} fit")
    entries: NDArray[np.uint8] = np.zeros((int(counts.sum()), 2), np.uint8)
    entries[:, 0] = DELTA_MAX
    places = np.cumsum(1 + bridges) - 1
    entries[places, 0] = deltas
    entries[places, 1] = sorted_weights[output, tap].view(np.uint8)
    return counts.astype(np.uint16), entries.reshape(-1)


def entry_count(weights: NDArray[np.generic], offsets: NDArray[np.int64]) -> int:
    """How many entries `encode` makes, without making them."""
    order = np.argsort(offsets, axis=1)
    where = np.take_along_axis(offsets, order, 1)
    output, tap = np.nonzero(np.take_along_axis(weights, order, 1))
    position = where[output, tap]
    before = np.where(np.diff(output, prepend=-1) == 0, np.roll(position, 1), 0)
    return len(position) + int(((position - before) // DELTA_MAX).sum())


def decode(
    counts: NDArray[np.uint16], entries: NDArray[np.uint8], offsets: NDArray[np.int64]
) -> NDArray[np.int8]:
    """The dense weights `(outputs, taps)` again; see `encode`."""
    weights: NDArray[np.int8] = np.zeros(offsets.shape, np.int8)
    pairs = entries.reshape(-1, 2)
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    for output, where in enumerate(offsets):
        part = pairs[starts[output] : starts[output + 1]]
        found = dict(zip(np.cumsum(part[:, 0], dtype=np.int64).tolist(), part[:, 1], strict=True))
        taps = {offset: tap for tap, offset in enumerate(where.tolist())}
        for offset, weight in found.items():
            if weight:
                weights[output, taps[offset]] = np.int8(weight.astype(np.int8))
    return weights
