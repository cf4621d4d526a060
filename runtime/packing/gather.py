"""What convolutions of four pixels at a time by dot products share (see src/gather.h)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.compiler.quantization import clamp_limits, conv_multipliers
from fedtiny.runtime.contract import Access, Constant, Packed, RowContract
from fedtiny.runtime.packing import conv2d_im2col, geometry
from fedtiny.runtime.packing.geometry import Window

Kind = Literal["narrow", "wide", "blocks", "dense"]

PIXELS, CHANNELS, LANES, BLOCK = 4, 4, 16, 4
NARROW_BYTES = 256
"""Of a patch, that its places fit one byte."""

MOST_ROWS = 4
"""Of a step: as many as fill tiles of pixels from narrow images."""

_CHANNEL = np.dtype(
    [("bias", "<i4"), ("multiplier", "<i4"), ("more", "<u2"), ("shift", "i1"), ("unused", "i1")]
)
_FIELDS = (
    *("in_w", "in_c", "out_w", "out_c", "kernel_h"),
    *("stride_h", "stride_w", "dilation_h", "pad_left"),
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
    if not conv2d_im2col.supports(node, graph):
        return False
    _, shifts = conv_multipliers(node, graph)
    window = geometry.window(node, graph)
    small = _patch_bytes(window) <= geometry.U16_MAX and _window_bytes(window) < 1 << 24
    return small and bool(((shifts <= -1) & (shifts >= -31)).all())


def contract(node: Node, graph: Graph, kind: Kind) -> RowContract:
    """As many output rows a step as fill tiles; the scratch holds a window for each."""
    window = geometry.window(node, graph)
    rows = _rows(window)
    reads = Access(
        node.inputs[0],
        (rows - 1) * window.stride_h + window.reach_h,
        rows * window.stride_h,
        -window.pad_top,
    )
    writes = Access(node.output, rows, rows)
    scratch = 0 if _direct(window, kind) else rows * _window_bytes(window) + LANES
    if window.out_c % CHANNELS:
        scratch += PIXELS * _channels(window)
    return RowContract((reads,), writes, -(-window.out_h // rows), scratch)


def pack(node: Node, graph: Graph, kind: Kind) -> Packed:
    """The stream of groups, and every channel's bias, multiplier, shift and number of groups."""
    window = geometry.window(node, graph)
    groups = groups_of(node, graph, kind)
    multipliers, shifts = conv_multipliers(node, graph)
    channels = np.zeros(_channels(window), _CHANNEL)
    channels["shift"] = -1
    channels["bias"][: window.out_c] = geometry.folded_bias(node, graph)
    channels["multiplier"][: window.out_c] = multipliers
    channels["shift"][: window.out_c] = shifts
    channels["more"] = [len(found) - 1 for found in groups]
    stream = b"".join(_encode(group, kind) for found in groups for group in found)
    direct = _direct(window, kind)
    relu = _relu(node, graph)
    params = {**window.params(*_FIELDS), **geometry.clamp(node, graph)}
    params |= geometry.zero_points(node, graph)
    params |= {
        "columns": _columns(window),
        "rows": _rows(window),
        "window_bytes": 0 if direct else _window_bytes(window),
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
    groups = iter(_decode(stream.astype(np.uint8).tobytes(), kind))
    patches = np.zeros((window.out_c, _patch_bytes(window) + LANES), np.int8)
    for patch, count in zip(patches, counts[: window.out_c].tolist(), strict=True):
        start = 0
        for index in range(count):
            group = next(groups)
            start += group.move
            size = LANES // max(len(group.places), 1)
            for lane, place in enumerate(group.places or (index,)):
                at = start + place * (LANES if kind == "dense" else size)
                patch[at : at + size] += group.weights[lane * size : (lane + 1) * size]
    return _from_patches(patches, window)


def features(node: Node, graph: Graph, kind: Kind) -> dict[str, float]:
    """What one inference executes.

    Tiles, their channels and groups, those of channels whose sign is looked at, pixels, copies of
    columns (of sixteen bytes, of fewer), calls of them, rows, steps, elements spread and clamped.
    """
    window = geometry.window(node, graph)
    rows = _rows(window)
    steps = [min(rows, window.out_h - first) for first in range(0, window.out_h, rows)]
    tiles = sum(-(-count * window.out_w // PIXELS) for count in steps)
    channels, filled = _channels(window), not _direct(window, kind)
    groups = sum(len(found) for found in groups_of(node, graph, kind))
    inside = max(0, min(_columns(window) - window.pad_left, window.in_w))
    lines = window.out_h * window.kernel_h * filled
    outputs = window.out_h * window.out_w * window.out_c
    return {
        "tile_groups": tiles * groups,
        "tile_channels": tiles * channels,
        "tile_signed": tiles * channels * (1 - _relu(node, graph)),
        "tiles": tiles,
        "columns": lines * inside * (window.in_c // LANES),
        "columns_part": lines * inside * (window.in_c % LANES > 0),
        "column_calls": lines * -(-window.in_c // LANES),
        "lines": lines,
        "padding": window.out_h
        * filled
        * (_columns(window) - inside)
        * window.kernel_h
        * window.in_c,
        "rows": window.out_h,
        "steps": len(steps),
        "spread": outputs * (window.out_c % CHANNELS > 0),
        "clamped": outputs * (clamp_limits(node, graph) != (-128, 127)),
    }


def patches(node: Node, graph: Graph) -> NDArray[np.int8]:
    """Weights as the window has its bytes: `(O, columns of a patch, kernel_h, in_c)`, flat."""
    window = geometry.window(node, graph)
    weights = geometry.weights_of(node, graph).astype(np.int8)
    found: NDArray[np.int8] = np.zeros(
        (window.out_c, window.reach_w, window.kernel_h, window.in_c), np.int8
    )
    found[:, :: window.dilation_w] = weights.transpose(0, 2, 1, 3)
    return found.reshape(window.out_c, -1)


def groups_of(node: Node, graph: Graph, kind: Kind) -> list[list[Group]]:
    """By output channel, padded to fours, its groups; at least one each."""
    window = geometry.window(node, graph)
    found = [_GROUPS[kind](patch) for patch in patches(node, graph)]
    return found + [[_EMPTY[kind]]] * (_channels(window) - window.out_c)


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
    return found or [_EMPTY["wide"]]


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


_GROUPS = {"narrow": _narrow, "wide": _wide, "blocks": _blocks, "dense": _dense}
_NOTHING: NDArray[np.int8] = np.zeros(LANES, np.int8)
_EMPTY = {
    "narrow": Group(0, (0,) * LANES, _NOTHING),
    "wide": Group(0, (0,) * LANES, _NOTHING),
    "blocks": Group(0, (0,) * (LANES // BLOCK), _NOTHING),
    "dense": Group(0, (), _NOTHING),
}


def _encode(group: Group, kind: Kind) -> bytes:
    moves = [group.move] if kind == "wide" else []
    places = np.array(group.places, "<u2" if kind == "blocks" else np.uint8)
    return np.array(moves, "<u2").tobytes() + places.tobytes() + group.weights.tobytes()


def _decode(stream: bytes, kind: Kind) -> Sequence[Group]:
    places = {"narrow": (LANES,), "wide": (LANES,), "blocks": (LANES // BLOCK,), "dense": (0,)}
    record = np.dtype(
        [
            ("move", "<u2", (int(kind == "wide"),)),
            ("places", "<u2" if kind == "blocks" else "u1", places[kind]),
            ("weights", "i1", (LANES,)),
        ]
    )
    rows = np.frombuffer(stream, record)
    return [Group(int(r["move"].sum()), tuple(r["places"].tolist()), r["weights"]) for r in rows]


def _from_patches(patches: NDArray[np.int8], window: Window) -> NDArray[np.generic]:
    flat = patches[:, : _patch_bytes(window)]
    shaped = flat.reshape(window.out_c, window.reach_w, window.kernel_h, window.in_c)
    return np.ascontiguousarray(shaped[:, :: window.dilation_w].transpose(0, 2, 1, 3))


def _relu(node: Node, graph: Graph) -> int:
    return 1 - geometry.ties(node, graph)


def _channels(window: Window) -> int:
    return -(-window.out_c // CHANNELS) * CHANNELS


def _columns(window: Window) -> int:
    """Of a window."""
    return (window.out_w - 1) * window.stride_w + window.reach_w


def _patch_bytes(window: Window) -> int:
    return window.reach_w * window.kernel_h * window.in_c


def _window_bytes(window: Window) -> int:
    return -(-_columns(window) * window.kernel_h * window.in_c // 4) * 4


def _direct(window: Window, kind: Kind) -> bool:
    """Whether the patches of a row already lie in the input."""
    inside = window.pad_left == 0 and _columns(window) <= window.in_w and window.pad_top == 0
    inside = inside and (window.out_h - 1) * window.stride_h < window.in_h
    whole = kind != "dense" or _patch_bytes(window) % LANES == 0
    return window.kernel_h == 1 and inside and whole


def _rows(window: Window) -> int:
    """Output rows of a step: the fewest that waste the least part of their tiles."""

    def waste(rows: int) -> float:
        pixels = rows * window.out_w
        return -(-pixels // PIXELS) * PIXELS / pixels

    return min(range(1, min(MOST_ROWS, window.out_h) + 1), key=lambda rows: (waste(rows), rows))
