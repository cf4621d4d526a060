"""Nonzeros as bitmaps: a bit for each weight of an output, then those that are there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 32


def encode(weights: NDArray[np.int8]) -> tuple[NDArray[np.uint32], NDArray[np.int8]]:
    """Maps and nonzeros of weights `(outputs, taps)`.

    Returns:
        uint32 `(outputs * words(taps),)`, the first tap in the lowest bit, and int8 `(nonzeros,)`.
    """
    outputs, taps = weights.shape
    bits: NDArray[np.uint8] = np.zeros((outputs, words(taps) * WORD_BITS), np.uint8)
    bits[:, :taps] = weights != 0
    maps = np.packbits(bits, axis=1, bitorder="little").reshape(-1).view("<u4")
    return maps.astype(np.uint32), weights[weights != 0]


def decode(
    maps: NDArray[np.uint32], nonzeros: NDArray[np.int8], outputs: int, taps: int
) -> NDArray[np.int8]:
    """The dense weights again; see `encode`."""
    stored = maps.astype("<u4").view(np.uint8).reshape(outputs, -1)
    mask = np.unpackbits(stored, axis=1, bitorder="little")[:, :taps].astype(bool)
    weights: NDArray[np.int8] = np.zeros((outputs, taps), np.int8)
    weights[mask] = nonzeros
    return weights


def words(taps: int) -> int:
    """Words of one output's map."""
    return -(-taps // WORD_BITS)
