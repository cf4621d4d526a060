"""Where the two-pixel kernels keep the input columns of an output row (see src/pairs.h)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.runtime.packing import geometry

TILE = 4
"""Words of a tile; each holds two pixels."""


@dataclass(frozen=True)
class Layout:
    """The window in scratch: words in the order (kernel row, channel, phase, column of a phase).

    Attributes:
        window: The node's geometry.
        chunk_tiles: Tiles that share one filling of the window.
    """

    window: geometry.Window
    chunk_tiles: int

    @property
    def pairs(self) -> int:
        """Words that an output row has."""
        return -(-self.window.out_w // 2)

    @property
    def tiles(self) -> int:
        """Tiles of an output row, the last one overlapping its neighbour."""
        return -(-self.pairs // TILE)

    @property
    def phases(self) -> int:
        """Columns are kept apart by their remainder under the stride."""
        return min(self.window.stride_w, self.window.reach_w)

    @property
    def phase_words(self) -> int:
        """Words of one phase of one channel."""
        return self._span(0, self.chunk_tiles) + (self.window.reach_w - 1) // self.window.stride_w

    @property
    def plane(self) -> int:
        """Words of one channel."""
        return self.phases * self.phase_words

    @property
    def words(self) -> int:
        """Words of the window."""
        return self.window.kernel_h * self.window.in_c * self.plane

    def chunks(self) -> Iterator[int]:
        """The words of output that each filling serves."""
        for tile in range(0, self.tiles, self.chunk_tiles):
            yield self._span(tile, min(tile + self.chunk_tiles, self.tiles))

    def columns_packed(self) -> int:
        """Columns, of one kernel row and channel, packed for one output row."""
        reach, stride = self.window.reach_w, self.window.stride_w
        more = sum((reach - 1 - phase) // stride for phase in range(self.phases))
        return sum(self.phases * words + more for words in self.chunks())

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
        last_start = max(self.pairs, TILE) - TILE
        return min((end - 1) * TILE, last_start) + TILE - min(first * TILE, last_start)
