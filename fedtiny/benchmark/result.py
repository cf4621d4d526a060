"""What a benchmark found, as `fedtiny bench --json` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        q1, median, q3 = (float(q) for q in np.percentile(values, (25, 50, 75)))
        return cls(q1, median, q3)


@dataclass(frozen=True)
class Entry:
    """What one contender needed, in a process of its own.

    Attributes:
        name: The contender.
        version: Of its runtime.
        file: The artifact that it loaded, relative to the export folder.
        threads: How many it used.
        batch: Inferences that a round times together.
        time_us: Of one inference.
        ratio: Its time over ours of the same round; None for ours.
        load_ms: From the file on disk to a model that is ready, the runtime itself already loaded.
        import_ms: Loading the runtime.
        first_ms: The first inference.
        peak_bytes: Resident memory of the process at its peak.
        runtime_bytes: By how much that is more than before the runtime was loaded.
    """

    name: str
    version: str
    file: str
    threads: int
    batch: int
    time_us: Spread
    ratio: Spread | None
    load_ms: float
    import_ms: float
    first_ms: float
    peak_bytes: int
    runtime_bytes: int


@dataclass(frozen=True)
class Race:
    """Contenders that took turns.

    Attributes:
        threads: How many each was allowed.
        entries: Ours first.
    """

    threads: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Machine:
    """Where the times were measured, which hold for nothing else."""

    processor: str
    cpus: int
    system: str


@dataclass(frozen=True)
class BenchResult:
    """Everything that was measured.

    Attributes:
        model: The model's name.
        dtype: What the exported program exchanges.
        density: Of its weights.
        target: What the C was planned for.
        machine: Where it ran.
        rounds: How often each contender had its turn.
        races: One for each number of threads.
        schema_version: Raised when a key changes its meaning.
    """

    model: str
    dtype: str
    density: float
    target: str
    machine: Machine
    rounds: int
    races: tuple[Race, ...]
    schema_version: int = SCHEMA_VERSION
