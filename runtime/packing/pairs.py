"""Two output pixels per accumulator: convolutions as streams of nonzero weights (src/pairs.h).

Every output channel becomes a record of the stream. Bias, input zero point and the low lane's +128
are folded into the accumulators' start value. A channel whose sums could leave the low lane's 24
bits, or whose scale the short arithmetic cannot express, puts the whole layer into the plain form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing import pairs_stream as stream
from fedtiny.runtime.packing.pairs_layout import TILE, Layout, nonzeros, unpacked
from fedtiny.runtime.packing.pairs_stream import PLAIN, RELU, SIGNED, Channel, Grid, Record, Scale

MAX_WINDOW_BYTES = 1 << 18

_CHUNKS = (1, 2, 3, 4, 6, 8, 16)
_WORD_COST = 4  # instructions; only for choosing the chunk


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding, dilation and groups whose window fits a quarter of a megabyte."""
    if not geometry.is_image(node, graph) or graph[node.output].dtype != "int8":
        return False
    window = geometry.window(node, graph)
    return window.fits() and Layout(window, 1, 1).words * 4 <= MAX_WINDOW_BYTES


def is_leaner(node: Node, graph: Graph, rows: int = 1) -> bool:
    """Whether 4-bit distances make any record smaller."""
    return any(record.channel.nibble for record in _Plan.of(node, graph, rows, True).records)


def contract(node: Node, graph: Graph, rows: int = 1, lean: bool = False) -> RowContract:
    """Some output rows a step; one whose window is filled once may overwrite dying input rows."""
    plan = _Plan.of(node, graph, rows, lean)
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


def pack(node: Node, graph: Graph, rows: int = 1, lean: bool = False) -> Packed:
    """The stream of records."""
    plan = _Plan.of(node, graph, rows, lean)
    layout, window = plan.layout, plan.layout.window
    params = window.params("in_w", "in_c", "out_w", "out_c", "kernel_h", "dilation_h")
    params |= window.params("stride_h", "stride_w", "pad_left", "reach_w")
    params |= geometry.clamp(node, graph) | geometry.zero_points(node, graph)
    params |= {
        "window_words": layout.words,
        "sums_bytes": plan.sums_bytes(),
        "phase_words": layout.phase_words,
        "chunk_tiles": layout.chunk_tiles,
        "dense_weights": plan.dense_weights,
        "rows": rows,
        "joined": int(layout.joined),
        "padded": int(layout.padded),
        "form": plan.form,
    }
    data = np.frombuffer(stream.encode(plan.records), np.uint8)
    weights = sum(len(record.channel.weights) for record in plan.records)
    comment = f"{len(plan.records)} records for {window.out_c} channels, {weights} weights"
    parts = plan.parts()
    if plan.form != PLAIN and clamp_limits(node, graph) != (-128, 127):
        parts |= {"pairs_clamp"}
    return Packed(params, (Constant("stream", data, comment),), parts)


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    rows, chunk = (int(packed.params[name]) for name in ("rows", "chunk_tiles"))
    layout = Layout(geometry.window(node, graph), rows, chunk)
    form, dense_weights = (int(packed.params[name]) for name in ("form", "dense_weights"))
    channels = stream.decode(
        packed.constants[0].array.tobytes(), form, layout.phase_words, dense_weights
    )
    found = ((channel.positions, channel.weights) for channel in channels)
    return unpacked(node, layout, graph[node.inputs[1]].shape, found)


def features(node: Node, graph: Graph, rows: int = 1, lean: bool = False) -> dict[str, float]:
    """What one inference executes.

    Instructions of the tiles' records as the assembly has them, what C adds to those of the plain
    form (records and channels of tiles, sums, those that are outputs, those whose scale shifts
    left), what packing takes (`Layout.packing_features`), tiles, outputs clamped afterwards, four
    at a time or one, outputs staged in words and alone, passes over rows, steps.
    """
    plan = _Plan.of(node, graph, rows, lean)
    window = plan.layout.window
    plain, records = plan.form == PLAIN, len(plan.records)
    row = window.out_w * window.out_c
    tiles = loop = sums = pixels = passed = staged = 0
    for steps, part in plan.layout.parts():
        passes = steps * (1 if plan.layout.joined else part.rows)
        passed += passes
        tiles += passes * part.tiles
        loop += passes * part.tiles * plan.tile_instructions(part)
        sums += passes * part.tiles * 2 * part.tile
        pixels += passes * sum(part.tile_pixels(tile) for tile in range(part.tiles))
        waste = part.pairs < part.tile and not plain
        staged += steps * part.rows * waste
    clamped = clamp_limits(node, graph) != (-128, 127) and not plain
    left = geometry.left_shifts(node, graph) if plain else 0
    return {
        "loop": loop,
        "records_plain": tiles * records * plain,
        "channels_plain": tiles * window.out_c * plain,
        "sums_plain": sums * window.out_c * plain,
        "pixels_plain": pixels * window.out_c * plain,
        "left_plain": pixels * left,
        **plan.layout.packing_features(),
        "tiles": tiles,
        "clamped_fours": window.out_h * (row // 4) * clamped,
        "clamped": window.out_h * (row % 4) * clamped,
        "staged_words": staged * (row // 4),
        "staged": staged * (row % 4),
        "passes": passed,
        "rows": window.out_h,
        "steps": plan.layout.steps,
    }


@dataclass(frozen=True)
class _Plan:
    """How a node is packed."""

    layout: Layout
    form: int
    records: list[Record]

    def tile_instructions(self, layout: Layout) -> int:
        """Instructions of all records for one tile (src/pairs_dsp.S)."""
        words = layout.tile
        begin = 5 + 2 * words  # what the accumulators start from, and the jumps to weights and end
        end = 4 * words + 5
        if self.form != PLAIN:
            end = 5 * words + layout.tile_sums * (4 + (self.form == SIGNED)) + 6
        loops = sum(record.channel.instructions(words) for record in self.records)
        return loops + len(self.records) * (begin + end)

    @property
    def dense_weights(self) -> int:
        """Weights of a record of the dense kinds."""
        grid = _grid(self.layout)
        return 0 if grid is None else grid.groups * grid.taps

    def parts(self) -> frozenset[str]:
        """What of the shared code runs: kinds of records by the words of a tile."""
        kinds = {record.channel.kind for record in self.records} - {""}
        kinds.add(("relu", "signed", "plain")[self.form])
        tiles = {part.tile for _, part in self.layout.parts()}
        joined = {"pairs_joined"} if self.layout.joined else set()
        six = any(part.tile_sums == 6 for _, part in self.layout.parts())
        even = {"pairs3_even"} if six else set()
        return frozenset(f"pairs{tile}_{kind}" for tile in tiles for kind in kinds) | joined | even

    def sums_bytes(self) -> int:
        """What the tiles of the plain form store."""
        return stream.SUMS_BYTES * len(self.records) if self.form == PLAIN else 0

    def scratch_bytes(self) -> int:
        """The window, a pixel of padding, sums, and rows that tiles must not write in place."""
        window = self.layout.window
        staged = 0
        for _, part in self.layout.parts():
            if self.layout.joined:
                staged = max(staged, part.rows * window.out_w)
            width = part.rows * window.out_w if self.layout.joined else window.out_w
            pairs = -(-width // 2)
            if pairs < 3 and self.form != PLAIN:
                staged = max(staged, width - pairs + TILE)
        pixel = -(-window.in_c // 4) * 4
        return self.layout.words * 4 + pixel + self.sums_bytes() + staged * window.out_c

    @staticmethod
    @lru_cache(maxsize=4)  # for contract and features, of one row and of several, lean or not
    def of(node: Node, graph: Graph, rows: int, lean: bool) -> _Plan:
        """Choose the chunk and the form."""
        layout, channels = _choose_chunk(node, graph, rows, lean)
        scales = _scales(node, graph)
        short = [stream.short_record(c, s) for c, s in zip(channels, scales, strict=True)]
        records = [record for record in short if record is not None]
        if len(records) == len(short):
            relu = clamp_limits(node, graph)[0] >= zero_point_of(graph, node.output)
            return _Plan(layout, RELU if relu else SIGNED, records)
        parts = [stream.plain_records(c, s) for c, s in zip(channels, scales, strict=True)]
        return _Plan(layout, PLAIN, [record for part in parts for record in part])


def _choose_chunk(node: Node, graph: Graph, rows: int, lean: bool) -> tuple[Layout, list[Channel]]:
    """The chunk of the fewest instructions: less packing against fewer long distances."""
    window = geometry.window(node, graph)
    tiles = Layout(window, rows, 1).tiles
    best: tuple[float, Layout, list[Channel]] | None = None
    for chunk in sorted({min(tiles, n) for n in (*_CHUNKS, tiles)}):
        layout = Layout(window, rows, chunk)
        if chunk > 1 and layout.words * 4 > MAX_WINDOW_BYTES:
            break
        channels = _channels(node, graph, layout, lean)
        words = layout.kernel_rows() * window.in_c * layout.columns()
        loop = sum(channel.instructions() for channel in channels) * tiles
        cost = _WORD_COST * words + loop * (1 if layout.joined else rows)
        if best is None or cost < best[0]:
            best = cost, layout, channels
    assert best is not None
    return best[1:]


def _scales(node: Node, graph: Graph) -> list[Scale]:
    multipliers, shifts = conv_multipliers(node, graph)
    zero_point = zero_point_of(graph, node.inputs[0])
    bias = np.zeros(len(multipliers), np.int64)
    if len(node.inputs) > 2:
        bias = graph[node.inputs[2]].value.astype(np.int64).reshape(-1)
    return [
        Scale(int(b), zero_point, int(m), int(s))
        for b, m, s in zip(bias, multipliers, shifts, strict=True)
    ]


def _channels(node: Node, graph: Graph, layout: Layout, lean: bool) -> list[Channel]:
    grid = _grid(layout)
    found = nonzeros(node, layout, geometry.weights_of(node, graph))
    return [Channel(positions, values, grid, lean) for positions, values in found]


def _grid(layout: Layout) -> Grid | None:
    window = layout.window
    taps = -(-window.kernel_w // layout.phases)
    groups = window.kernel_h * window.in_c * layout.phases
    if window.groups != 1 or window.dilation_w != 1 or taps > 3 or taps * groups > 0xFFFF:
        return None
    return Grid(taps, groups, layout.phase_words)
