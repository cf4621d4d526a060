"""Who holds what: server, clients and test set, disjoint by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedtiny.data.dataset import Dataset
from fedtiny.errors import UsageError

Indices = npt.NDArray[np.int64]

PUBLIC_FRACTION = 1 / 7
"""Share of the training samples that the server holds (1,000 of the demo's 7,000)."""

SELECTION_FRACTION = 0.1
"""Share of a client's samples that it holds out to compare candidates."""

LEAST_SAMPLES = 10
"""Fewest samples of a client: one is held out, and batch normalization needs two to train."""

_TRIES = 1000


@dataclass(frozen=True)
class ClientIndices:
    """One client's samples.

    Attributes:
        train: What it trains on.
        selection: What it holds out for comparing candidates; never trained on.
    """

    train: Indices
    selection: Indices


@dataclass(frozen=True)
class Split:
    """Indices into one dataset, checked to be disjoint when made.

    Attributes:
        size: Samples of the dataset.
        public: The server's.
        clients: Each client's.
        test: Used for reported accuracy only.
    """

    size: int
    public: Indices
    clients: tuple[ClientIndices, ...]
    test: Indices

    def __post_init__(self) -> None:
        """Check that no sample is in two parts.

        Raises:
            ValueError: One is, or an index is out of bounds.
        """
        parts = [self.public, self.test]
        for client in self.clients:
            parts += [client.train, client.selection]
        uses = np.concatenate(parts)
        if uses.size and (uses.min() < 0 or uses.max() >= self.size):
            raise ValueError("an index of the split is out of bounds")
        if np.bincount(uses, minlength=self.size).max(initial=0) > 1:
            raise ValueError("a sample is in two parts of the split")


def split(
    dataset: Dataset,
    clients: int,
    alpha: float | None,
    seed: int,
    *,
    shards: int | None = None,
    by_user: bool = False,
) -> Split:
    """Divide a dataset: a stratified public part, the clients, the test set.

    Args:
        dataset: What to divide; its test set stays whole.
        clients: How many there are.
        alpha: Concentration of the Dirichlet distribution over clients, drawn for each class
            (smaller is less alike); None deals samples out evenly (IID).
        seed: Of the run.
        shards: Instead of `alpha`: samples sorted by label are cut into so many equal shards a
            client, which are dealt out at random.
        by_user: Instead of `alpha`: every user of the dataset is at one client; the largest
            first, to the client of fewest samples.

    Raises:
        UsageError: There are too few samples or users for so many clients, or no users at all.

    Source: Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated
    Visual Classification", arXiv 1909.06335 (Dirichlet); draws that leave a client with fewer than
    `LEAST_SAMPLES` are repeated. McMahan et al., arXiv 1602.05629 (shards).
    """
    dataset.test()
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5B117]))
    pool = rng.permutation(dataset.test_from)
    by_class = [pool[dataset.labels[pool] == c] for c in range(len(dataset.classes))]
    public = np.concatenate([part[: round(len(part) * PUBLIC_FRACTION)] for part in by_class])
    private = [part[round(len(part) * PUBLIC_FRACTION) :] for part in by_class]
    how = f"at --alpha {alpha}"
    shares: list[Indices] | None
    if by_user:
        how, shares = "--by-user", _deal_users(dataset, np.concatenate(private), clients)
    elif shards is not None:
        how, shares = f"of --shards {shards}", _deal_shards(rng, private, clients, shards)
    else:
        shares = _deal(rng, private, clients, alpha)
    if shares is None or min(map(len, shares)) < LEAST_SAMPLES:
        raise UsageError(
            f"dataset {dataset.name!r} has too few samples for --clients {clients} {how}: each "
            f"needs {LEAST_SAMPLES}; use fewer clients or a more even division."
        )
    held = []
    for share in shares:
        indices = rng.permutation(share)
        cut = max(1, round(len(indices) * SELECTION_FRACTION))
        held.append(ClientIndices(np.sort(indices[cut:]), np.sort(indices[:cut])))
    test = np.arange(dataset.test_from, len(dataset))
    return Split(len(dataset), np.sort(public), tuple(held), test)


def _deal(
    rng: np.random.Generator, by_class: list[Indices], clients: int, alpha: float | None
) -> list[Indices] | None:
    """Each client's samples, or None when no draw gave everybody enough."""
    if sum(map(len, by_class)) < clients * LEAST_SAMPLES:
        return None
    if alpha is None:
        return np.array_split(rng.permutation(np.concatenate(by_class)), clients)
    for _ in range(_TRIES):
        shares: list[list[Indices]] = [[] for _ in range(clients)]
        for samples in by_class:
            bounds = np.cumsum(rng.dirichlet(np.full(clients, alpha)))[:-1] * len(samples)
            for share, part in zip(shares, np.split(samples, bounds.astype(int)), strict=True):
                share.append(part)
        joined = [np.concatenate(share) for share in shares]
        if min(map(len, joined)) >= LEAST_SAMPLES:
            return joined
    return None


def _deal_shards(
    rng: np.random.Generator, by_class: list[Indices], clients: int, shards: int
) -> list[Indices]:
    parts = np.array_split(np.concatenate(by_class), clients * shards)
    order = rng.permutation(len(parts)).reshape(clients, shards)
    return [np.concatenate([parts[i] for i in row]) for row in order]


def _deal_users(dataset: Dataset, private: Indices, clients: int) -> list[Indices]:
    if dataset.users is None:
        raise UsageError(
            f"dataset {dataset.name!r} names no users for --by-user; accepted is a .npz file with "
            "an array user, or user_train."
        )
    users = dataset.users[private]
    names, counts = np.unique(users, return_counts=True)
    held: list[list[int]] = [[] for _ in range(clients)]
    load = [0] * clients
    for at in np.argsort(-counts, kind="stable"):
        client = load.index(min(load))
        held[client].append(int(names[at]))
        load[client] += int(counts[at])
    return [private[np.isin(users, mine)] for mine in held]
