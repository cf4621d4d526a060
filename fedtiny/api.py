"""The Python interface: the commands as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedtiny import pipeline
from fedtiny.deployment import deployed
from fedtiny.federated.config import TrainConfig
from fedtiny.progress import SILENT, Progress
from fedtiny.report.curve import RamCurve
from fedtiny.report.model import DeploymentReport
from fedtiny.sparse_model import SparseModel

if TYPE_CHECKING:
    from fedtiny.benchmark.result import BenchResult
    from fedtiny.compiler.planner import Optimize, RamMode

__all__ = ["bench", "curve", "deployed", "export", "load", "train", "verify"]


def train(
    out: str | Path, *, resume: bool = False, progress: Progress = SILENT, **options: Any
) -> SparseModel:
    """Train one sparse model over a fleet: `fedtiny train`.

    Args:
        out: The RUN folder.
        resume: Go on from the last checkpoint.
        progress: Where to report.
        options: The fields of `fedtiny.federated.config.TrainConfig`.
    """
    return pipeline.train(TrainConfig(**options), Path(out), resume=resume, progress=progress)


def load(path: str | Path) -> SparseModel:
    """Load a trained model from a RUN folder or its `.safetensors`.

    Raises:
        UsageError: It is missing or damaged.
    """
    place = Path(path)
    return SparseModel.load(place / "model.safetensors" if place.is_dir() else place)


def curve(model: str | Path | SparseModel, **options: Any) -> RamCurve:
    """What less memory costs in instructions: `fedtiny plan`; see `fedtiny.pipeline.curve`."""
    return pipeline.curve(model if isinstance(model, SparseModel) else Path(model), **options)


def export(
    model: str | Path | SparseModel,
    *,
    target: str | None = None,
    device: str | None = None,
    out: str | Path,
    formats: Sequence[str] | None = None,
    dtype: str | None = None,
    io: str | None = None,
    density: float | None = None,
    pattern: str | None = None,
    calibration: str | None = None,
    calibration_method: str = "minmax",
    equalize: bool | None = None,
    correct_bias: bool | None = None,
    ram: RamMode = "balanced",
    feed: bool = False,
    optimize: Optimize = "speed",
    progress: Progress = SILENT,
) -> DeploymentReport:
    """Compile a model: `fedtiny export`; see `fedtiny.pipeline.export`."""
    return pipeline.export(
        model if isinstance(model, SparseModel) else Path(model),
        target=target,
        device=device,
        out=Path(out),
        formats=formats,
        dtype=dtype,
        io=io,
        density=density,
        pattern=pattern,
        calibration=calibration,
        calibration_method=calibration_method,
        equalize=equalize,
        correct_bias=correct_bias,
        ram=ram,
        feed=feed,
        optimize=optimize,
        progress=progress,
    )


def verify(
    directory: str | Path, runners: Sequence[str] = (), progress: Progress = SILENT
) -> DeploymentReport:
    """Hold an export to its golden vectors: `fedtiny verify`; see `fedtiny.pipeline.verify`."""
    return pipeline.verify(Path(directory), runners, progress)


def bench(
    directory: str | Path,
    against: Sequence[str] = (),
    threads: Sequence[int] | None = None,
    rounds: int = 50,
    progress: Progress = SILENT,
) -> BenchResult:
    """Time an export beside stock runtimes: `fedtiny bench`; see `fedtiny.pipeline.bench`."""
    return pipeline.bench(Path(directory), against, threads, rounds, progress)
