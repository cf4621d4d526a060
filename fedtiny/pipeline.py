"""The whole way in order: fleet → sparse model → graph → passes → plan → files → runners → report.

The command line calls nothing else. Data flows one way; a later stage never reaches back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from fedtiny.errors import UsageError, unknown_name
from fedtiny.files import check_replaceable, new_directory, new_file
from fedtiny.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedtiny.benchmark.result import BenchResult
    from fedtiny.compiler.ir import Graph
    from fedtiny.compiler.planner import Optimize, RamMode
    from fedtiny.compiler.quantizer import Options
    from fedtiny.devices.profiles import DeviceProfile, Target
    from fedtiny.exporters.format import DType, Io
    from fedtiny.federated.config import TrainConfig
    from fedtiny.federated.fleet import Fleet
    from fedtiny.report.curve import RamCurve
    from fedtiny.report.model import DeploymentReport
    from fedtiny.source import Source
    from fedtiny.sparse_model import SparseModel

REPORT, PAGE = "report.json", "report.html"
CALIBRATION_SAMPLES = 256


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = SILENT,
    fleet: Fleet | None = None,
) -> SparseModel:
    """Train one sparse model over a fleet, and write the run's page.

    See `fedtiny.federated.training.train`.
    """
    from fedtiny.federated.training import train as federated_train
    from fedtiny.report.html import render
    from fedtiny.report.run import read_run

    model = federated_train(config, out, progress=progress, resume=resume, fleet=fleet)
    with new_file(out / PAGE) as work:
        work.write_text(render(read_run(out)), "utf-8")
    return model


def export(
    model: Path | SparseModel,
    *,
    target: str | None = None,
    device: str | None = None,
    out: Path,
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
    """Compile a model for a target or a device and write the export folder.

    Args:
        model: See `fedtiny.source.open_source`.
        target: Name of an instruction-set class, unless `device` implies it.
        device: Name or TOML file of a board; sets the budgets.
        out: The folder; it is complete or absent.
        formats: Names of files in `exporters/formats/`; None writes those of
            `fedtiny.exporters.format.DEFAULT` that accept the model.
        dtype: `"int8"`, `"float32"` or `"float16"` (weights only); None is the target's own.
        io: `"int8"` or `"float32"`: what the application exchanges with the program; None is what
            the program computes in.
        density: Prune every prunable layer by magnitude first (a what-if).
        pattern: Which weights go together when pruned, of `fedtiny.compiler.patterns.NAMES`;
            None is unstructured. N:M is a density itself; others need one.
        calibration: Dataset name or `.npz` file that gives int8 ranges, unless the model has them.
        calibration_method: How ranges are chosen from what was seen: a file of
            `fedtiny/compiler/calibration_methods/`.
        equalize: Whether to equalize channels across layers; None decides on the samples.
        correct_bias: Whether to correct biases; None decides on the samples.
        ram: What the schedule saves; see `fedtiny.compiler.planner.plan`.
        feed: The program takes its one input row by row (`model_push_row`) and keeps no more of it
            than its layers still need.
        optimize: `"size"` takes kernels and formats of fewer bytes of flash that are slower; see
            `fedtiny.compiler.planner.plan`.
        progress: Where to report.

    Returns:
        The report, also in the folder; `failure()` says whether the model fits.

    Raises:
        UsageError: Bad input or usage.
        RunnerError: The generated C did not build.
    """
    from fedtiny import export_folder
    from fedtiny.compiler.compile import compile_graph
    from fedtiny.compiler.patterns import density_of
    from fedtiny.compiler.quantizer import Options
    from fedtiny.exporters.format import Request, accepted, names
    from fedtiny.fitting import Export
    from fedtiny.source import open_source

    if pattern is not None:
        density = density_of(pattern, density)
    if (target is None) == (device is None):
        raise UsageError("give either a target (an instruction-set class) or a device (a board).")
    for name in formats or ():
        if name not in names():
            raise unknown_name("format", name, names())
    check_replaceable(out, REPORT)
    board, chip = _target(target, device)
    with progress.task("compiling", 3) as task:
        task.advance(0, "reading the model")
        source = open_source(model)
        task.advance(1, "passes")
        options = Options(calibration_method, equalize, correct_bias)
        kind = dtype or _dtype(source, chip)
        lowering = Lowering(source, kind, calibration, options, pattern or "unstructured")
        graph = lowering.final(density)
        task.advance(1, "planning")
        compiled = compile_graph(graph, chip, ram, board, feed, optimize)
        task.advance()
    request = Request(compiled.graph, compiled.plan, lowering.dtype, _io(graph, io))
    chosen = accepted(request, formats)
    made = Export(
        source=source,
        before=None if density is None else lowering.before,
        real=lowering.real(density),
        compiled=compiled,
        device=board,
        pruned=lowering.final,
        dtype=request.dtype,
        io=request.io,
    )
    with new_directory(out, REPORT) as work:
        return export_folder.write(made, work, chosen, progress)


def curve(
    model: Path | SparseModel,
    *,
    target: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    density: float | None = None,
    pattern: str | None = None,
    calibration: str | None = None,
    feed: bool = False,
    progress: Progress = SILENT,
) -> RamCurve:
    """What less memory costs a model in instructions; the arguments are those of `export`.

    Raises:
        UsageError: Bad input or usage.
    """
    from fedtiny.compiler import compile as compiler
    from fedtiny.compiler.patterns import density_of
    from fedtiny.compiler.quantizer import Options
    from fedtiny.report.build import describe_curve
    from fedtiny.source import open_source

    if pattern is not None:
        density = density_of(pattern, density)
    if (target is None) == (device is None):
        raise UsageError("give either a target (an instruction-set class) or a device (a board).")
    board, chip = _target(target, device)
    with progress.task("planning", 1) as task:
        source = open_source(model)
        kind = dtype or _dtype(source, chip)
        lowering = Lowering(source, kind, calibration, Options(), pattern or "unstructured")
        points = compiler.curve(lowering.final(density), chip, feed)
        task.advance()
    return describe_curve(source.name, chip.name, board, points)


def verify(
    directory: Path, runners: Sequence[str] = (), progress: Progress = SILENT
) -> DeploymentReport:
    """Hold an export folder to its golden vectors, and put what is seen in its report.

    Args:
        directory: The export folder.
        runners: Names as in `--on`; empty means this machine and the target's own runner.
        progress: Where to report.

    Raises:
        UsageError: The folder is no export, or a runner's name is unknown.
        RunnerError: A runner is not available, or failed.
    """
    from fedtiny import export_folder
    from fedtiny.report import html

    report = export_folder.check(directory, runners, progress)
    with new_file(directory / PAGE) as work:
        work.write_text(html.render(report), "utf-8")
    with new_file(directory / REPORT) as work:
        work.write_text(report.to_json(), "utf-8")
    return report


def bench(
    directory: Path,
    against: Sequence[str] = (),
    threads: Sequence[int] | None = None,
    rounds: int = 50,
    progress: Progress = SILENT,
) -> BenchResult:
    """Time an export's C program on this machine, in turns with stock runtimes.

    Args:
        directory: The export folder; nothing in it changes.
        against: Names of files in `fedtiny/benchmark/contenders/`.
        threads: How many threads each may use; every number is measured on its own. None: one, and
            two where there are two processors.
        rounds: How often each has its turn.
        progress: Where to report.

    Raises:
        UsageError: The folder is no export or lacks a file, or a name is unknown.
        RunnerError: A runtime or a compiler is missing, or failed.
        MismatchError: Outputs differ from the reference.
    """
    from fedtiny import export_folder
    from fedtiny.benchmark import race

    report, golden = export_folder.read(directory)
    return race.run(directory, report, golden, against, threads, rounds, progress)


def demo(out: Path, progress: Progress = SILENT) -> list[DeploymentReport]:
    """Train on real images, compile for two targets, and verify on emulated cores."""
    from fedtiny.federated.demo import demo_config

    train(demo_config(), out / "run", progress=progress)
    reports = []
    for device in ("nucleo-l4r5zi", "raspberry-pi-zero-2w"):
        progress.log(f"compiling for {device}")
        export(out / "run", device=device, out=out / device, progress=progress)
        reports.append(verify(out / device, progress=progress))
    return reports


def _target(target: str | None, device: str | None) -> tuple[DeviceProfile | None, Target]:
    from fedtiny.devices import profiles

    if device is not None:
        board = profiles.board(device)
        return board, profiles.target(board.target)
    assert target is not None
    return None, profiles.target(target)


def _io(graph: Graph, wanted: str | None) -> Io:
    """What the program exchanges: int8 programs can convert real numbers themselves."""
    dtype: Io = "int8" if graph[graph.inputs[0]].dtype == "int8" else "float32"
    match wanted:
        case None:
            return dtype
        case "float32":
            return "float32"
        case "int8":
            if dtype == "float32":
                raise UsageError("a float32 program cannot exchange int8; use --dtype int8.")
            return "int8"
        case _:
            raise unknown_name("input/output type", wanted, ("int8", "float32"))


class Lowering:
    """A model on its way to the planner, at any density."""

    def __init__(
        self,
        source: Source,
        dtype: str,
        calibration: str | None,
        options: Options,
        pattern: str,
    ) -> None:
        from fedtiny.compiler.passes import lower

        if dtype not in ("int8", "float32", "float16"):
            raise unknown_name("dtype", dtype, ("int8", "float32", "float16"))
        self.source, self.options, self.pattern = source, options, pattern
        self.dtype = cast("DType", dtype)
        integers = _is_int8(source)
        if integers and dtype != "int8":
            raise UsageError(f"model {source.name!r} is int8 already; {dtype} is not possible.")
        if (integers or dtype != "int8") and options != type(options)():
            why = "is int8 already" if integers else f"stays {dtype}"
            raise UsageError(
                f"model {source.name!r} {why}: it is not quantized; leave out "
                "--calibration-method, --equalize and --correct-bias."
            )
        self.integers = integers
        self.before = lower(source.graph)
        self.samples = None if integers or dtype != "int8" else _samples(source, calibration)
        self.calibrated = calibration is not None

    def real(self, density: float | None) -> Graph | None:
        """The float graph; None for a model that came as int8."""
        return None if self.integers else self._pruned(density)

    def final(self, density: float | None) -> Graph:
        """The graph to plan."""
        from fedtiny.compiler.passes import round_float16

        graph = self._pruned(density)
        if self.dtype == "float16":
            return round_float16(graph)
        return graph if self.integers or self.dtype == "float32" else self._quantized(graph)

    def _pruned(self, density: float | None) -> Graph:
        from fedtiny.compiler.passes import prune_magnitude
        from fedtiny.compiler.patterns import n_of_m

        if density is None:
            return self.before
        groups = n_of_m(self.pattern)
        if groups and density != groups[0] / groups[1]:  # a density that would fit a device
            return prune_magnitude(self.before, density)
        return prune_magnitude(self.before, density, self.pattern)

    def _quantized(self, graph: Graph) -> Graph:
        """By samples, by what clients saw, or by both."""
        from fedtiny.compiler.calibration import choose_ranges
        from fedtiny.compiler.histogram import Histogram
        from fedtiny.compiler.passes import quantize
        from fedtiny.compiler.quantizer import quantize_with_data

        if self.calibrated and self.samples is not None:
            return quantize_with_data(graph, self.samples, self.options).graph
        seen = dict(self.source.histograms)
        if not seen:
            if self.options.method != "minmax":
                raise UsageError(
                    f"model {self.source.name!r} holds ranges but no histograms for "
                    f"--calibration-method {self.options.method}; give --calibration "
                    "NAME|FILE.npz."
                )
            seen = {name: Histogram(*pair) for name, pair in self.source.ranges.items()}
        if self.samples is None:
            if self.options.correct or self.options.equalize:
                raise UsageError(
                    f"model {self.source.name!r} holds no samples to equalize channels or correct "
                    "biases on; give --calibration NAME|FILE.npz."
                )
            return quantize(graph, choose_ranges(seen, self.options.method))
        return quantize_with_data(graph, self.samples, self.options, seen).graph


def _is_int8(source: Source) -> bool:
    return any(tensor.dtype == "int8" for tensor in source.graph.activations())


def _dtype(source: Source, chip: Target) -> str:
    """What a model is compiled to where nothing was asked for."""
    return "int8" if _is_int8(source) else chip.dtype


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _samples(source: Source, calibration: str | None) -> NDArray[np.float32] | None:
    """What to calibrate or to correct biases on; None where ranges alone are known."""
    from fedtiny.data import load_dataset
    from fedtiny.evaluation import real_inputs

    if calibration is not None:
        dataset = load_dataset(calibration)
        samples = np.arange(min(CALIBRATION_SAMPLES, dataset.test_from))
        inputs = real_inputs(dataset.subset(samples))
        wanted = source.graph[source.graph.inputs[0]].shape[1:]
        if inputs.shape[1:] != wanted:
            raise UsageError(
                f"--calibration {calibration!r} has samples of {_size(inputs.shape[1:])}; model "
                f"{source.name!r} takes {_size(wanted)}, channels last."
            )
        return inputs
    if not source.ranges:
        raise UsageError(
            f"model {source.name!r} has no activation ranges for int8; give --calibration "
            "NAME|FILE.npz, or use --dtype float32."
        )
    return source.samples
