"""Activation histograms as a message: bounds, grids, and compressed counts.

They say how often each value of an activation occurred over all of a client's samples together;
nothing says which sample had it. A message is a few bytes a bin that is not empty.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import cast

import numpy as np

from fedtiny.compiler.histogram import BINS, MAX_EXPONENT, Histogram
from fedtiny.federated.message import Array, DamagedMessageError, Message

_COUNT = np.dtype("<u4")


def pack(observed: Mapping[str, Histogram | tuple[float, float]]) -> Message:
    """Serialize what a client observed.

    Args:
        observed: By tensor name; of a pair, the range alone is known.
    """
    names = sorted(observed)
    found = [_histogram(observed[name]) for name in names]
    bounds = np.array([(h.low, h.high) for h in found], np.float32).reshape(len(names), 2)
    grids = np.array([(h.exponent, h.first, len(h.counts)) for h in found], np.int32)
    counts = b"".join(h.counts.astype(_COUNT).tobytes() for h in found)
    packed = np.frombuffer(zlib.compress(counts, 9), np.uint8)
    arrays: dict[str, Array] = {"bounds": bounds, "grids": grids.reshape(-1, 3), "counts": packed}
    return Message("ranges", {"names": names}, arrays)


def unpack(reply: Message) -> dict[str, Histogram]:
    """Read what a client observed, trusting nothing.

    Raises:
        DamagedMessageError: It is not sound.
    """
    names = cast(list[str], reply.fields.get("names"))
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise DamagedMessageError("ranges message has no list of names")
    bounds = reply.array("bounds", np.float32, (len(names), 2))
    if (bounds[:, 0] > bounds[:, 1]).any() or len(set(names)) < len(names):
        raise DamagedMessageError("a range is upside down, or named twice")
    grids = reply.array("grids", np.int32, (len(names), 3)).astype(np.int64)
    exponents, firsts, lengths = grids.T
    sound = (np.abs(exponents) <= MAX_EXPONENT) & (lengths >= 0)
    sound &= (firsts >= -BINS) & (firsts + lengths <= BINS)
    if not sound.all():
        raise DamagedMessageError("a histogram's bins are not on its grid")
    counts = _counts(reply, int(lengths.sum()))
    parts = np.split(counts, np.cumsum(lengths)[:-1])
    if any(len(part) and not part.any() for part in parts):
        raise DamagedMessageError("a histogram counted nothing")
    return {
        name: Histogram(float(low), float(high), int(exponent), int(first), part)
        for name, (low, high), exponent, first, part in zip(
            names, bounds, exponents, firsts, parts, strict=True
        )
    }


def _histogram(observed: Histogram | tuple[float, float]) -> Histogram:
    return observed if isinstance(observed, Histogram) else Histogram(*observed)


def _counts(reply: Message, length: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    data = reply.array("counts", np.uint8, (None,)).tobytes()
    try:
        reader = zlib.decompressobj()
        plain = reader.decompress(data, length * _COUNT.itemsize + 1)
    except zlib.error as error:
        raise DamagedMessageError("counts of the histograms are damaged") from error
    if len(plain) != length * _COUNT.itemsize:
        raise DamagedMessageError("histograms have other counts than bins")
    return np.frombuffer(plain, _COUNT).astype(np.int64)
