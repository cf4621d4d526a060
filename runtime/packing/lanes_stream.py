"""The stream of kernels of two pixels per 32-bit word: records, then groups (src/lanes.h).

A group's sum of the low pixel stays inside 16 bits whatever the activations, so no layer needs a
form of its own for large sums; only scales that the short arithmetic cannot express do.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

LONGEST = 0xFF
"""Words that one entry can move on."""

MOST_ENTRIES = 8
"""Of a group: how far the inner loops are unrolled."""

MOST_SUM = 1 << 29
"""Sums of the short scaling are smaller."""

MOST_RIGHT = 21
"""Bits that the short scaling can shift to the right; at least 1."""

LEAST_RIGHT_OF_HALF = 6
"""From how many bits to the right on most sums take 16-bit products: src/lanes_thumb.S."""

_RECORD = struct.Struct("<iiHBb")


@dataclass(frozen=True)
class Channel:
    """The nonzero weights of one output channel.

    Attributes:
        positions: Where in the window, in words, ascending.
        weights: As many.
    """

    positions: NDArray[np.int64]
    weights: NDArray[np.int64]

    def count(self) -> int:
        """Entries: weights, and one of weight 0 wherever a distance is too long for one byte."""
        distances = np.diff(self.positions, prepend=0)
        more = np.maximum(distances - 1, 0) // LONGEST
        return max(1, len(self.weights) + int(more.sum()))

    @cached_property
    def groups(self) -> list[list[tuple[int, int]]]:
        """Entries (distance, weight) in the fewest groups whose sums stay inside 16 bits.

        Of a sum of weight * activation, -128 <= activation <= 127, both ends are kept in range,
        -2^15 left out: as the high half it would borrow from beyond the word.
        """
        entries: list[tuple[int, int]] = []
        before = 0
        for position, weight in zip(self.positions.tolist(), self.weights.tolist(), strict=True):
            distance = position - before
            while distance > LONGEST:
                entries.append((LONGEST, 0))
                distance -= LONGEST
            entries.append((distance, weight))
            before = position
        groups: list[list[tuple[int, int]]] = [[]]
        positive = negative = 0
        for entry in entries or [(0, 0)]:
            positive += max(entry[1], 0)
            negative += max(-entry[1], 0)
            least, most = 128 * positive + 127 * negative, 127 * positive + 128 * negative
            if max(least, most) >= 1 << 15 or len(groups[-1]) == MOST_ENTRIES:
                groups.append([])
                positive, negative = max(entry[1], 0), max(-entry[1], 0)
            groups[-1].append(entry)
        return groups

    def encode(self) -> bytes:
        """The groups' bytes."""
        found = bytearray()
        for index, group in enumerate(self.groups):
            last = index + 1 == len(self.groups)
            pairs = [(distance, weight & 0xFF) for distance, weight in group]
            found += bytes((*pairs[0], 2 * (2 * len(group) + 1) + last))
            found += bytes(byte for pair in pairs[1:] for byte in pair)
        return bytes(found)

    def fits(self, bias: int, zero_point: int) -> bool:
        """Whether all sums are small enough for the short scaling."""
        positive = int(self.weights[self.weights > 0].sum())
        negative = int(self.weights[self.weights < 0].sum())
        low, high = -128 - zero_point, 127 - zero_point
        least = bias + positive * low + negative * high
        most = bias + positive * high + negative * low
        return least > -MOST_SUM and most < MOST_SUM


@dataclass(frozen=True)
class Scale:
    """Of one output channel: bias without the input's zero point, multiplier and shift."""

    bias: int
    multiplier: int
    shift: int


def is_short(channel: Channel, scale: Scale, zero_point: int) -> bool:
    """Whether a channel's sums can be scaled in the tile."""
    if scale.multiplier == 0:
        return not channel.weights.any()
    return -MOST_RIGHT <= scale.shift <= -1 and channel.fits(scale.bias, zero_point)


def encode(channels: Sequence[Channel], scales: Sequence[Scale], zero_point: int) -> bytes:
    """Records of all channels, then their groups."""
    records, groups = bytearray(), bytearray()
    for channel, scale in zip(channels, scales, strict=True):
        bias = scale.bias - zero_point * int(channel.weights.sum())
        bias = (bias + 2**31) % 2**32 - 2**31 if scale.multiplier else 0
        right = min(max(-scale.shift - 1, 0), MOST_RIGHT - 1)
        count = len(channel.groups)
        records += _RECORD.pack(bias, scale.multiplier, count, right, scale.shift)
        groups += channel.encode()
    return bytes(records + groups)


def decode(stream: bytes, count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions and weights of every channel."""
    at = count * _RECORD.size
    channels = []
    for _ in range(count):
        found: list[tuple[int, int]] = []
        position, last = 0, False
        while not last:
            more, last = (stream[at + 2] >> 2) - 1, bool(stream[at + 2] & 1)
            entries = stream[at : at + 2] + stream[at + 3 : at + 3 + 2 * more]
            for distance, weight in struct.iter_unpack("<Bb", entries):
                position += distance
                if weight:
                    found.append((position, weight))
            at += 3 + 2 * more
        array = np.array(found, np.int64).reshape(-1, 2)
        channels.append((array[:, 0], array[:, 1]))
    return channels
