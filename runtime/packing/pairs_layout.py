"""Where the two-pixel kernels keep the input columns of output rows (see src/pairs.h)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Node
from fedtiny.runtime.packing import geometry

TILE = 4
"""Words of a tile, each of two pixels, unless a row has three."""

PACKING_FEATURES = (
    *("fills", "phases", "runs", "runs_inside", "columns", "columns_odd"),
    *("eights", "fours", "words_odd", "moves", "moved", "moved_rest"),
)
"""What `Layout.packing_features` counts."""


@dataclass(frozen=True)
class Layout:
    """The window in scratch: words in the order (kernel row, channel, phase, column of a phase).

    Attributes:
        window: The node's geometry.
        rows: Output rows of a step.
        chunk_tiles: Tiles that share one filling of the window.
    """

    window: geometry.Window
    rows: int
    chunk_tiles: int

    @property
    def joined(self) -> bool:
        """Whether the rows of a step are one row: several, of a kernel of one tap, unpadded."""
        w = self.window
        one_tap = (w.kernel_h, w.kernel_w, w.pad_left) == (1, 1, 0)
        return self.rows > 1 and one_tap and (w.out_w - 1) * w.stride_w < w.in_w

    @property
    def width(self) -> int:
        """Pixels of a row, or of the joined rows."""
        return self.window.out_w * (self.rows if self.joined else 1)

    @property
    def pairs(self) -> int:
        """Words of a row."""
        return -(-self.width // 2)

    @property
    def tile(self) -> int:
        """Words of a tile; rows of one or two words fill one with waste."""
        return 3 if self.pairs == 3 else TILE

    @property
    def padded(self) -> bool:
        """Whether the window holds pixels outside the image; so do words past a row's end."""
        w = self.window
        low = (w.out_h - 1) * w.stride_h + w.reach_h - w.pad_top
        if w.pad_top > 0 or w.pad_left > 0 or low > w.in_h:
            return True
        words = max(self.tile_start(t) + self.tile_words(t) for t in range(self.tiles))
        right = (words - 1 + self.width - self.pairs) * w.stride_w + w.reach_w
        return not self.joined and right > w.in_w

    @property
    def tile_sums(self) -> int:
        """Sums that a tile scales: rows of five pixels have one of them in two words."""
        return self.width if self.tile < TILE else 2 * TILE

    def tile_pixels(self, tile: int) -> int:
        """Pixels of a tile that lie in the row."""
        first = self.tile_start(tile)
        words = range(first, first + self.tile)
        return sum((x < self.width) + (x + self.width - self.pairs < self.width) for x in words)

    @property
    def least_span(self) -> int:
        """Words that the window must hold of a channel where joined rows have few pixels."""
        return TILE  # the last step may have so few that they waste a whole tile

    @property
    def tiles(self) -> int:
        """Tiles of a row, the last one overlapping its neighbour."""
        return -(-self.pairs // TILE)

    def tile_start(self, tile: int) -> int:
        """First word of a tile; one past the last tile is the row's end."""
        return min(tile * TILE, max(self.pairs - TILE, 0))

    def tile_words(self, tile: int) -> int:
        """Words of a tile."""
        return self.tile

    @property
    def phases(self) -> int:
        """Columns are kept apart by their remainder under the stride."""
        return min(self.window.stride_w, self.window.reach_w)

    @property
    def phase_words(self) -> int:
        """Words of one phase of one channel."""
        span = self._span(0, self.chunk_tiles)
        if self.joined:
            span = max(span, self.least_span)
        return span + (self.window.reach_w - 1) // self.window.stride_w

    @property
    def plane(self) -> int:
        """Words of one channel."""
        return self.phases * self.phase_words

    @property
    def words(self) -> int:
        """Words of the window."""
        return self.window.kernel_h * self.window.in_c * self.plane

    @property
    def row_advance(self) -> int:
        """Kernel rows that are new to the window of every output row of a step but the first."""
        w = self.window
        return min(w.stride_h, w.kernel_h) if w.dilation_h == 1 else w.kernel_h

    @property
    def steps(self) -> int:
        """Steps of an inference; the last may make fewer rows."""
        return -(-self.window.out_h // self.rows)

    def parts(self) -> Iterator[tuple[int, Self]]:
        """How many steps there are of how many rows."""
        full, rest = divmod(self.window.out_h, self.rows)
        if full:
            yield full, self
        if rest:
            yield 1, replace(self, rows=rest)

    def spans(self) -> list[int]:
        """The words of a row that each filling of the window serves."""
        firsts = range(0, self.tiles, self.chunk_tiles)
        return [self._span(first, min(first + self.chunk_tiles, self.tiles)) for first in firsts]

    def columns(self) -> int:
        """Columns, of one kernel row and channel, that are packed for one row."""
        reach, stride = self.window.reach_w, self.window.stride_w
        more = sum((reach - 1 - phase) // stride for phase in range(self.phases))
        return sum(self.phases * words + more for words in self.spans())

    def runs(self) -> int:
        """Pieces in which one kernel row inside the image, or all joined rows, are packed."""
        w, partner, runs = self.window, self.width - self.pairs, 0
        for index, span in enumerate(self.spans()):
            first = self.tile_start(index * self.chunk_tiles)
            if self.joined:
                ends = np.arange(0, self.width, w.out_w)
                cuts = np.unique(np.concatenate([ends, ends - partner]))
                runs += 1 + int(np.count_nonzero((cuts > first) & (cuts < first + span)))
                continue
            for phase in range(self.phases):
                x = first * w.stride_w + phase - w.pad_left
                at = x + np.arange(span + (w.reach_w - 1 - phase) // w.stride_w) * w.stride_w
                other = at + partner * w.stride_w
                kinds = np.searchsorted([0, w.in_w], np.stack([at, other]), "right")
                runs += 1 + int(np.count_nonzero(np.diff(kinds).any(axis=0)))
        return runs

    def packing_features(self) -> dict[str, float]:
        """What filling the window executes in one inference.

        Fillings; phases of kernel rows, inside and outside the image; runs of alike columns, those
        that were looked for inside the image; columns, and their channels eight, four and one at a
        time (`odd`: channels not a multiple of 4); moves of rows that stay, words moved, and those
        that are left of eights.
        """
        w, count = self.window, dict.fromkeys(PACKING_FEATURES, 0)
        odd = w.in_c % 4 != 0
        for steps, part in self.parts():
            chunks, passes = len(part.spans()), 1 if part.joined else part.rows
            kept = 0 if part.joined else w.kernel_h - part.row_advance
            count["fills"] += steps * passes * chunks
            moves = steps * (passes - 1) * chunks * (kept > 0)
            words = kept * w.in_c * part.plane
            count["moves"] += moves
            count["moved"] += moves * words
            count["moved_rest"] += moves * (words % 8)
            packed, runs = steps * part.kernel_rows(), part.runs()
            inside = packed if part.joined else self._inside(steps, part)
            if part.joined:
                packed = inside = steps
            count["phases"] += packed * part.phases * chunks
            count["runs_inside"] += inside * runs
            count["runs"] += inside * runs + (packed - inside) * part.phases * chunks
            columns = packed * part.columns()
            count["columns_odd" if odd else "columns"] += columns
            if odd:
                count["words_odd"] += columns * w.in_c
            else:
                count["eights"] += columns * (w.in_c // 8)
                count["fours"] += columns * (w.in_c // 4 % 2)
        return dict(count)

    def _inside(self, steps: int, part: Layout) -> int:
        """Kernel rows packed in a kind of steps that lie inside the image."""
        w = self.window
        first = 0 if part.rows == self.rows else self.steps - 1
        found = 0
        for step in range(first, first + steps):
            for row in range(part.rows):
                top = (step * self.rows + row) * w.stride_h - w.pad_top
                kept = 0 if row == 0 else w.kernel_h - part.row_advance
                at = top + np.arange(kept, w.kernel_h) * w.dilation_h
                found += int(np.count_nonzero((at >= 0) & (at < w.in_h)))
        return found

    def kernel_rows(self) -> int:
        """Kernel rows that one step packs in each chunk."""
        later = 0 if self.joined else self.rows - 1
        return self.window.kernel_h + later * self.row_advance

    def position(
        self, ky: NDArray[np.int64], kx: NDArray[np.int64], channel: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Where in the window, in words, taps read for the first word of a tile."""
        column = kx * self.window.dilation_w
        phase, rest = column % self.window.stride_w, column // self.window.stride_w
        at = (ky * self.window.in_c + channel) * self.phases + phase
        return at * self.phase_words + rest

    def _span(self, first: int, end: int) -> int:
        """Words from a tile's first to the last of the tile before `end`."""
        return self.tile_start(end - 1) + self.tile_words(end - 1) - self.tile_start(first)


def by_channel(
    node: Node, layout: Layout, weights: NDArray[np.generic]
) -> list[NDArray[np.generic]]:
    """Views `(kernel_h, kernel_w, in)` of the weights of every output channel."""
    if node.op == "depthwise_conv2d":
        return [weights[0, :, :, c : c + 1] for c in range(layout.window.out_c)]
    return list(weights)


def positions(node: Node, layout: Layout, weights: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    """Of every output channel, where in the window its weights' inputs are."""
    window = layout.window
    depth = 1 if node.op == "depthwise_conv2d" else weights.shape[3]
    group_out = window.out_c // window.groups
    ky, kx, channel = np.indices((window.kernel_h, window.kernel_w, depth), np.int64)
    first_group = layout.position(ky, kx, channel)
    groups = [first_group + g * depth * layout.plane for g in range(window.groups)]
    return [groups[c // group_out] for c in range(window.out_c)]


def nonzeros(
    node: Node, layout: Layout, weights: NDArray[np.generic]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of every output channel, the positions of its nonzero weights, ascending, and the weights."""
    views, places = by_channel(node, layout, weights), positions(node, layout, weights)
    order, ordered, last = np.zeros(0, np.int64), np.zeros(0, np.int64), None
    for view, place in zip(views, places, strict=True):
        if place is not last:  # channels of a group share theirs
            order = np.argsort(place, axis=None)
            ordered, last = place.reshape(-1)[order], place
        values = view.reshape(-1)[order]
        present = np.flatnonzero(values)
        yield ordered[present], values[present].astype(np.int64)


def unpacked(
    node: Node,
    layout: Layout,
    shape: tuple[int, ...],
    channels: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> NDArray[np.generic]:
    """The dense weights of what `nonzeros` gave."""
    dense = np.zeros(shape, np.int8)
    views, places = by_channel(node, layout, dense), positions(node, layout, dense)
    for view, place, (at, values) in zip(views, places, channels, strict=True):
        order = np.argsort(place, axis=None)
        found = order[np.searchsorted(place.reshape(-1)[order], at)]
        view[np.unravel_index(found, view.shape)] = values
    return dense
