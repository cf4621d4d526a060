"""Which weight meets which number: offsets of a convolution's taps in the lanes' layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedtiny.training_engine.trace import Convolution, Pair, Tensor

Ints = npt.NDArray[np.int32]
GROUP, TAPS = 4, 3
"""Output channels and taps of a dense tile, as in the C sources."""


@dataclass(frozen=True)
class Layout:
    """Of an activation in memory, in floats.

    Attributes:
        step: From a position to the next, the number of lanes.
        row: From a row to the next.
        plane: From a channel to the next.
        block: From a block of samples to the next.
        origin: Of the first position inside of the borders.
    """

    step: int
    row: int
    plane: int
    block: int
    origin: int

    @staticmethod
    def of(tensor: Tensor, lanes: int, border: Pair | None = None) -> Layout:
        """Of a tensor, or of a copy of it with another border."""
        by, bx = tensor.border if border is None else border
        row = (tensor.width + 2 * bx) * lanes
        plane = (tensor.height + 2 * by) * row
        return Layout(lanes, row, plane, tensor.channels * plane, by * row + bx * lanes)


@dataclass(frozen=True)
class Grid:
    """Positions, see `grid` in `c/layers.h`."""

    rows: int
    width: int
    row_step: int
    step: int


@dataclass(frozen=True)
class Gather:
    """Weights over a grid, see `gather` in `c/layers.h`.

    Attributes:
        starts: None where dense.
        offsets: Of nonzeros, or of taps.
        source: Of each weight its place in the parameter; -1 is a zero.
        outputs: Channels that it makes.
        target: First position in the target.
        plane: Of the target.
        source_grid: What is read.
        target_grid: What is made.
    """

    starts: Ints | None
    offsets: Ints
    source: Ints
    outputs: int
    target: int
    plane: int
    source_grid: Grid
    target_grid: Grid


class Taps:
    """A convolution's weights, active ones first of all.

    Attributes:
        of: The convolution.
        active: Flat indices of the active weights, ascending; None where dense.
        scratch_border: Zeros that its output's gradient needs around it.
    """

    def __init__(self, of: Convolution, mask: npt.NDArray[np.bool_] | None, lanes: int) -> None:
        self.of, self._lanes = of, lanes
        kernel_y, kernel_x = of.kernel
        self._inputs = of.source.channels // of.groups
        self._shape = (of.target.channels, self._inputs, kernel_y, kernel_x)
        self.active = None if mask is None else np.flatnonzero(mask)
        places = np.arange(np.prod(self._shape)) if self.active is None else self.active
        self._output, within, self._y, self._x = np.unravel_index(places, self._shape)
        group = self._output // (of.target.channels // of.groups)
        self._input = group * self._inputs + within
        self._in = Layout.of(of.source, lanes)
        self.scratch_border = (0, 0) if of.is_linear else self._scratch_border()

    def forward(self) -> Gather:
        """What makes the output."""
        of, layout = self.of, self._in
        target = Layout.of(of.target, self._lanes)
        y = self._y * of.dilation[0] - of.pad[0]
        x = self._x * of.dilation[1] - of.pad[1]
        offsets = layout.origin + self._input * layout.plane + y * layout.row + x * layout.step
        height, width = of.target.height, of.target.width
        if of.is_linear:
            grids = Grid(1, 0, 0, layout.block), Grid(1, 0, 0, target.block)
        else:
            grids = (
                Grid(height, width, of.stride[0] * layout.row, of.stride[1] * layout.step),
                Grid(height, width, target.row, target.step),
            )
        outputs = of.target.channels
        if self.active is not None:
            starts = np.searchsorted(self._output, np.arange(outputs + 1))
            source = np.arange(len(self.active))
        else:
            starts, taps = None, int(np.prod(self._shape[1:]))
            offsets = offsets[:taps]
            source = _grouped(np.arange(offsets.size * outputs).reshape(outputs, taps))
        return _gather(starts, offsets, source, outputs, target.origin, target.plane, *grids)

    def input_taps(self) -> Ints:
        """Dense: offsets of all taps, as many as whole tiles have; what fills up repeats."""
        offsets = self.forward().offsets
        return np.concatenate([offsets, np.repeat(offsets[-1:], -len(offsets) % TAPS)])

    def backward(self) -> Iterator[Gather]:
        """What makes the input's gradient, and a sparse weight's: one a phase of positions."""
        of, lanes = self.of, self._lanes
        made = Layout.of(of.target, lanes, self.scratch_border)
        inner = self._in
        for py, px, y, x, here in self._phases():
            rows = -(-(of.source.height - py) // of.stride[0])
            width = -(-(of.source.width - px) // of.stride[1])
            if rows < 1 or width < 1:
                continue
            offsets = made.origin + self._output[here] * made.plane
            offsets = offsets + y * made.row + x * made.step
            if of.is_linear:
                grids = Grid(1, 0, 0, made.block), Grid(1, 0, 0, inner.block)
            else:
                grids = (
                    Grid(rows, width, made.row, made.step),
                    Grid(rows, width, of.stride[0] * inner.row, of.stride[1] * inner.step),
                )
            target = inner.origin + py * inner.row + px * inner.step
            places, inputs = np.flatnonzero(here), of.source.channels
            if self.active is not None:
                order = np.argsort(self._input[here], kind="stable")
                starts = np.searchsorted(self._input[here][order], np.arange(inputs + 1))
                offsets, source = offsets[order], places[order]
            else:
                order = np.lexsort((places, self._input[here]))
                taps = len(places) // inputs
                starts, offsets = None, offsets[order][:taps]
                source = _grouped(places[order].reshape(inputs, taps))
            yield _gather(starts, offsets, source, inputs, target, inner.plane, *grids)

    def _phases(self) -> Iterator[tuple[int, int, Ints, Ints, npt.NDArray[np.bool_]]]:
        """Of each phase: its first row and column, and of its taps the output's offsets."""
        of = self.of
        for py in range(of.stride[0]):
            for px in range(of.stride[1]):
                y = py + of.pad[0] - self._y * of.dilation[0]
                x = px + of.pad[1] - self._x * of.dilation[1]
                here = (y % of.stride[0] == 0) & (x % of.stride[1] == 0)
                yield py, px, y[here] // of.stride[0], x[here] // of.stride[1], here

    def _scratch_border(self) -> Pair:
        of, need = self.of, [0, 0]
        for py, px, y, x, _ in self._phases():
            for axis, (first, shifts, size, made) in enumerate(
                (
                    (py, y, of.source.height, of.target.height),
                    (px, x, of.source.width, of.target.width),
                )
            ):
                count = -(-(size - first) // of.stride[axis])
                if len(shifts) and count > 0:
                    last = count - 1 + int(shifts.max())
                    need[axis] = max(need[axis], -int(shifts.min()), last - made + 1)
        return need[0], need[1]


def _grouped(indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`(channels, taps)` as `(channels / GROUP, taps, GROUP)`, -1 where there is no channel."""
    channels, taps = indices.shape
    filled = np.full((-(-channels // GROUP) * GROUP, taps), -1)
    filled[:channels] = indices
    return filled.reshape(len(filled) // GROUP, GROUP, taps).transpose(0, 2, 1).reshape(-1)


def _gather(
    starts: npt.NDArray[np.int64] | None,
    offsets: npt.NDArray[np.int64],
    source: npt.NDArray[np.int64],
    outputs: int,
    target: int,
    plane: int,
    source_grid: Grid,
    target_grid: Grid,
) -> Gather:
    return Gather(
        None if starts is None else starts.astype(np.int32),
        offsets.astype(np.int32),
        source.astype(np.int32),
        outputs,
        target,
        plane,
        source_grid,
        target_grid,
    )
