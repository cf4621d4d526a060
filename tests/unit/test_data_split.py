"""Splits are disjoint by construction, seeded, and as uneven as asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.data import ClientIndices, Dataset, Split, split
from fedtiny.errors import UsageError

pytestmark = pytest.mark.quick


def dataset(count: int = 600, classes: int = 5) -> Dataset:
    labels = np.random.default_rng(1).integers(0, classes, count)
    names = tuple(map(str, range(classes)))
    return Dataset("d", np.zeros((count, 1, 2, 2), np.uint8), labels, names, count - 100)


def parts(result: Split) -> list[np.ndarray]:
    held = [p for c in result.clients for p in (c.train, c.selection)]
    return [result.public, result.test, *held]


@settings(max_examples=40, deadline=None)
@given(
    clients=st.integers(1, 12),
    alpha=st.one_of(st.none(), st.floats(0.3, 50)),
    seed=st.integers(0, 2**32),
)
def test_every_sample_is_in_exactly_one_part(clients: int, alpha: float, seed: int) -> None:
    data = dataset()
    result = split(data, clients, alpha, seed)
    together = np.concatenate(parts(result))
    assert np.array_equal(np.sort(together), np.arange(600))
    assert np.array_equal(result.test, np.arange(500, 600))
    assert all(len(c.train) >= 2 and len(c.selection) >= 1 for c in result.clients)
    again = split(data, clients, alpha, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts(result), parts(again), strict=True))


def test_overlapping_parts_cannot_be_made() -> None:
    def indices(*values: int) -> np.ndarray:
        return np.array(values, np.int64)

    def make(public: np.ndarray, train: np.ndarray, held: np.ndarray, test: np.ndarray) -> Split:
        return Split(8, public, (ClientIndices(train, held),), test)

    make(indices(0), indices(1, 2), indices(3), indices(4))
    for overlapping in (
        (indices(4), indices(1, 2), indices(3), indices(4)),
        (indices(0), indices(0, 2), indices(3), indices(4)),
        (indices(0), indices(1, 3), indices(3), indices(4)),
        (indices(0), indices(1, 4), indices(3), indices(4)),
        (indices(0), indices(1, 1), indices(3), indices(4)),
    ):
        with pytest.raises(ValueError, match="two parts"):
            make(*overlapping)
    for outside in (indices(-1), indices(8)):
        with pytest.raises(ValueError, match="out of bounds"):
            make(outside, indices(1), indices(2), indices(3))


def unevenness(alpha: float | None) -> float:
    data = dataset(4000)
    clients = split(data, 10, alpha, 0).clients
    counts = np.array([np.bincount(data.labels[c.train], minlength=5) for c in clients])
    return float((counts / counts.sum(1, keepdims=True)).std(0).mean())


def test_smaller_alpha_is_more_uneven() -> None:
    assert unevenness(0.2) > 2 * unevenness(5.0) > unevenness(None)


def test_seeds_differ() -> None:
    a, b = (split(dataset(), 4, 0.5, seed).clients[0].train for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_too_few_samples() -> None:
    with pytest.raises(UsageError, match="too few samples for --clients 50"):
        split(dataset(), 50, 0.5, 0)
    with pytest.raises(UsageError, match=r"at --alpha 0\.001"):
        split(dataset(), 8, 0.001, 0)
    data = dataset()
    with pytest.raises(UsageError, match="no test set"):
        split(Dataset("d", data.images, data.labels, data.classes, 600), 2, 0.5, 0)


def test_shards_give_each_client_few_labels() -> None:
    data = dataset(2100)
    result = split(data, 10, 0.5, 0, shards=2)
    assert np.array_equal(np.sort(np.concatenate(parts(result))), np.arange(2100))
    held = [np.concatenate([c.train, c.selection]) for c in result.clients]
    assert max(map(len, held)) - min(map(len, held)) <= 2
    labels = [len(np.unique(data.labels[indices])) for indices in held]
    assert max(labels) <= 4  # two shards, each of which may lie across two labels
    assert min(labels) < 4
    with pytest.raises(UsageError, match="too few samples for --clients 50 of --shards 2"):
        split(dataset(), 50, 0.5, 0, shards=2)


def test_users_stay_together() -> None:
    plain = dataset(600)
    users = np.random.default_rng(3).integers(0, 20, 600)
    data = Dataset("d", plain.images, plain.labels, plain.classes, 500, users)
    result = split(data, 6, 0.5, 0, by_user=True)
    assert np.array_equal(np.sort(np.concatenate(parts(result))), np.arange(600))
    owners = [set(users[np.concatenate([c.train, c.selection])]) for c in result.clients]
    assert sum(map(len, owners)) == len(set().union(*owners))
    sizes = [len(c.train) + len(c.selection) for c in result.clients]
    assert max(sizes) < 1.5 * min(sizes)
    with pytest.raises(UsageError, match="too few samples for --clients 21 --by-user"):
        split(data, 21, 0.5, 0, by_user=True)
    with pytest.raises(UsageError, match="names no users for --by-user"):
        split(plain, 3, 0.5, 0, by_user=True)
