"""Positions as bytes: a bitmap, the gaps between them, or runs of them, whichever is shorter.

The first byte says which (0 bitmap, 1 gaps, 2 runs). A gap is one byte, the number of positions
skipped; 255 means 255 skipped and the gap goes on. Runs are counts of positions skipped and taken,
in turn, each an unsigned LEB128 varint.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedtiny.federated.message import DamagedMessageError

Positions = npt.NDArray[np.int64]
_BITMAP, _GAPS, _RUNS, _ON = 0, 1, 2, 255


def encode(positions: Positions, size: int) -> npt.NDArray[np.uint8]:
    """Serialize ascending positions below `size`."""
    skipped = np.diff(positions, prepend=-1) - 1
    lengths = skipped // _ON + 1
    shortest = min(int(lengths.sum()), (size + 7) // 8)
    if 2 * np.count_nonzero(skipped) <= shortest:  # else runs, of two bytes at least, are longer
        runs = _runs(positions)
        if runs.size <= shortest:
            return np.concatenate([np.array([_RUNS], np.uint8), runs])
    if lengths.sum() < (size + 7) // 8:
        gaps = np.full(1 + lengths.sum(), _ON, np.uint8)
        gaps[0] = _GAPS
        gaps[np.cumsum(lengths)] = skipped % _ON
        return gaps
    bits = np.zeros(size, np.uint8)
    bits[positions] = 1
    return np.concatenate([np.array([_BITMAP], np.uint8), np.packbits(bits)])


def decode(data: npt.NDArray[np.uint8], size: int) -> Positions:
    """The exact inverse of `encode`.

    Raises:
        DamagedMessageError: The bytes are no positions below `size`.
    """
    kind = data[0] if data.size else None
    if kind == _BITMAP and data.size == 1 + (size + 7) // 8:
        bits = np.unpackbits(data[1:])
        if not bits[size:].any():
            return np.flatnonzero(bits).astype(np.int64)
    if kind == _GAPS and (data.size == 1 or data[-1] != _ON):
        gaps = data[1:].astype(np.int64)
        last = gaps != _ON
        positions: Positions = np.cumsum(gaps)[last] + np.arange(np.count_nonzero(last))
        if not positions.size or positions[-1] < size:
            return positions
    if kind == _RUNS:
        counts = _varints(data[1:])
        ends = np.cumsum(counts)
        if (counts[1:] > 0).all() and len(counts) % 2 == 0 and (not len(ends) or ends[-1] <= size):
            taken, starts = counts[1::2], ends[::2]
            within = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
            return np.asarray(np.repeat(starts, taken) + within, np.int64)
    raise DamagedMessageError(f"positions are damaged or not below {size}")


def _runs(positions: Positions) -> npt.NDArray[np.uint8]:
    """Counts of positions skipped and taken, in turn, as varints."""
    if not positions.size:
        return np.zeros(0, np.uint8)
    first = np.flatnonzero(np.diff(positions, prepend=-2) > 1)
    last = np.append(first[1:] - 1, positions.size - 1)
    starts, ends = positions[first], positions[last] + 1
    counts = np.stack([np.diff(starts, prepend=0), ends - starts], 1)
    counts[1:, 0] = starts[1:] - ends[:-1]
    values = counts.reshape(-1)
    digits = np.stack([values >> shift & 0x7F for shift in range(0, 63, 7)], 1)
    more = np.stack([values >> shift + 7 > 0 for shift in range(0, 63, 7)], 1)
    used = np.concatenate([np.ones((len(values), 1), bool), more[:, :-1]], 1)
    return np.asarray((digits | more * 0x80)[used], np.uint8)


def _varints(data: npt.NDArray[np.uint8]) -> Positions:
    """The numbers of a row of varints; one that is cut or longer than 4 digits is damaged."""
    last = np.flatnonzero(data < 0x80)
    lengths = np.diff(last, prepend=-1)
    if (data.size and data[-1] >= 0x80) or (lengths > 4).any():
        raise DamagedMessageError("a run of positions is damaged")
    within = np.arange(data.size) - np.repeat(last - lengths + 1, lengths)
    digits = (data & 0x7F).astype(np.int64) << 7 * within
    return (
        np.asarray(np.add.reduceat(digits, last - lengths + 1), np.int64) if data.size else digits
    )
