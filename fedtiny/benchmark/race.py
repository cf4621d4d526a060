"""Contenders that take turns, so that whatever else the machine does slows all of them."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedtiny import verification
from fedtiny.benchmark import contender
from fedtiny.benchmark.contender import OURS, Contender
from fedtiny.benchmark.process import Process, started
from fedtiny.benchmark.result import BenchResult, Entry, Machine, Race, Spread
from fedtiny.errors import MismatchError, UsageError
from fedtiny.golden import Golden
from fedtiny.progress import SILENT, Progress
from fedtiny.report.model import DeploymentReport, ModelInfo

BATCH_MS = 20.0
"""How long a contender's turn takes, or one inference."""
STARTS = 3
"""Of each process before the race, for the medians of what loading takes."""


def run(
    directory: Path,
    report: DeploymentReport,
    golden: Golden,
    against: Sequence[str],
    threads: Sequence[int] | None,
    rounds: int,
    progress: Progress = SILENT,
) -> BenchResult:
    """Time an export's C and stock runtimes that load its other files.

    Args:
        directory: The export folder.
        report: Its report.
        golden: Its golden vectors: the inputs, and what must come out.
        against: Names of runtimes.
        threads: Numbers of threads; each is a race of its own. None: one, and two where there are
            two processors.
        rounds: How often each contender has its turn in a race.
        progress: Where to report.

    Raises:
        UsageError: The folder lacks a file for one of them, or a name is unknown.
        RunnerError: A runtime is missing, or failed.
        MismatchError: Outputs differ from the reference.
    """
    chosen = {name: contender.load(name) for name in dict.fromkeys((OURS, *against))}
    files = {name: _artifact(directory, report, name, item) for name, item in chosen.items()}
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or range(1, min(2, cpus) + 1)
    if max(threads) > cpus:
        raise UsageError(f"{max(threads)} threads cannot be timed on {cpus} processors.")
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as work:
        wanted = {}
        for name, item in chosen.items():
            inputs = Path(work) / f"{name}.npy"
            np.save(inputs, item.to_runtime(report.model, golden.inputs))
            wanted[name] = (item.prepare(directory / files[name]), inputs)
        races = tuple(
            _race(chosen, files, wanted, report.model, golden, count, rounds, progress)
            for count in threads
        )
    system = f"{platform.system()} {platform.machine()}"
    return BenchResult(
        model=report.model.name,
        dtype=report.model.input.dtype,
        density=report.model.density,
        target=report.target,
        machine=Machine(_processor(), cpus, system),
        rounds=rounds,
        races=races,
    )


def _artifact(directory: Path, report: DeploymentReport, name: str, item: Contender) -> str:
    found = {artifact.format: artifact.path for artifact in report.artifacts}
    for kind in item.formats:
        if kind in found:
            return found[kind]
    raise UsageError(
        f"{str(directory)!r} holds nothing that {name} loads ({', '.join(item.formats)}); export "
        f"with --format {item.formats[0]} too."
    )


def _race(
    chosen: dict[str, Contender],
    files: dict[str, str],
    wanted: dict[str, tuple[Path, Path]],
    model: ModelInfo,
    golden: Golden,
    threads: int,
    rounds: int,
    progress: Progress,
) -> Race:
    """One number of threads."""
    used = {name: min(threads, item.threads or threads) for name, item in chosen.items()}
    starting = {name: (*pair, used[name]) for name, pair in wanted.items()}
    integers = golden.lsb != 0
    loads: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    title = f"{threads} thread{'s' if threads > 1 else ''}"
    with progress.task(f"timing, {title}", STARTS + rounds) as task:
        for _ in range(STARTS - 1):
            with started(starting, integers) as processes:
                for name, process in processes.items():
                    loads[name].append(process.ready)
            task.advance()
        with started(starting, integers) as processes, tempfile.TemporaryDirectory() as work:
            for name, process in processes.items():
                loads[name].append(process.ready)
                _check(process, chosen[name], model, golden, Path(work) / f"{name}.npy")
            batches = {
                name: int(process.ask("calibrate", BATCH_MS)["count"])
                for name, process in processes.items()
            }
            task.advance()
            times: dict[str, list[float]] = {name: [] for name in processes}
            order = list(processes)
            for _ in range(rounds):
                for name in order:
                    spent = float(processes[name].ask("time", batches[name])["ms"])
                    times[name].append(spent / batches[name] * 1e3)
                order = [*order[1:], order[0]]  # nobody always follows the same one
                task.advance()
            peaks = {name: int(item.ask("peak")["peak_bytes"]) for name, item in processes.items()}
    ours = times[OURS]
    entries = []
    for name in chosen:
        ratios = [theirs / own for theirs, own in zip(times[name], ours, strict=True)]
        baseline = statistics.median(load["baseline_bytes"] for load in loads[name])
        load_ms, import_ms, first_ms = (
            statistics.median(load[key] for load in loads[name])
            for key in ("load_ms", "import_ms", "first_ms")
        )
        entries.append(
            Entry(
                name=name,
                version=str(loads[name][0]["version"]),
                file=files[name],
                threads=used[name],
                batch=batches[name],
                time_us=Spread.of(times[name]),
                ratio=None if name == OURS else Spread.of(ratios),
                load_ms=load_ms,
                import_ms=import_ms,
                first_ms=first_ms,
                peak_bytes=peaks[name],
                runtime_bytes=peaks[name] - int(baseline),
            )
        )
    return Race(threads, tuple(entries))


def _check(process: Process, item: Contender, model: ModelInfo, golden: Golden, path: Path) -> None:
    """Hold a contender to the golden vectors before it is timed.

    Raises:
        MismatchError: Its outputs are wrong.
    """
    process.ask("outputs", path)
    outputs = item.from_runtime(model, np.load(path))
    accepted = verification.tolerance(golden, int(process.ready["tolerance_lsb"]))
    found = verification.compare(process.name, outputs, golden, accepted)
    if not found.equal:
        raise MismatchError(
            f"outputs of {process.name} differ from the reference by {found.max_abs_error} "
            f"(accepted: {accepted:g}); nothing was timed."
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
