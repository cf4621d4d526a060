"""Two output pixels per accumulator: convolutions as streams of nonzero weights (src/pairs.h).

Every output channel becomes a record of the stream. Bias, input zero point and the low lane's +128
are folded into the accumulators' start value. A channel whose sums could leave the low lane's 24
bits, or whose scale the short arithmetic cannot express, puts the whole layer into the plain form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers, zero_point_of
from fedtiny.runtime.contract import Constant, Packed, RowContract
from fedtiny.runtime.packing import geometry
from fedtiny.runtime.packing import pairs_stream as stream
from fedtiny.runtime.packing.pairs_layout import TILE, Layout
from fedtiny.runtime.packing.pairs_stream import PLAIN, RELU, SIGNED, Channel, Record, Scale

MAX_WINDOW_BYTES = 1 << 18

_CHUNKS = (1, 2, 3, 4, 6, 8, 16)
_WORD_COST, _ENTRY_COST = 4, 9  # instructions; only for choosing the chunk


def supports(node: Node, graph: Graph) -> bool:
    """Any stride, padding, dilation and groups whose window fits a quarter of a megabyte."""
    if not geometry.is_image(node, graph) or graph[node.output].dtype != "int8":
        return False
    window = geometry.window(node, graph)
    return window.fits() and Layout(window, 1).words * 4 <= MAX_WINDOW_BYTES


def contract(node: Node, graph: Graph) -> RowContract:
    """One output row a step, written after all input rows are in scratch where one chunk does."""
    plan = _Plan.of(node, graph)
    window = plan.layout.window
    reads, writes = window.accesses(node)
    return RowContract(
        (reads,),
        writes,
        window.out_h,
        scratch_bytes=plan.scratch_bytes(),
        overlap="any" if plan.layout.chunk_tiles >= plan.layout.tiles else "none",
    )


def pack(node: Node, graph: Graph) -> Packed:
    """The stream of records."""
    plan = _Plan.of(node, graph)
    window = plan.layout.window
    params = window.params("in_w", "in_c", "out_w", "out_c", "kernel_h", "dilation_h")
    params |= window.params("stride_w", "pad_left", "reach_w")
    params |= geometry.clamp(node, graph) | geometry.zero_points(node, graph)
    params |= {
        "window_words": plan.layout.words,
        "phase_words": plan.layout.phase_words,
        "chunk_tiles": plan.layout.chunk_tiles,
        "form": plan.form,
    }
    data = np.frombuffer(stream.encode(plan.records), np.uint8)
    weights = sum(len(record.channel.weights) for record in plan.records)
    comment = f"{len(plan.records)} records for {window.out_c} channels, {weights} weights"
    return Packed(params, (Constant("stream", data, comment),))


def unpack(packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
    """The dense weights, read back from the stream."""
    layout = Layout(geometry.window(node, graph), int(packed.params["chunk_tiles"]))
    dense = np.zeros(graph[node.inputs[1]].shape, np.int8)
    channels = stream.decode(packed.constants[0].array.tobytes(), int(packed.params["form"]))
    for view, positions, channel in zip(
        _by_channel(node, layout, dense), _positions(node, layout, dense), channels, strict=True
    ):
        order = np.argsort(positions, axis=None)
        found = order[np.searchsorted(positions.reshape(-1)[order], channel.positions)]
        view[np.unravel_index(found, view.shape)] = channel.weights
    return dense


def features(node: Node, graph: Graph) -> dict[str, float]:
    """What one inference executes.

    Entries and records of tiles (by form), words and columns packed (`odd`: channels not a multiple
    of 4), tiles, runs over a phase of a kernel row, outputs clamped afterwards, bytes staged, rows.
    """
    plan = _Plan.of(node, graph)
    layout, window = plan.layout, plan.layout.window
    tiles = window.out_h * layout.tiles
    columns = window.out_h * window.kernel_h * layout.columns_packed()
    outputs = window.out_h * window.out_w * window.out_c
    chunks = len(list(layout.chunks()))
    odd = window.in_c % 4 != 0
    clamped = clamp_limits(node, graph) != (-128, 127) and plan.form != PLAIN
    return {
        "entries": tiles * plan.entries,
        "records_relu": tiles * len(plan.records) * (plan.form == RELU),
        "records_signed": tiles * len(plan.records) * (plan.form == SIGNED),
        "records_plain": tiles * len(plan.records) * (plan.form == PLAIN),
        "words": columns * window.in_c * (not odd),
        "words_odd": columns * window.in_c * odd,
        "columns": columns,
        "tiles": tiles,
        "phases": window.out_h * window.kernel_h * layout.phases * chunks,
        "clamped": outputs * clamped,
        "staged": outputs * (layout.pairs < TILE and plan.form != PLAIN),
        "rows": window.out_h,
    }


@dataclass(frozen=True)
class _Plan:
    """How a node is packed."""

    layout: Layout
    form: int
    records: list[Record]

    @property
    def entries(self) -> int:
        """Entries of the stream."""
        return sum(record.channel.entries for record in self.records)

    def scratch_bytes(self) -> int:
        """The window, a pixel of padding, and what a tile writes where it must not use the row."""
        window = self.layout.window
        staging = 0
        if self.form == PLAIN:
            staging = stream.SUMS_BYTES * len(self.records)
        elif self.layout.pairs < TILE:
            staging = (window.out_w - self.layout.pairs + TILE) * window.out_c
        return self.layout.words * 4 + -(-window.in_c // 4) * 4 + staging

    @staticmethod
    def of(node: Node, graph: Graph) -> _Plan:
        """Choose the chunk and the form."""
        layout, channels = _choose_chunk(node, graph)
        scales = _scales(node, graph)
        short = [stream.short_record(c, s) for c, s in zip(channels, scales, strict=True)]
        records = [record for record in short if record is not None]
        if len(records) == len(short):
            relu = clamp_limits(node, graph)[0] >= zero_point_of(graph, node.output)
            return _Plan(layout, RELU if relu else SIGNED, records)
        parts = [stream.plain_records(c, s) for c, s in zip(channels, scales, strict=True)]
        return _Plan(layout, PLAIN, [record for part in parts for record in part])


def _choose_chunk(node: Node, graph: Graph) -> tuple[Layout, list[Channel]]:
    """The chunk of the fewest instructions: less packing against fewer long distances."""
    window = geometry.window(node, graph)
    tiles = Layout(window, 1).tiles
    best: tuple[int, Layout, list[Channel]] | None = None
    for chunk in sorted({min(tiles, n) for n in (*_CHUNKS, tiles)}):
        layout = Layout(window, chunk)
        if layout.words * 4 > MAX_WINDOW_BYTES:
            break
        channels = _channels(node, graph, layout)
        words = window.kernel_h * window.in_c * layout.columns_packed()
        entries = sum(channel.entries for channel in channels)
        cost = _WORD_COST * words + _ENTRY_COST * entries * tiles
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


def _by_channel(
    node: Node, layout: Layout, weights: NDArray[np.generic]
) -> list[NDArray[np.generic]]:
    """Views `(kernel_h, kernel_w, in)` of the weights of every output channel."""
    if node.op == "depthwise_conv2d":
        return [weights[0, :, :, c : c + 1] for c in range(layout.window.out_c)]
    return list(weights)


def _positions(node: Node, layout: Layout, weights: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    """Of every output channel, where in the window its weights' inputs are."""
    window = layout.window
    depth = 1 if node.op == "depthwise_conv2d" else weights.shape[3]
    group_out = window.out_c // window.groups
    ky, kx, channel = np.indices((window.kernel_h, window.kernel_w, depth), np.int64)
    plane = layout.phases * layout.phase_words
    first_group = layout.position(ky, kx, channel)
    return [first_group + c // group_out * depth * plane for c in range(window.out_c)]


def _channels(node: Node, graph: Graph, layout: Layout) -> list[Channel]:
    weights = geometry.weights_of(node, graph)
    channels = []
    for view, positions in zip(
        _by_channel(node, layout, weights), _positions(node, layout, weights), strict=True
    ):
        present = np.nonzero(view)
        order = np.argsort(positions[present])
        values = view[present].astype(np.int64)
        channels.append(Channel(positions[present][order], values[order]))
    return channels
