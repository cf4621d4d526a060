"""The options of a training run, checked when made."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from math import isfinite

from fedtiny import discovery
from fedtiny.errors import UsageError, unknown_name

PATTERNS = ("unstructured", "block1x4")
AGGREGATES = ("mean", "trimmed-mean", "median")

TRAINING_ENGINES = ("auto", "torch", "sparse")

METHODS = "fedtiny.pruning.methods"
ENGINES = "fedtiny.federated.engines"
PLAYS = ("engine", "workers", "tensorboard")
"""Options on which results do not depend."""

# The paper's schedule, which shorter runs scale down.
_PAPER_ROUNDS, _PAPER_EVERY, _PAPER_UNTIL = 300, 10, 100


@dataclass(frozen=True)
class TrainConfig:
    """Options of `fedtiny train`.

    Attributes:
        data: Name or path of the dataset.
        model: Name of the network, or ``"package.module:factory"``.
        density: Share of the prunable weights that stay.
        method: Name of the pruning method.
        pattern: Which weights stay or go together, see `fedtiny.pruning.groups`.
        devices: Names of device profiles that every candidate must fit.
        clients: How many clients there are.
        cohort: How many take part in a round; None is all.
        alpha: Dirichlet concentration of the clients' labels; None is IID.
        shards: Shards of equal labels that a client has, instead of `alpha`; None is none.
        by_user: Whether every user of the dataset is at one client, instead of `alpha`.
        rounds: Federated rounds.
        local_epochs: Passes of a client over its data in a round.
        lr: Learning rate of the first round; it falls to zero along a half cosine.
        momentum: Of a client's SGD; starts from zero each round.
        weight_decay: Of a client's SGD.
        batch: Batch size.
        pretrain_epochs: Passes of the server over its public data before pruning.
        candidates: Size of the candidate pool; None is max(2, round(0.1 / density)).
        adjust_every: Rounds between mask changes; None scales the paper's 10 of 300.
        adjust_until: Round at which mask changes have faded to none; None scales the paper's 100.
        aggregate: ``"mean"`` by samples, ``"trimmed-mean"`` or ``"median"``.
        clip_norm: Longest update of a client, in Euclidean length; None is any.
        dp_noise: Noise that clients add to all they send, in units of `clip_norm`, to which they
            clip; None is neither. See `fedtiny.federated.privacy`.
        dp_delta: δ at which ε is stated.
        min_cohort: Fewest sound answers of a round; with fewer, the model stays as it was.
        deadline: Seconds that clients have to answer; None is any. Results then depend on speed.
        seed: Of everything random.
        engine: Who carries messages to the clients: ``"local"`` or ``"flower"``. Results do not
            depend on it.
        training_engine: What computes updates: ``"sparse"``, a step in C that computes active
            weights only; ``"torch"``, which computes all under a mask; or ``"auto"``, the former
            where there is a C compiler and it knows the network. They round differently, so that a
            run goes on with the one it began with.
        workers: Processes that play the clients; 0 is this process; None is one a core. Results
            do not depend on it.
        tensorboard: Whether to write TensorBoard's event files as well.
    """

    data: str
    model: str
    density: float
    method: str = "fedtiny"
    pattern: str = "unstructured"
    devices: tuple[str, ...] = ()
    clients: int = 10
    cohort: int | None = None
    alpha: float | None = 0.5
    shards: int | None = None
    by_user: bool = False
    rounds: int = 300
    local_epochs: int = 5
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 64
    pretrain_epochs: int = 10
    candidates: int | None = None
    adjust_every: int | None = None
    adjust_until: int | None = None
    aggregate: str = "mean"
    clip_norm: float | None = None
    dp_noise: float | None = None
    dp_delta: float = 1e-5
    min_cohort: int = 1
    deadline: float | None = None
    seed: int = 0
    engine: str = "local"
    training_engine: str = "auto"
    workers: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Check every option.

        Raises:
            UsageError: One is out of its range.
        """
        object.__setattr__(self, "devices", tuple(self.devices))
        for name in ("clients", "rounds", "local_epochs"):
            self._integer(name, 1)
        for name in ("cohort", "candidates", "adjust_every", "shards"):
            self._integer(name, 1, optional=True)
        self._integer("batch", 2)
        self._integer("pretrain_epochs", 0)
        self._integer("adjust_until", 0, optional=True)
        self._integer("workers", 0, optional=True)
        self._integer("seed", 0)
        self._number("density", above=0, to=1)
        self._number("lr", above=0)
        self._number("momentum", least=0, below=1)
        self._number("weight_decay", least=0)
        if self.alpha is not None:
            self._number("alpha", above=0)
        if self.by_user and self.shards is not None:
            raise UsageError("--by-user and --shards are two divisions; give one of them.")
        if self.cohort is not None and self.cohort > self.clients:
            raise UsageError(
                f"--cohort is {self.cohort}; accepted is 1 to {self.clients}, the number of "
                "clients."
            )
        for name in ("clip_norm", "deadline", "dp_noise"):
            if getattr(self, name) is not None:
                self._number(name, above=0)
        self._number("dp_delta", above=0, below=1)
        if self.dp_noise is not None and self.clip_norm is None:
            raise UsageError(
                "--dp-noise needs --clip-norm, the length that updates are clipped to."
            )
        self._integer("min_cohort", 1)
        if self.min_cohort > self.cohort_size:
            raise UsageError(
                f"--min-cohort is {self.min_cohort}; accepted is 1 to {self.cohort_size}, the "
                "clients of a round."
            )
        if self.aggregate not in AGGREGATES:
            raise unknown_name("aggregate", self.aggregate, AGGREGATES)
        if self.method not in discovery.names(METHODS):
            raise unknown_name("method", self.method, discovery.names(METHODS))
        if self.pattern not in PATTERNS:
            raise unknown_name("pattern", self.pattern, PATTERNS)
        if self.training_engine not in TRAINING_ENGINES:
            raise unknown_name("training engine", self.training_engine, TRAINING_ENGINES)
        if self.engine not in discovery.names(ENGINES):
            raise unknown_name("engine", self.engine, discovery.names(ENGINES))

    def _integer(self, name: str, least: int, optional: bool = False) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UsageError(
                f"{_option(name)} is {value!r}; accepted is a whole number from {least}."
            )

    def _number(
        self,
        name: str,
        least: float = -math.inf,
        above: float = -math.inf,
        below: float = math.inf,
        to: float = math.inf,
    ) -> None:
        value = getattr(self, name)
        bounds = (("at least", least), ("above", above), ("below", below), ("at most", to))
        accepted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if isfinite(bound))
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and isfinite(value) and least <= value <= to and above < value < below):
            raise UsageError(f"{_option(name)} is {value!r}; accepted is a number {accepted}.")

    @property
    def cohort_size(self) -> int:
        """Clients that take part in a round."""
        return self.clients if self.cohort is None else self.cohort

    @property
    def pool_size(self) -> int:
        """Candidates in the pool."""
        return max(2, round(0.1 / self.density)) if self.candidates is None else self.candidates

    @property
    def adjustment_interval(self) -> int:
        """Rounds between mask changes."""
        scale = min(1.0, self.rounds / _PAPER_ROUNDS)
        return self.adjust_every or max(1, round(_PAPER_EVERY * scale))

    @property
    def adjustment_end(self) -> int:
        """Round at which mask changes have faded to none."""
        scale = min(1.0, self.rounds / _PAPER_ROUNDS)
        return round(_PAPER_UNTIL * scale) if self.adjust_until is None else self.adjust_until

    @property
    def worker_count(self) -> int:
        """Worker processes, never more than clients."""
        count = (os.cpu_count() or 1) if self.workers is None else self.workers
        return min(count, self.clients)

    @property
    def evaluation_threads(self) -> int:
        """Threads of the server's evaluation; the workers are idle meanwhile."""
        return max(1, (os.cpu_count() or 1) if self.workers is None else self.workers)

    def learning_rate(self, round_: int) -> float:
        """The rate of a round, counted from 1."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * (round_ - 1) / self.rounds))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
