"""Random numbers that depend on the seed and on what they are for, never on what came before."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator of its own for one purpose.

    Args:
        seed: Of the run.
        purpose: For example ``"batches"``.
        numbers: For example the round and the client.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])
