"""What convolutions of four pixels at a time by dot products share (see src/gather.h)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import conv2d_im2col, geometry
from fedtiny.runtime.packing.geometry import Window

Kind = Literal["narrow", "wide", "blocks", "dense", "depthwise"]

PIXELS, CHANNELS, LANES, BLOCK = 4, 4, 16, 4
SLOTS = 4
"""Kernel rows of a channel in a depthwise window, and columns of its weights."""

NARROW_BYTES = 256
"""Of a patch, that its places fit one byte."""

MOST_ROWS = 4
"""Of a step: as many as fill tiles of pixels from narrow images."""

_CHANNEL = np.dtype(
    [("bias", "<i4"), ("multiplier", "<i4"), ("more", "<u2"), ("shift", "i1"), ("unused", "i1")]
)
_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h"),
    *("stride_h", "stride_w", "dilation_h"),
)


@dataclass(frozen=True)
class Group:
    """Up to sixteen weights of a channel.

    Attributes:
        move: Wide: by how many bytes the patch moves on before.
        places: In the patch, of every weight or of every block of four; dense: none.
        weights: int8, as many as lanes.
    """

    move: int
    places: tuple[int, ...]
    weights: NDArray[np.int8]


def supports(node: Node, graph: Graph) -> bool:
    """One group of channels; scales below 1/2, whose shift is one to the right."""
    return conv2d_im2col.supports(node, graph) and scales_fit(node, graph)


def scales_fit(node: Node, graph: Graph) -> bool:
    """Whether every channel's shift is one to the right, and sizes fit their fields."""
    _, shifts = conv_multipliers(node, graph)
    window = geometry.window(node, graph)
    patch = window.reach_w * max(window.kernel_h, SLOTS) * window.in_c
    small = patch <= geometry.U16_MAX and _window_bytes(window, "depthwise") < 1 << 24
    return small and bool(((shifts <= -1) & (shifts >= -31)).all())


def contract(node: Node, graph: Graph, kind: Kind, rows: int = 1) -> RowContract:
    """One output row a step, or several; the scratch holds a window for each."""
    window = geometry.window(node, graph)
    reads = Access(
        node.inputs[0],
        (rows - 1) * window.stride_h + window.reach_h,
        rows * window.stride_h,
        -window.pad_top,
    )
    writes = Access(node.output, rows, rows)
    scratch = 0 if _direct(window, kind) else rows * _window_bytes(window, kind) + LANES
    if kind == "depthwise":  # the last vector of rows, and the column after the last patch
        scratch += SLOTS * (LANES + window.in_c)
    if window.out_c % CHANNELS:
        scratch += PIXELS * _channels(window)
    return RowContract((reads,), writes, -(-window.out_h // rows), scratch)


def pack(node: Node, graph: Graph, kind: Kind, rows: int = 1) -> Packed:
    """The stream of groups, and every channel's bias, multiplier, shift and number of groups."""
    window = geometry.window(node, graph)
    groups = groups_of(node, graph, kind)
    multipliers, shifts = conv_multipliers(node, graph)
    channels = np.zeros(_channels(window), _CHANNEL)
    channels["shift"] = -1
    sums = patches(node, graph).sum(1, dtype=np.int64)
    channels["bias"][: window.out_c] = geometry.folded(node, graph, sums)
    channels["multiplier"][: window.out_c] = multipliers
    channels["shift"][: window.out_c] = shifts
    channels["more"] = [len(found) - 1 for found in groups]
    stream = b"".join(encode(group, kind) for found in groups for group in found)
    direct = _direct(window, kind)
    relu = _relu(node, graph)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= geometry.zero_points(node, graph)
    params |= {
        "columns": _columns(window),
        "pad_left": min(window.pad_left, _columns(window)),
        "rows": rows,
        "column_bytes": _column_bytes(window, kind),
        "window_bytes": 0 if direct else _window_bytes(window, kind),
        "kind": int(kind == "wide"),
        "direct": int(direct),
        "relu": relu,
    }
    constants = (
        Constant("stream", np.frombuffer(stream, np.uint8), f"uint8: groups, {kind}", 2),
        Constant(
            "channels",
            channels.view(np.int32).reshape(-1),
            f"int32 ({len(channels)}, 3): bias, multiplier; groups after the first, shift",
        ),
    )
    part = f"gather_{kind}_relu" if relu else f"gather_{kind}"
    return Packed(params, constants, frozenset({part}))


def unpack(packed: Packed, node: Node, graph: Graph, kind: Kind) -> NDArray[np.generic]:
    """The weights, OHWI."""
    window = geometry.window(node, graph)
    stream, channels = (constant.array for constant in packed.constants)
    counts = channels.view(np.int32).view(_CHANNEL)["more"].astype(np.int64) + 1
    groups = iter(decode(stream.astype(np.uint8).tobytes(), kind))
    width = SLOTS * SLOTS if kind == "depthwise" else _patch_bytes(window) + LANES
    patches = np.zeros((window.out_c, width), np.int8)
    for patch, count in zip(patches, counts[: window.out_c].tolist(), strict=True):
        put(patch, [next(groups) for _ in range(count)])
    return _from_patches(patches, window, kind)


def features(node: Node, graph: Graph, kind: Kind, rows: int = 1) -> dict[str, float]:
    """What one inference executes.

    Tiles, their channels and groups, those of channels whose sign is looked at, tiles of pixels
    that do not follow each other, copies of columns (of sixteen bytes, of fewer), calls of them,
    vectors interleaved, bytes of padding, rows, steps, elements spread and clamped.
    """
    window = geometry.window(node, graph)
    steps = [min(rows, window.out_h - first) for first in range(0, window.out_h, rows)]
    rests = sum(-(-count * (window.out_w - PIXELS * _whole(window)) // PIXELS) for count in steps)
    tiles = window.out_h * _whole(window) + rests
    channels, filled = _channels(window), not _direct(window, kind)
    groups = sum(len(found) for found in groups_of(node, graph, kind))
    inside = max(0, min(_columns(window) - window.pad_left, window.in_w))
    lines = window.out_h * window.kernel_h * filled * (kind != "depthwise")
    vectors = -(-inside * window.in_c // LANES) * window.out_h * (kind == "depthwise")
    beside = (_columns(window) - inside) * _column_bytes(window, kind)
    outputs = window.out_h * window.out_w * window.out_c
    return {
        "tile_groups": tiles * groups,
        "tile_channels": tiles * channels,
        "tile_signed": tiles * channels * (1 - _relu(node, graph)),
        "tiles": tiles,
        "rests": rests,
        "columns": lines * inside * (window.in_c // LANES),
        "columns_part": lines * inside * (window.in_c % LANES > 0),
        "column_calls": lines * -(-window.in_c // LANES),
        "lines": lines,
        "vectors": vectors,
        "padding": window.out_h * filled * beside,
        "rows": window.out_h,
        "steps": len(steps),
        "spread": outputs * (window.out_c % CHANNELS > 0),
        "clamped": outputs * (clamp_limits(node, graph) != (-128, 127)),
    }


def patches(node: Node, graph: Graph) -> NDArray[np.int8]:
    """Weights as the window has its bytes: `(O, columns of a patch, kernel_h, in_c)`, flat.

    Of depthwise convolutions `(O, 4 columns, 4 rows)`.
    """
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph).astype(np.int8)
    if node.op == "depthwise_conv2d":
        slots: NDArray[np.int8] = np.zeros((window.out_c, SLOTS, SLOTS), np.int8)
        columns = slots[:, : window.reach_w : window.dilation_w, : window.kernel_h]
        columns[:] = weights[0].transpose(2, 1, 0)
        return slots.reshape(window.out_c, -1)
    found: NDArray[np.int8] = np.zeros(
        (window.out_c, window.reach_w, window.kernel_h, window.in_c), np.int8
    )
    found[:, :: window.dilation_w] = weights.transpose(0, 2, 1, 3)
    return found.reshape(window.out_c, -1)


def groups_of(node: Node, graph: Graph, kind: Kind) -> list[list[Group]]:
    """By output channel, padded to fours, its groups; at least one each."""
    window = geometry.window(node, graph)
    found = [GROUPS[kind](patch) for patch in patches(node, graph)]
    return found + [[EMPTY[kind]]] * (_channels(window) - window.out_c)


def fits_narrow(window: Window) -> bool:
    """Whether one byte says a place in a patch."""
    return _patch_bytes(window) <= NARROW_BYTES


def _narrow(patch: NDArray[np.int8]) -> list[Group]:
    places = np.flatnonzero(patch)
    parts = [places[at : at + LANES] for at in range(0, max(len(places), 1), LANES)]
    return [_group(patch, 0, 0, part) for part in parts]


def _wide(patch: NDArray[np.int8]) -> list[Group]:
    left, start, found = np.flatnonzero(patch), 0, list[Group]()
    while len(left):
        part = left[:LANES]
        part = part[part < left[0] + NARROW_BYTES]
        found.append(_group(patch, int(left[0]), int(left[0]) - start, part))
        start, left = int(left[0]), left[len(part) :]
    return found or [EMPTY["wide"]]


def _group(patch: NDArray[np.int8], start: int, move: int, part: NDArray[np.int64]) -> Group:
    weights: NDArray[np.int8] = np.zeros(LANES, np.int8)
    weights[: len(part)] = patch[part]
    places = [*(part - start).tolist(), *[0] * (LANES - len(part))]
    return Group(move, tuple(places), weights)


def _blocks(patch: NDArray[np.int8]) -> list[Group]:
    fours = patch.reshape(-1, BLOCK)
    places = np.flatnonzero(fours.any(1))
    count, found = LANES // BLOCK, list[Group]()
    for at in range(0, max(len(places), 1), count):
        part = places[at : at + count]
        weights: NDArray[np.int8] = np.zeros((count, BLOCK), np.int8)
        weights[: len(part)] = fours[part]
        padded = [*part.tolist(), *[0] * (count - len(part))]
        found.append(Group(0, tuple(padded), weights.reshape(-1)))
    return found


def _dense(patch: NDArray[np.int8]) -> list[Group]:
    filled: NDArray[np.int8] = np.zeros(-(-len(patch) // LANES) * LANES, np.int8)
    filled[: len(patch)] = patch
    return [Group(0, (), row) for row in filled.reshape(-1, LANES)]


GROUPS: dict[Kind, Callable[[NDArray[np.int8]], list[Group]]] = {
    "narrow": _narrow,
    "wide": _wide,
    "blocks": _blocks,
    "dense": _dense,
    "depthwise": _dense,
}
"""By kind, what makes groups of a channel's weights, at least one."""

_NOTHING: NDArray[np.int8] = np.zeros(LANES, np.int8)
EMPTY: dict[Kind, Group] = {
    "narrow": Group(0, (0,) * LANES, _NOTHING),
    "wide": Group(0, (0,) * LANES, _NOTHING),
    "blocks": Group(0, (0,) * (LANES // BLOCK), _NOTHING),
    "dense": Group(0, (), _NOTHING),
    "depthwise": Group(0, (), _NOTHING),
}


def put(patch: NDArray[np.int8], groups: Sequence[Group]) -> None:
    """The weights of one channel's groups to their places in a patch of zeros."""
    start = 0
    for index, group in enumerate(groups):
        start += group.move
        size = LANES // max(len(group.places), 1)
        for lane, place in enumerate(group.places or (index,)):
            at = start + place * (size if group.places else LANES)
            patch[at : at + size] += group.weights[lane * size : (lane + 1) * size]


def encode(group: Group, kind: Kind) -> bytes:
    """A group in the stream."""
    moves = [group.move] if kind == "wide" else []
    places = np.array(group.places, "<u2" if kind == "blocks" else np.uint8)
    return np.array(moves, "<u2").tobytes() + places.tobytes() + group.weights.tobytes()


def decode(stream: bytes, kind: Kind) -> Sequence[Group]:
    """The groups of a stream."""
    places = {"narrow": LANES, "wide": LANES, "blocks": LANES // BLOCK}.get(kind, 0)
    record = np.dtype(
        [
            ("move", "<u2", (int(kind == "wide"),)),
            ("places", "<u2" if kind == "blocks" else "u1", (places,)),
            ("weights", "i1", (LANES,)),
        ]
    )
    rows = np.frombuffer(stream, record)
    return [Group(int(r["move"].sum()), tuple(r["places"].tolist()), r["weights"]) for r in rows]


def _from_patches(patches: NDArray[np.int8], window: Window, kind: Kind) -> NDArray[np.generic]:
    if kind == "depthwise":
        slots = patches.reshape(window.out_c, SLOTS, SLOTS)
        columns = slots[:, : window.reach_w : window.dilation_w, : window.kernel_h]
        return np.ascontiguousarray(columns.transpose(2, 1, 0)[None])
    flat = patches[:, : _patch_bytes(window)]
    shaped = flat.reshape(window.out_c, window.reach_w, window.kernel_h, window.in_c)
    return np.ascontiguousarray(shaped[:, :: window.dilation_w].transpose(0, 2, 1, 3))


def _relu(node: Node, graph: Graph) -> int:
    return 1 - geometry.ties(node, graph)


def _channels(window: Window) -> int:
    return -(-window.out_c // CHANNELS) * CHANNELS


def _whole(window: Window) -> int:
    """Tiles of a row whose pixels follow each other."""
    return window.out_w // PIXELS if window.out_c % CHANNELS == 0 else 0


def _columns(window: Window) -> int:
    """Of a window."""
    return (window.out_w - 1) * window.stride_w + window.reach_w


def _patch_bytes(window: Window) -> int:
    return window.reach_w * window.kernel_h * window.in_c


def _column_bytes(window: Window, kind: Kind) -> int:
    """Of a window."""
    return (SLOTS if kind == "depthwise" else window.kernel_h) * window.in_c


def _window_bytes(window: Window, kind: Kind) -> int:
    return -(-_columns(window) * _column_bytes(window, kind) // 4) * 4


def _direct(window: Window, kind: Kind) -> bool:
    """Whether the patches of a row already lie in the input."""
    inside = window.pad_left == 0 and _columns(window) <= window.in_w and window.pad_top == 0
    inside = inside and (window.out_h - 1) * window.stride_h < window.in_h
    inside = inside and kind != "depthwise"
    whole = kind != "dense" or _patch_bytes(window) % LANES == 0
    return window.kernel_h == 1 and inside and whole


def best_rows(node: Node, graph: Graph) -> int:
    """Output rows of a step: the fewest that waste the least part of their tiles."""
    window = geometry.window(node, graph)

    def waste(rows: int) -> float:
        pixels = rows * window.out_w
        return -(-pixels // PIXELS) * PIXELS / pixels

    return min(range(1, min(MOST_ROWS, window.out_h) + 1), key=lambda rows: (waste(rows), rows))
