"""Masks, candidates, the schedule, and exchanging weights."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.pruning.candidates import NOISE, noisy_counts
from fedtiny.pruning.load import load_method, method_names
from fedtiny.pruning.masks import density, largest, magnitude_masks, masked
from fedtiny.pruning.method import Method
from fedtiny.pruning.progressive import Schedule, grow_and_prune

pytestmark = pytest.mark.quick


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    density_=st.floats(0.001, 1),
    seed=st.integers(0, 1000),
)
def test_candidates_meet_the_density_exactly(sizes: list[int], density_: float, seed: int) -> None:
    by_name = {str(i): n for i, n in enumerate(sizes)}
    counts = noisy_counts(by_name, density_, np.random.default_rng(seed))
    expected = min(max(round(density_ * sum(sizes)), len(sizes)), sum(sizes))
    assert sum(counts.values()) == expected
    assert all(1 <= counts[name] <= n for name, n in by_name.items())


def test_candidates_are_noisy_around_the_density() -> None:
    sizes = {str(i): 10_000 for i in range(8)}
    counts = noisy_counts(sizes, 0.1, np.random.default_rng(0))
    shares = [n / 10_000 for n in counts.values()]
    assert max(shares) / min(shares) > 1.3
    assert 0.1 * (1 - NOISE) / (1 + NOISE) < min(shares) < max(shares) < 0.1 * 3
    assert counts != noisy_counts(sizes, 0.1, np.random.default_rng(1))


def test_magnitude_masks_keep_the_largest() -> None:
    weight = torch.tensor([[0.1, -3.0], [2.0, -0.2]])
    masks = magnitude_masks({"w": weight}, {"w": 2})
    assert masks["w"].tolist() == [[False, True], [True, False]]
    assert masked({"w": weight, "b": weight}, masks)["w"].tolist() == [[0, -3], [2, 0]]
    assert density(masks) == 0.5
    assert density({}) == 1.0
    assert largest(torch.zeros(5), 2).tolist() == [True, True, False, False, False]


def test_schedule_goes_through_the_blocks_and_fades() -> None:
    schedule = Schedule(interval=10, end=100, blocks=5)
    blocks = {r: schedule.block(r) for r in range(1, 301) if schedule.block(r) is not None}
    assert blocks == {10 * (i + 1): i % 5 for i in range(9)}
    mask = torch.zeros(1000, dtype=torch.bool)
    mask[:100] = True
    for r in (10, 50, 90):
        assert schedule.count(r, mask) == math.floor(0.15 * (1 + math.cos(math.pi * r / 100)) * 100)
    assert schedule.count(50, mask) == 15
    mask[:995] = True
    assert schedule.count(10, mask) == 5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 20))
def test_exchange_follows_the_slow_obvious_rule(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(rng.permutation(np.arange(60) < 25)).reshape(5, 12)
    weight = torch.from_numpy(rng.normal(size=(5, 12)).astype(np.float32)) * mask
    gradient = torch.from_numpy(rng.normal(size=(5, 12)))
    new = grow_and_prune(weight, mask, gradient, count)
    flat = [(i, bool(m)) for i, m in enumerate(mask.reshape(-1))]
    active = sorted((abs(float(weight.reshape(-1)[i])), i) for i, m in flat if m)
    inactive = sorted((-abs(float(gradient.reshape(-1)[i])), i) for i, m in flat if not m)
    expected = {i for _, i in active[count:]} | {i for _, i in inactive[:count]}
    assert set(new.reshape(-1).nonzero()[:, 0].tolist()) == expected
    assert int(new.sum()) == int(mask.sum())


def test_grown_weights_are_not_pruned_at_once() -> None:
    mask = torch.tensor([True, True, False, False])
    weight = torch.tensor([0.5, 0.1, 0.0, 0.0])
    new = grow_and_prune(weight, mask, torch.tensor([9.0, 9.0, 0.0, 1.0]), 1)
    assert new.tolist() == [True, False, False, True]


def test_methods_are_found_by_their_files() -> None:
    assert {"fedtiny", "fedavg"} <= set(method_names())
    for name in method_names():
        assert issubclass(load_method(name), Method)
