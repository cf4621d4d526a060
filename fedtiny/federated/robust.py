"""Aggregation that a few wrong clients cannot carry away.

Source: Yin et al., "Byzantine-Robust Distributed Learning", arXiv 1803.01498 (median, trimmed
mean); norm clipping as in Sun et al., "Can You Really Backdoor Federated Learning?", arXiv
1911.07963. Neither median nor trimmed mean weighs clients by samples, as counts are claims too;
batch-normalization statistics go the same way. The bound on absurd updates is our own decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from fedtiny.pruning.masks import State

TRIMMED_SHARE = 0.2
"""Of the clients, at each end, rounded down, but one at least where there are three."""

ABSURD = 100.0
"""An update this many times as long as the cohort's median update is left out."""


def combine(how: str, states: Sequence[State], names: Sequence[str]) -> State:
    """Trimmed mean or median of each coordinate.

    Args:
        how: ``"trimmed-mean"`` or ``"median"``.
        states: At least one; of equal masks.
        names: Of the floating-point entries; the others are taken from the first state.
    """
    count = len(states)
    cut = max(int(TRIMMED_SHARE * count), int(count >= 3)) if how == "trimmed-mean" else 0
    if how == "median":
        cut = (count - 1) // 2
    result = dict(states[0])
    for name in names:
        ordered = torch.stack([state[name].double() for state in states]).sort(0).values
        result[name] = ordered[cut : count - cut].mean(0).float()
    return result


def norm(state: Mapping[str, torch.Tensor], sent: Mapping[str, torch.Tensor]) -> float:
    """Euclidean length of an update of parameters."""
    squares = [((state[name].double() - sent[name].double()) ** 2).sum() for name in state]
    return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0


def clip(state: State, sent: State, names: Sequence[str], limit: float) -> State:
    """The state with its update shortened to `limit` where it is longer.

    Args:
        state: What a client sent.
        sent: What it was sent.
        names: Of the parameters.
        limit: Longest update.
    """
    length = norm({n: state[n] for n in names}, sent)
    if length <= limit:
        return state
    return state | {n: sent[n] + (state[n] - sent[n]) * (limit / length) for n in names}


def absurd(norms: Sequence[float]) -> list[bool]:
    """Which of at least three updates are so long that they cannot be meant."""
    if len(norms) < 3:
        return [False] * len(norms)
    median = sorted(norms)[(len(norms) - 1) // 2]
    return [0 < ABSURD * median < length for length in norms]
