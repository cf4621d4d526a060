"""Two output pixels per 32-bit accumulator: convolutions on cores without DSP (src/lanes.h).

Every output channel becomes a record and groups of weights whose sums stay inside half a word. A
channel whose scale the short arithmetic cannot express puts the whole layer into the plain form,
whose sums C scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing import lanes_stream as stream
from fedtiny.runtime.packing.lanes_stream import Channel, Scale
from fedtiny.runtime.packing.pairs_layout import Layout, nonzeros, unpacked

MAX_WINDOW_BYTES = 1 << 18

_CHUNKS = (1, 2, 3, 4, 6, 8, 16)
_WORD_COST, _ENTRY_COST = 5, 12  # instructions; only for choosing the chunk


class LanesLayout(Layout):
    """The window of rows that are cut into tiles of three words, and at their end of two."""

    @property
    def least_span(self) -> int:
        """Words that the window must hold of a channel where joined rows have few pixels."""
        return 3 * self.chunk_tiles

    @property
    def twos(self) -> int:
        """Tiles of two words."""
        return 1 if self.pairs == 1 else -self.pairs % 3

    @property
    def threes(self) -> int:
        """Tiles of three words, which come first."""
        return 0 if self.pairs == 1 else (self.pairs - 2 * self.twos) // 3

    @property
    def tiles(self) -> int:
        """Tiles of a row."""
        return self.threes + self.twos

    def tile_start(self, tile: int) -> int:
        """First word of a tile."""
        return 3 * tile - max(tile - self.threes, 0)

    def tile_words(self, tile: int) -> int:
        """Words of a tile."""
        return self.tile_start(tile + 1) - self.tile_start(tile)


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding, dilation and groups whose window fits a quarter of a megabyte."""
    if not geometry.is_image(node, graph) or graph[node.output].dtype != "int8":
        return False
    window = geometry.window(node, graph)
    return window.fits() and LanesLayout(window, 1, 1).words * 4 <= MAX_WINDOW_BYTES


def contract(node: Node, graph: Graph, rows: int = 1) -> RowContract:
    """Some output rows a step; one whose window is filled once may overwrite dying input rows."""
    plan = _Plan.of(node, graph, rows)
    layout, window = plan.layout, plan.layout.window
    reach = (rows - 1) * window.stride_h + window.reach_h
    reads = Access(node.inputs[0], reach, rows * window.stride_h, -window.pad_top)
    return RowContract(
        (reads,),
        Access(node.output, rows, rows),
        layout.steps,
        scratch_bytes=plan.scratch_bytes(),
        overlap="any" if rows == 1 and layout.chunk_tiles >= layout.tiles else "none",
    )


def pack(node: Node, graph: Graph, rows: int = 1) -> Packed:
    """Records and groups."""
    plan = _Plan.of(node, graph, rows)
    layout, window = plan.layout, plan.layout.window
    params = window.params("in_w", "in_c", "out_w", "out_c", "kernel_h", "dilation_h")
    params |= window.params("stride_h", "stride_w", "pad_left", "reach_w")
    params |= geometry.clamp(node, graph) | geometry.zero_points(node, graph)
    params |= {
        "window_words": layout.words,
        "sums_bytes": plan.sums_bytes(),
        "phase_words": layout.phase_words,
        "chunk_tiles": layout.chunk_tiles,
        "dense_weights": 0,
        "rows": rows,
        "joined": int(layout.joined),
        "padded": int(layout.padded),
        "form": 0,
    }
    zero_point = zero_point_of(graph, node.inputs[0])
    data = np.frombuffer(stream.encode(plan.channels, plan.scales, zero_point), np.uint8)
    weights = sum(len(channel.weights) for channel in plan.channels)
    comment = f"{window.out_c} records of 12 bytes, groups of {weights} weights"
    parts = {"pairs_joined"} if layout.joined else set()
    if clamp_limits(node, graph) != (-128, 127):
        parts.add("pairs_clamp")
    return Packed(params, (Constant("stream", data, comment),), frozenset(parts))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    rows, chunk = (int(packed.params[name]) for name in ("rows", "chunk_tiles"))
    layout = LanesLayout(geometry.window(node, graph), rows, chunk)
    channels = stream.decode(packed.constants[0].array.tobytes(), layout.window.out_c)
    return unpacked(node, layout, graph[node.inputs[1]].shape, channels)


def features(node: Node, graph: Graph, rows: int = 1) -> dict[str, float]:
    """What one inference executes.

    Entries, groups and records by the words of their tiles, those of outputs of any sign, sums of
    the plain form, those whose scale shifts left, sums always scaled in full where half the
    precision is tried first, what packing takes (`Layout.packing_features`), tiles, outputs
    clamped afterwards, staged in words and alone, passes over rows, steps.
    """
    plan = _Plan.of(node, graph, rows)
    window = plan.layout.window
    row = window.out_w * window.out_c
    threes = twos = passed = staged = 0
    for steps, part in plan.layout.parts():
        passes = steps * (1 if plan.layout.joined else part.rows)
        passed += passes
        threes += passes * part.threes
        twos += passes * part.twos
        waste = part.pairs == 1 and not plan.plain
        staged += steps * part.rows * waste
    entries = sum(len(group) for channel in plan.channels for group in channel.groups)
    groups = sum(len(channel.groups) for channel in plan.channels)
    exact = sum(-scale.shift < stream.LEAST_RIGHT_OF_HALF for scale in plan.scales)
    clamped = clamp_limits(node, graph) != (-128, 127) and not plan.plain
    signed = clamp_limits(node, graph)[0] < zero_point_of(graph, node.output)
    sums = (6 * threes + 4 * twos) * plan.plain
    return {
        "entries3": threes * entries,
        "entries2": twos * entries,
        "groups3": threes * groups,
        "groups2": twos * groups,
        "records3": threes * window.out_c,
        "records2": twos * window.out_c,
        "signed3": threes * window.out_c * signed,
        "signed2": twos * window.out_c * signed,
        "sums": sums * window.out_c,
        "exact": (6 * threes + 4 * twos) * exact * (not plan.plain),
        "left_sums": sums * geometry.left_shifts(node, graph),
        **plan.layout.packing_features(),
        "tiles": threes + twos,
        "clamped": window.out_h * row * clamped,
        "staged_words": staged * (row // 4),
        "staged": staged * (row % 4),
        "passes": passed,
        "rows": window.out_h,
        "steps": plan.layout.steps,
    }


@dataclass(frozen=True)
class _Plan:
    """How a node is packed."""

    layout: LanesLayout
    channels: list[Channel]
    scales: list[Scale]
    plain: bool

    def sums_bytes(self) -> int:
        """What the tiles of the plain form store."""
        return 6 * 4 * self.layout.window.out_c if self.plain else 0

    def scratch_bytes(self) -> int:
        """The window, a pixel of padding, sums, and rows that tiles must not write in place."""
        window = self.layout.window
        staged = 0
        for _, part in self.layout.parts():
            if self.layout.joined:
                staged = max(staged, part.rows * window.out_w)
            if part.pairs == 1 and not self.plain:
                staged = max(staged, part.width + 1)  # a second word is computed
        pixel = -(-window.in_c // 4) * 4
        return self.layout.words * 4 + pixel + self.sums_bytes() + staged * window.out_c

    @staticmethod
    def of(node: Node, graph: Graph, rows: int) -> _Plan:
        """Choose the chunk and the form."""
        layout, channels = _choose_chunk(node, graph, rows)
        scales = _scales(node, graph)
        zero_point = zero_point_of(graph, node.inputs[0])
        short = [stream.is_short(c, s, zero_point) for c, s in zip(channels, scales, strict=True)]
        return _Plan(layout, channels, scales, not all(short))


def _choose_chunk(node: Node, graph: Graph, rows: int) -> tuple[LanesLayout, list[Channel]]:
    """The chunk of the fewest instructions: less packing against fewer long distances."""
    window, weights = geometry.window(node, graph), geometry.weights_of(node, graph)
    tiles = LanesLayout(window, rows, 1).tiles
    best: tuple[float, LanesLayout, list[Channel]] | None = None
    for chunk in sorted({min(tiles, n) for n in (*_CHUNKS, tiles)}):
        layout = LanesLayout(window, rows, chunk)
        if chunk > 1 and layout.words * 4 > MAX_WINDOW_BYTES:
            break
        channels = [Channel(*found) for found in nonzeros(node, layout, weights)]
        words = layout.kernel_rows() * window.in_c * layout.columns()
        loop = _ENTRY_COST * sum(channel.count() for channel in channels) * tiles
        cost = _WORD_COST * words + loop * (1 if layout.joined else rows)
        if best is None or cost < best[0]:
            best = cost, layout, channels
    assert best is not None
    return best[1:]


def _scales(node: Node, graph: Graph) -> list[Scale]:
    multipliers, shifts = conv_multipliers(node, graph)
    bias = np.zeros(len(multipliers), np.int64)
    if len(node.inputs) > 2:
        bias = graph[node.inputs[2]].value.astype(np.int64).reshape(-1)
    found = zip(bias.tolist(), multipliers.tolist(), shifts.tolist(), strict=True)
    return [Scale(*one) for one in found]
