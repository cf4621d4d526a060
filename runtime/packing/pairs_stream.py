"""The stream of the two-pixel kernels: records of start value, weights and scaling (src/pairs.h).

The bound that makes a record exact is that of the finished sum, whatever the activations: what the
low lane holds on the way wraps around harmlessly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.quantization import multiply_by_quantized_multiplier
from fedtiny.runtime.packing.pairs_layout import TILE

RELU, SIGNED, PLAIN = 0, 1, 2
NARROW, WIDE, EMPTY, END = 0, 8, 16, 17
DENSE3, DENSE1, DENSE2 = 20, 24, 32
NIBBLE = 36

_STARTS = range(-(1 << 47), 1 << 47)

LANE = 1 << 23
"""Sums of the low lane are in [-LANE, LANE)."""

SUMS_BYTES = 2 * TILE * 4
"""What a record of the plain form stores for a tile."""

_PASS = 8
_MOST_ENTRIES = 255 * _PASS
_MOST_WEIGHTS = 1024
"""Of a record of the plain form: with distances, which a window's size bounds, it still fits."""
_NO_DIVISOR = 32  # as a shift
_HEADER = struct.Struct("<IhBB")
_SCALING = struct.Struct("<Bi")
_SUM = struct.Struct("<ihhi")
_NARROW_ENTRY = struct.Struct("<Bb")
_WIDE_ENTRY = struct.Struct("<Hb")
_NARROW_DTYPE = np.dtype([("distance", "u1"), ("weight", "i1")])
_WIDE_DTYPE = np.dtype([("distance", "<u2"), ("weight", "i1")])
_NIBBLES_DTYPE = np.dtype([("distances", "u1"), ("weights", "i1", 2)])
_LONGEST_NIBBLE, _PAIRS_A_PASS, _MOST_PAIRS = 15, 4, 255


@dataclass(frozen=True)
class Grid:
    """All weights of a channel, for the dense kinds: groups of neighbouring words.

    Attributes:
        taps: Words of a group, 1 to 3.
        groups: Groups of a channel.
        words: From group to group.
    """

    taps: int
    groups: int
    words: int

    @property
    def groups_a_pass(self) -> int:
        """How far the inner loop is unrolled."""
        return 8 if self.taps == 1 else 4

    def instructions(self, words: int = TILE) -> int:
        """Of the inner loop for one tile of so many words."""
        passes = -(-self.groups // self.groups_a_pass)
        return self.groups * ((3 + words) * self.taps + 1) + 3 * passes + 5


@dataclass(frozen=True)
class Channel:
    """The nonzero weights of one output channel.

    Attributes:
        positions: Where in the window, in words, ascending.
        weights: As many.
        grid: Where all of its weights are; None where no dense kind can have them.
        lean: Whether distances may have 4 bits, in the grid's groups, which takes longer.
    """

    positions: NDArray[np.int64]
    weights: NDArray[np.int64]
    grid: Grid | None = None
    lean: bool = False

    @cached_property
    def dense(self) -> bool:
        """Whether it is faster without distances."""
        return self.grid is not None and self.grid.instructions() <= self._sparse_instructions()

    @property
    def fits(self) -> bool:
        """Whether one record can hold it."""
        return self.dense or self._entries <= _MOST_ENTRIES

    @property
    def kind(self) -> str:
        """What the tile must be able to run, as part of a part's name; empty without weights."""
        if self.dense and self.grid is not None:
            return f"dense{self.grid.taps}"
        if self.nibble:
            return "nibble"
        return "" if not len(self.weights) else "wide" if self.wide else "narrow"

    @cached_property
    def wide(self) -> bool:
        """Whether 16-bit distances take fewer bytes than 8-bit ones that continue."""
        return 2 * self._count(0xFF) > 3 * self._count(0xFFFF)

    @cached_property
    def nibble(self) -> bool:
        """Whether two distances share a byte."""
        if not self.lean or self.dense or self.grid is None or self.grid.taps > 1:
            return False
        longer = min(2 * self._count(0xFF), 3 * self._count(0xFFFF))
        return self._pairs <= _MOST_PAIRS and 3 * self._pairs < longer

    def instructions(self, words: int = TILE) -> int:
        """Of the inner loop for one tile of so many words."""
        if self.dense and self.grid is not None:
            return self.grid.instructions(words)
        if self.nibble:
            return 2 * (6 + words) * self._pairs + 3 * -(-self._pairs // _PAIRS_A_PASS) + 5
        return self._sparse_instructions(words)

    def _sparse_instructions(self, words: int = TILE) -> int:
        entries = self._count(0xFFFF if self.wide else 0xFF)
        return (5 + words) * entries + 2 * -(-entries // _PASS)

    def bounds(self, zero_point: int) -> tuple[int, int]:
        """The least and the greatest sum of weight * (activation - zero_point)."""
        positive = int(self.weights[self.weights > 0].sum())
        negative = int(self.weights[self.weights < 0].sum())
        low, high = -128 - zero_point, 127 - zero_point
        return positive * low + negative * high, positive * high + negative * low

    def start(self, bias: int, zero_point: int) -> int:
        """Both lanes' start: bias, minus what zero point and the low lane's +128 add."""
        total = int(self.weights.sum())
        return bias - (zero_point + 128) * total + ((bias - zero_point * total) << 24)

    def encode(self) -> tuple[int, int, bytes]:
        """Passes, kind of entries and the entries."""
        if self.dense and self.grid is not None:
            return self._encode_grid(self.grid)
        if self.nibble:
            return self._encode_nibbles()
        wide = self.wide
        longest, dtype = (0xFFFF, _WIDE_DTYPE) if wide else (0xFF, _NARROW_DTYPE)
        found = self._listed(self._distances, longest, dtype)
        passes = -(-len(found) // _PASS)
        skipped = passes * _PASS - len(found)
        kind = EMPTY if not len(found) else skipped + (WIDE if wide else NARROW)
        return passes, kind, found.tobytes()

    def _listed(
        self, distances: NDArray[np.int64], longest: int, dtype: np.dtype[np.void]
    ) -> NDArray[np.void]:
        """Entries; those of weight 0 only move on."""
        more = np.maximum(distances - 1, 0) // longest
        ends = np.cumsum(more + 1) - 1
        found: NDArray[np.void] = np.zeros(len(more) + int(more.sum()), dtype)
        found["distance"] = longest
        found["distance"][ends] = distances - more * longest
        found["weight"][ends] = self.weights
        return found

    def _encode_nibbles(self) -> tuple[int, int, bytes]:
        entries = self._listed(self._groups, _LONGEST_NIBBLE, _NARROW_DTYPE)
        if len(entries) % 2:
            entries = np.concatenate([np.zeros(1, _NARROW_DTYPE), entries])
        found = np.zeros(len(entries) // 2, _NIBBLES_DTYPE)
        found["distances"] = entries["distance"][::2] | entries["distance"][1::2] << 4
        found["weights"] = entries["weight"].reshape(-1, 2)
        return len(found), NIBBLE + -len(found) % _PAIRS_A_PASS, found.tobytes()

    def _encode_grid(self, grid: Grid) -> tuple[int, int, bytes]:
        weights = np.zeros((grid.groups, grid.taps), np.int8)
        weights[self.positions // grid.words, self.positions % grid.words] = self.weights
        kind = (DENSE1, DENSE2, DENSE3)[grid.taps - 1] + -grid.groups % grid.groups_a_pass
        return 0, kind, weights.tobytes()

    @cached_property
    def _entries(self) -> int:
        if self.nibble:
            return 2 * self._pairs
        return self._count(0xFFFF if self.wide else 0xFF)

    @cached_property
    def _distances(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.positions.copy()
        found[1:] -= self.positions[:-1]
        return found

    @property
    def _groups(self) -> NDArray[np.int64]:
        """Distances in groups of a grid of one tap."""
        assert self.grid is not None
        return self._distances // self.grid.words

    @cached_property
    def _pairs(self) -> int:
        """Pairs of entries with 4-bit distances."""
        more = np.maximum(self._groups - 1, 0) // _LONGEST_NIBBLE
        return -(-(len(self.weights) + int(more.sum())) // 2)

    @cached_property
    def _longest(self) -> int:
        return int(self._distances.max(initial=0))

    def _count(self, longest: int) -> int:
        if self._longest <= longest:
            return len(self.weights)
        more = np.maximum(self._distances - 1, 0) // longest
        return len(self.weights) + int(more.sum())


_NOTHING = Channel(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Scale:
    """What one output channel's sums become.

    Attributes:
        bias: Added to the sum.
        zero_point: Of the input.
        multiplier: Of the output's scale.
        shift: Of the output's scale, positive to the left.
    """

    bias: int
    zero_point: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class Record:
    """One record of the stream.

    Attributes:
        channel: Weights; all of an output channel's, or some in the plain form.
        start: Of the accumulators.
        scaling: The bytes after the weights.
    """

    channel: Channel
    start: int
    scaling: bytes

    def encode(self) -> bytes:
        """The record's bytes."""
        passes, kind, entries = self.channel.encode()
        start = self.start & 0xFFFFFFFF, self.start >> 32
        return _HEADER.pack(*start, passes, kind) + entries + self.scaling


def short_record(channel: Channel, scale: Scale) -> Record | None:
    """A record that is scaled in the tile, or None where that would not be exact."""
    if not len(channel.weights):
        return _constant_record(scale)
    low, high = channel.bounds(scale.zero_point)
    inside = scale.bias + low >= -LANE and scale.bias + high < LANE
    if not inside or not channel.fits or (scale.shift > -2 and scale.multiplier != 0):
        return None
    factor, shift = 2 * scale.multiplier - (1 << 32), 32 + scale.shift
    if scale.multiplier == 0:
        factor, shift = 0, _NO_DIVISOR
    start = channel.start(scale.bias, scale.zero_point)
    return Record(channel, start, _SCALING.pack(shift, factor)) if start in _STARTS else None


def _constant_record(scale: Scale) -> Record:
    """No weights: a sum that the factor 1/2 and the divisor 16 make what the bias alone gives."""
    bias = np.array([scale.bias])
    scaled = multiply_by_quantized_multiplier(bias, scale.multiplier, scale.shift)
    output = int(np.clip(scaled, -512, 512)[0])  # beyond every clamp, whatever the zero point
    start = _NOTHING.start(32 * output, 0)
    return Record(_NOTHING, start, _SCALING.pack(28, -(1 << 31)))


def plain_records(channel: Channel, scale: Scale) -> list[Record]:
    """Records whose sums each fit the low lane, centred in it; C adds them and the bias's rest."""
    sizes = np.cumsum(np.abs(channel.weights))
    parts: list[Channel] = []
    first = 0
    while first < len(sizes) or not parts:
        before = int(sizes[first - 1]) if first else 0
        # The first weight whose sum with those before it, times 255, would leave the lane.
        after = int(np.searchsorted(sizes, before + -(-2 * LANE // 255)))
        after = min(max(after, first + 1), first + _MOST_WEIGHTS)
        parts.append(Channel(channel.positions[first:after], channel.weights[first:after]))
        first = after
    records, bias = [], scale.bias
    for index, part in enumerate(parts):
        centre = -(sum(part.bounds(scale.zero_point)) // 2)
        bias -= centre
        more = index + 1 < len(parts)
        rest = 0 if more else (bias + 2**31) % 2**32 - 2**31
        start = part.start(centre, scale.zero_point)
        records.append(Record(part, start, _SUM.pack(scale.multiplier, scale.shift, more, rest)))
    return records


def encode(records: list[Record]) -> bytes:
    """The whole stream."""
    return b"".join(record.encode() for record in records) + _HEADER.pack(0, 0, 0, END)


def decode(stream: bytes, form: int, words: int, dense_weights: int) -> list[Channel]:
    """The channels of a stream, split ones whole again.

    Args:
        stream: The whole stream.
        form: Of the layer.
        words: From group to group of the dense kinds, and of 4-bit distances.
        dense_weights: Of a record of the dense kinds.
    """
    channels: list[Channel] = []
    found: list[tuple[int, int]] = []
    at = 0
    while True:
        _, _, passes, kind = _HEADER.unpack_from(stream, at)
        if kind == END:
            return channels
        at += _HEADER.size
        if kind >= NIBBLE:
            pairs = np.frombuffer(stream, _NIBBLES_DTYPE, passes, at)
            steps = np.stack([pairs["distances"] & 15, pairs["distances"] >> 4], 1)
            places = zip(np.cumsum(steps).tolist(), pairs["weights"].reshape(-1), strict=True)
            found += [(group * words, int(w)) for group, w in places if w]
            at += passes * _NIBBLES_DTYPE.itemsize
            kind = EMPTY
        elif kind >= DENSE3:
            weights = np.frombuffer(stream, np.int8, dense_weights, at).tolist()
            taps = 3 if kind < DENSE1 else 1 if kind < DENSE2 else 2
            found += [(i // taps * words + i % taps, w) for i, w in enumerate(weights) if w]
            at += dense_weights
            kind = EMPTY
        count = 0 if kind == EMPTY else passes * _PASS - kind % _PASS
        entry = _WIDE_ENTRY if kind >= WIDE else _NARROW_ENTRY
        position = 0
        for distance, weight in entry.iter_unpack(stream[at : at + count * entry.size]):
            position += distance
            if weight:
                found.append((position, weight))
        at += count * entry.size
        more = form == PLAIN and bool(_SUM.unpack_from(stream, at)[2])
        at += (_SUM if form == PLAIN else _SCALING).size
        if not more:
            array = np.array(found, np.int64).reshape(-1, 2)
            channels.append(Channel(array[:, 0], array[:, 1]))
            found = []
