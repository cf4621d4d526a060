"""`run.json` of a training run, as reports read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from fedtiny.errors import UsageError
from fedtiny.reading import read_json
from fedtiny.report.codec import decode
from fedtiny.report.model import Metric, Round

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Options:
    """The options that a report states."""

    data: str
    model: str
    method: str
    density: float
    clients: int
    rounds: int
    seed: int
    cohort: int | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class Event:
    """Something that went wrong or changed."""

    round: int
    what: str
    client: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class RoundRecord:
    """One round; bytes and FLOPs are summed over its clients."""

    round: int
    accuracy: float | None
    loss: float
    density: float
    density_by_layer: Mapping[str, float]
    mask_changes: int
    bytes_up: int
    bytes_down: int
    training_flops: float
    events: tuple[Event, ...] = ()
    auc: float | None = None

    @property
    def for_chart(self) -> Round:
        """What the accuracy chart draws."""
        return Round(self.round, self.accuracy, self.density, self.bytes_up, self.bytes_down)


@dataclass(frozen=True)
class Candidate:
    """A candidate of adaptive batch-normalization selection."""

    loss: float


@dataclass(frozen=True)
class Initialization:
    """Before the first round."""

    bytes_up: int
    bytes_down: int
    candidates: tuple[Candidate, ...] = ()
    chosen: int | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class ClientAccuracy:
    """Accuracy on the clients' own held-out samples, by client; or the error of reconstructions."""

    mean: float
    worst: float
    spread: float
    accuracy: Mapping[str, float] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)

    @property
    def metric(self) -> Metric:
        """What the figures are."""
        return "mean squared error" if self.loss else "accuracy"

    @property
    def values(self) -> Mapping[str, float]:
        """By client."""
        return self.loss or self.accuracy


@dataclass(frozen=True)
class Final:
    """After the last round, with final batch-normalization statistics."""

    accuracy: float | None
    clients: ClientAccuracy
    bytes_up: int
    bytes_down: int
    events: tuple[Event, ...] = ()
    loss: float | None = None
    auc: float | None = None

    @property
    def metric(self) -> Metric:
        """What `quality` is."""
        if self.accuracy is not None:
            return "accuracy"
        return "mean squared error" if self.auc is None else "AUC"

    @property
    def quality(self) -> float | None:
        """On the test set."""
        if self.accuracy is not None:
            return self.accuracy
        return self.loss if self.auc is None else self.auc


@dataclass(frozen=True)
class ClientSamples:
    """How many samples a client holds; of its training samples, how many of each label."""

    train: int
    selection: int
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class DataInfo:
    """How the data were dealt."""

    test: int
    public: int
    clients: tuple[ClientSamples, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelRecord:
    """The network that was trained. Storage is that of the least of the known sparse formats."""

    name: str
    parameters: int
    parameters_nonzero: int
    storage_bytes: float
    storage_bytes_dense: float


@dataclass(frozen=True)
class PrivacyRecord:
    """What a private run guarantees; `epsilon` is None where `why` says so."""

    protects: str
    noise: float
    clip_norm: float
    delta: float
    mechanisms: int
    epsilon: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """A finished run."""

    config: Options
    data: DataInfo
    model: ModelRecord
    initialization: Initialization
    history: tuple[RoundRecord, ...]
    final: Final
    versions: Mapping[str, str] = field(default_factory=dict)
    privacy: PrivacyRecord | None = None

    @property
    def parts(self) -> tuple[Initialization | RoundRecord | Final, ...]:
        """What happened, in order."""
        return (self.initialization, *self.history, self.final)

    @property
    def bytes_up(self) -> int:
        """Everything that all clients sent, as serialized."""
        return sum(part.bytes_up for part in self.parts)

    @property
    def bytes_down(self) -> int:
        """Everything that all clients received, as serialized."""
        return sum(part.bytes_down for part in self.parts)

    @property
    def events(self) -> tuple[Event, ...]:
        """Every event, in order."""
        return tuple(event for part in self.parts for event in part.events)

    @property
    def density_by_layer(self) -> Mapping[str, float]:
        """After the last round."""
        return self.history[-1].density_by_layer if self.history else {}


def read_run(folder: Path) -> RunRecord:
    """Read `run.json` of a run folder.

    Raises:
        UsageError: There is none, or it is damaged.
    """
    path = folder / RUN_FILE
    try:
        content = read_json(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}).") from None
    run = decode(RunRecord, content, str(path))
    if run.config.clients < 1:
        raise UsageError(f"{path} is damaged: it has {run.config.clients} clients.")
    rounds = [row.round for row in run.history]
    if any(later <= earlier for earlier, later in pairwise(rounds)):
        raise UsageError(f"{path} is damaged: its rounds are not in order.")
    return run
