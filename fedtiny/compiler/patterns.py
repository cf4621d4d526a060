"""Kinds of masks: which weights go or stay together, and which kind a weight array has.

Groups of weights lie along input channels (the last axis of OHWI and OI arrays), along output
channels (the first axis), or are whole output channels.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Pattern, PatternKind
from fedtiny.errors import UsageError

BLOCK = 4
"""Weights of a block."""

NAMES = ("unstructured", "block1x4", "block4x1", "N:M", "channel")
"""What `--pattern` accepts; N:M is for example 2:4, N of M neighbouring input channels."""

FILLED = 0.9
"""Share of nonzeros in the groups that a mask keeps, from which it is of that kind: quantization
makes zeros of small weights."""

_PERIODS = (4, 8, 16)


def n_of_m(name: str) -> tuple[int, int] | None:
    """N and M of a name such as ``"2:4"``; None for other patterns.

    Raises:
        UsageError: The name is no pattern.
    """
    if name in NAMES and name != "N:M":
        return None
    found = re.fullmatch(r"(\d+):(\d+)", name)
    if found is None or not 0 < int(found[1]) < int(found[2]) <= 64:
        raise UsageError(
            f"pattern {name!r}: accepted are {', '.join(NAMES)}, with 0 < N < M <= 64."
        )
    return int(found[1]), int(found[2])


def density_of(name: str, density: float | None) -> float | None:
    """The density that a pattern is pruned to: that which is asked for, or that of N:M.

    Raises:
        UsageError: The two contradict each other, or there is neither.
    """
    groups = n_of_m(name)
    if groups is None:
        if density is None:
            raise UsageError(f"pattern {name!r} needs a density; give --density as well.")
        return density
    own = groups[0] / groups[1]
    if density not in (None, own):
        raise UsageError(f"density {density}: pattern {name} has density {own:g} itself.")
    return own


def kind(name: str) -> PatternKind:
    """The kind of mask that a name asks for."""
    if n_of_m(name) is not None:
        return "n:m"
    found: dict[str, PatternKind] = {
        "unstructured": "unstructured",
        "block1x4": "block1x4",
        "block4x1": "block4x1",
        "channel": "channel",
    }
    return found[name]


def keep_largest(real: NDArray[np.float64], density: float, name: str) -> NDArray[np.bool_]:
    """Mask of the largest weights, in the groups of a pattern.

    Args:
        real: Weights, OHWI or OI.
        density: Share of the groups that stay, rounded, at least one; of N:M, N/M.
        name: The pattern. The sum of a group's squares decides; equal ones keep the earlier.
    """
    if (found := n_of_m(name)) is not None:
        count, period = found
        groups = _along_inputs(real, period)
        rank = np.argsort(np.argsort(-np.abs(groups), axis=1, kind="stable"), axis=1, kind="stable")
        return _from_inputs(rank < count, real.shape)
    if name == "block1x4":
        kept = _largest((_along_inputs(real, BLOCK) ** 2).sum(1), density)
        return _from_inputs(np.repeat(kept[:, None], BLOCK, 1), real.shape)
    if name == "block4x1":
        turned = np.moveaxis(real, 0, -1)
        kept = _largest((_along_inputs(turned, BLOCK) ** 2).sum(1), density)
        mask = _from_inputs(np.repeat(kept[:, None], BLOCK, 1), turned.shape)
        return np.moveaxis(mask, -1, 0)
    if name == "channel":
        kept = _largest((real.reshape(len(real), -1) ** 2).sum(1), density)
        return np.broadcast_to(kept.reshape(-1, *[1] * (real.ndim - 1)), real.shape)
    return _largest(np.abs(real).reshape(-1), density).reshape(real.shape)


def of(data: NDArray[np.generic]) -> Pattern:
    """The pattern of a weight array, the most regular that its nonzeros have."""
    mask = data != 0
    density = float(np.count_nonzero(mask)) / max(1, mask.size)
    if density == 1.0 or not mask.any() or mask.ndim < 2:
        return Pattern("dense" if density == 1.0 else "unstructured", density)
    tests: tuple[tuple[PatternKind, NDArray[np.bool_]], ...] = (
        ("channel", mask.reshape(len(mask), -1)),
        ("block1x4", _along_inputs(mask, BLOCK)),
        ("block4x1", _along_inputs(np.moveaxis(mask, 0, -1), BLOCK)),
    )
    for found, groups in tests:
        kept = groups.any(1)
        if not np.all(kept) and np.mean(groups[kept]) >= FILLED:
            return Pattern(found, density)
    for period in _PERIODS:
        if mask.shape[-1] % period == 0:
            counts = _along_inputs(mask, period).sum(1)
            most = int(counts.max())
            if most < period and counts.mean() >= FILLED * most:
                return Pattern("n:m", density)
    return Pattern("unstructured", density)


def _largest(scores: NDArray[np.float64], density: float) -> NDArray[np.bool_]:
    kept = np.zeros(scores.shape, bool)
    order = np.argsort(-scores, kind="stable")
    kept[order[: max(1, round(density * scores.size))]] = True
    return kept


def _along_inputs(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Groups of neighbours along the last axis, `(groups, size)`; the last ones are filled up."""
    short = -array.shape[-1] % size
    padded = np.pad(array, [*[(0, 0)] * (array.ndim - 1), (0, short)])
    return padded.reshape(-1, size)


def _from_inputs(groups: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of an array from that of its groups."""
    whole = groups.reshape(*shape[:-1], -1)
    return whole[..., : shape[-1]]
