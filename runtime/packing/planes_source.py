"""Where the taps of a convolution on padded channel planes read: the input itself, or scratch.

``direct``: output planes have the pitch of the input planes (stride 1, same size), so a tap is an
offset into the input. ``phases``: the kernel splits each input plane into one plane for every phase
of the stride, with the pitch of the output. ``columns``: for narrow outputs, where a column of
padding beside every image row fills much of the vectors, the kernel copies each input plane once
for every column of the window, without padding, and computes outputs without padding too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing.geometry import Window
from fedtiny.runtime.packing.layouts import VECTOR, planes

COLUMN_WIDTHS = (4, 8)
"""Widths of outputs for which the kernels know columns."""

Taps = NDArray[np.int64]

MOVED_ROW = 9.0
VECTOR_MAC = {1: 3.9, 4: 1.7}
"""Instructions of moving an image row, and of a vector times a weight by the bytes of an element
(on AArch64)."""


@dataclass(frozen=True)
class Source:
    """What one input plane becomes: `(top, left)` parts of `rows` rows.

    Attributes:
        mode: See above.
        top: Vertical phases of the stride; 0 for ``direct``.
        left: Horizontal phases, or columns of the window; 0 for ``direct``.
        rows: Of a part.
        pitch: Elements from row to row.
        part: Elements from part to part.
        plane: Elements from plane to plane.
        windows: Every tap has a part of its own, whose rows are those of the output (``columns``
            with as many phases as the window has rows).
    """

    mode: Literal["direct", "phases", "columns"]
    top: int
    left: int
    rows: int
    pitch: int
    part: int
    plane: int
    windows: bool = False

    def offset(self, w: Window, ky: Taps, kx: Taps) -> Taps:
        """Elements from tap 0 to a tap of the same input plane."""
        if self.mode == "direct":
            return ky * self.pitch + kx
        if self.windows:
            return (ky * self.left + kx) * self.part
        row = ky // w.stride_h * self.pitch
        top = ky % w.stride_h * self.left
        if self.mode == "columns":
            return (top + kx) * self.part + row
        return (top + kx % w.stride_w) * self.part + row + kx // w.stride_w


def source(node: Node, graph: Graph) -> Source:
    """The cheapest place for a node's taps."""
    w = geometry.window(node, graph)
    return columns(w) if _prefers_columns(w, node, graph) else padded(node, graph)


def columns(w: Window) -> Source:
    """One part for every column of the window, and every phase of its rows."""
    rows = w.out_h + (w.kernel_h - 1) // w.stride_h
    top, part = min(w.stride_h, w.kernel_h), rows * w.out_w
    return Source("columns", top, w.kernel_w, rows, w.out_w, part, top * w.kernel_w * part)


def padded(node: Node, graph: Graph) -> Source:
    """The input itself, or one part for every phase of the stride."""
    w = geometry.window(node, graph)
    rows = w.out_h + (w.kernel_h - 1) // w.stride_h
    if direct(w):
        before = planes(graph[node.inputs[0]])
        return Source("direct", 0, 0, rows, before.pitch, 0, before.plane)
    top, left, pitch = min(w.stride_h, w.kernel_h), min(w.stride_w, w.kernel_w), w.out_w + 1
    part = -(-(rows * pitch + VECTOR) // VECTOR) * VECTOR  # room for a row's last vector
    return Source("phases", top, left, rows, pitch, part, top * left * part)


def direct(w: Window) -> bool:
    """Whether taps can point into the input planes: pitches are equal, offsets are distinct."""
    same = (w.out_h, w.out_w, w.stride_h, w.stride_w) == (w.in_h, w.in_w, 1, 1)
    return same and w.kernel_w <= min(3, w.in_w + 1)


def compact_plane(w: Window) -> int:
    """Elements of an output plane without padding between its rows."""
    return -(-w.out_h * w.out_w // VECTOR) * VECTOR


def scratch_elements(node: Node, graph: Graph, found: Source) -> int:
    """Scratch for the parts of all input planes, and for compact outputs."""
    w = geometry.window(node, graph)
    if found.mode == "direct":
        return 0
    return compact_start(w, found) + (w.out_c * compact_plane(w) if found.mode == "columns" else 0)


def compact_start(w: Window, found: Source) -> int:
    """Element of the scratch behind the parts, where compact outputs begin."""
    return -(-w.in_c * found.plane // VECTOR) * VECTOR + 3 * VECTOR


def pixel_vectors(node: Node, graph: Graph, found: Source) -> int:
    """Vectors of 16 bytes of an output plane, as the kernels compute it."""
    w = geometry.window(node, graph)
    width = w.out_w + (found.mode != "columns")
    return -(-w.out_h * width * geometry.element_bytes(node, graph) // 16)


def moved_rows(w: Window) -> int:
    """Image rows that columns move: copies of the input, and outputs to their place."""
    found = columns(w)
    return w.in_c * found.top * found.rows * w.kernel_w + w.out_c * w.out_h


def _prefers_columns(w: Window, node: Node, graph: Graph) -> bool:
    if w.out_w not in COLUMN_WIDTHS:
        return False
    size = geometry.element_bytes(node, graph)
    wide, narrow = (-(-w.out_h * width * size // 16) for width in (w.out_w + 1, w.out_w))
    nonzeros = np.count_nonzero(geometry.weights_of(node, graph))
    return bool(VECTOR_MAC[size] * nonzeros * (wide - narrow) > MOVED_ROW * moved_rows(w))
