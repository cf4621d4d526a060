"""Positions as bytes: a bitmap, or the gaps between them, whichever is shorter.

The first byte says which (0 bitmap, 1 gaps). A gap is one byte, the number of positions skipped;
255 means 255 skipped and the gap goes on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedtiny.federated.message import DamagedMessageError

Positions = npt.NDArray[np.int64]
_BITMAP, _GAPS, _ON = 0, 1, 255


def encode(positions: Positions, size: int) -> npt.NDArray[np.uint8]:
    """Serialize ascending positions below `size`."""
    skipped = np.diff(positions, prepend=-1) - 1
    lengths = skipped // _ON + 1
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
    raise DamagedMessageError(f"positions are damaged or not below {size}")
