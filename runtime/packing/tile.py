"""The tile of input that convolutions over nonzeros gather before they compute.

A tile is the input of a few neighbouring output pixels, channel planes first, so that one tap of
all these pixels is consecutive in memory: element `[ky][channel][phase][column]` is the input at
`column * stride_w + phase` columns from the tile's left end. With a stride, columns that belong
to neighbouring output pixels share a phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.runtime.packing.geometry import Window


@dataclass(frozen=True)
class Tile:
    """The shape of a tile.

    Attributes:
        phases: Phases of the stride that taps use.
        columns: Elements of one phase of one channel of one row.
        rows: Rows, one for each row of the kernel.
        channels: Channels of the input.
        slack: Elements that accumulators read behind the last one and do not use.
    """

    phases: int
    columns: int
    rows: int
    channels: int
    slack: int

    @property
    def scratch(self) -> int:
        """Elements to reserve."""
        return self.elements + self.slack

    @property
    def elements(self) -> int:
        """Elements of the whole tile."""
        return self.rows * self.channels * self.phases * self.columns


def tile(window: Window, lanes: int) -> Tile:
    """The tile of `lanes` consecutive columns of accumulators; no wider than the output."""
    used = min(lanes, window.out_w)
    columns = used + (window.reach_w - 1) // window.stride_w
    phases = min(window.stride_w, window.reach_w)
    return Tile(phases, columns, window.kernel_h, window.in_c, lanes - used)


def tap_offsets(window: Window, shape: Tile) -> NDArray[np.int64]:
    """Offset of every weight's first input in the tile, int64 `(out_c, kh * kw * in_c / groups)`.

    The order of the taps is that of OHWI weights.
    """
    group_in, group_out = window.in_c // window.groups, window.out_c // window.groups
    ky = np.arange(window.kernel_h)[:, None, None]
    column = (np.arange(window.kernel_w) * window.dilation_w)[None, :, None]
    channel = np.arange(window.in_c)[None, None, :]
    plane = (ky * window.in_c + channel) * shape.phases + column % window.stride_w
    offsets = plane * shape.columns + column // window.stride_w
    found = [
        offsets[:, :, o // group_out * group_in :][:, :, :group_in].reshape(-1)
        for o in range(window.out_c)
    ]
    return np.array(found, np.int64)


def gather_features(window: Window, shape: Tile, lanes: int) -> dict[str, float]:
    """What gathering the tiles of one inference executes, for tiles of `lanes` output pixels.

    Bytes set to padding, rows copied, columns looked at in them, those inside the image, channels
    copied four at a time and one at a time, columns with such a rest.
    """
    tops = np.arange(window.out_h)[:, None] * window.stride_h - window.pad_top
    rows = tops + np.arange(window.kernel_h) * window.dilation_h
    rows_inside = int(((rows >= 0) & (rows < window.in_h)).sum())
    lefts = np.arange(0, window.out_w, lanes)[:, None] * window.stride_w - window.pad_left
    steps = np.arange(shape.columns)[:, None] * window.stride_w + np.arange(shape.phases)
    columns = lefts + steps.reshape(-1)
    columns_inside = int(((columns >= 0) & (columns < window.in_w)).sum()) * rows_inside
    return {
        "tile_elements": window.out_h * len(lefts) * shape.elements,
        "tile_rows": rows_inside * len(lefts) * shape.phases,
        "tile_columns": rows_inside * columns.size,
        "columns_inside": columns_inside,
        "gathered_fours": columns_inside * (window.in_c // 4),
        "gathered": columns_inside * (window.in_c % 4),
        "rests": columns_inside * (window.in_c % 4 > 0),
    }
