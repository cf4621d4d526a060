"""An export folder: written from a plan, later checked against its own golden vectors."""

from __future__ import annotations

import gzip
import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedtiny import evaluation, fitting, verification
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.quantization import dequantize_values
from fedtiny.compiler.serialize import tables
from fedtiny.devices import profiles
from fedtiny.devices.runner import BuildInfo, make_runner
from fedtiny.errors import UsageError
from fedtiny.exporters import format
from fedtiny.exporters.format import Format, Io, Request
from fedtiny.fitting import Export
from fedtiny.golden import Golden, make_golden
from fedtiny.progress import Progress
from fedtiny.report import budget, build, html
from fedtiny.report.model import (
    Accuracy,
    Artifact,
    DeploymentReport,
    Toolchain,
    Verification,
    read_report,
)

REPORT, PAGE, GOLDEN = "report.json", "report.html", "golden.npz"
GOLDEN_VECTORS = 8
VERSIONS = ("fedtiny", "torch", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "unicorn")


def write(
    export: Export, folder: Path, formats: Mapping[str, Format], progress: Progress
) -> DeploymentReport:
    """Write every file of an export.

    Args:
        export: What to write.
        folder: An existing, empty folder.
        formats: By name, those that accept it; see `fedtiny.exporters.format.accepted`.
        progress: Where to report.

    Raises:
        RunnerError: The generated C did not build.
    """
    plan, graph = export.compiled.plan, export.compiled.graph
    dataset = evaluation.test_set(export.source.dataset, plan.graph)
    artifacts = _write_models(Request(graph, plan, export.dtype, export.io), folder, formats)
    golden = _golden(plan, None if dataset is None else evaluation.real_inputs(dataset), export.io)
    golden.save(folder / GOLDEN)
    report = DeploymentReport(
        fedtiny_version=metadata.version("fedtiny"),
        model=build.describe_model(
            export.source.name, export.source.sha256, export.compiled, export.io
        ),
        target=plan.target.name,
        device=None if export.device is None else build.describe_device(export.device),
        artifacts=(*artifacts, _artifact("golden", folder / GOLDEN, folder)),
        layers=build.describe_layers(plan, export.before),
        totals=build.planned_totals(plan, len(tables(plan).constants)),
        accuracy=_accuracy(export, progress),
        toolchain=Toolchain(versions=_versions()),
        arena=build.describe_arena(plan),
        training=export.source.training,
    )
    report = build.with_latency(report)
    if "c" in formats:
        report = _with_image(report, folder, progress)
    report = replace(report, budget=budget.check(report))
    if report.budget.fits is False:
        report = replace(report, budget=budget.check(report, fitting.hint(export, report)))
    (folder / PAGE).write_text(html.render(report), "utf-8")
    (folder / REPORT).write_text(report.to_json(), "utf-8")
    return report


def read(directory: Path) -> tuple[DeploymentReport, Golden]:
    """An export folder's report and golden vectors, its files as they were exported.

    Raises:
        UsageError: The folder is no export, or a file is missing or changed.
    """
    report = read_report(directory)
    golden = Golden.load(directory / GOLDEN)
    for artifact in report.artifacts:
        path = directory / artifact.path
        if not path.exists() or _fingerprint(path) != (artifact.bytes, artifact.sha256):
            raise UsageError(
                f"{str(path)!r} is missing or not what was exported; export the model again."
            )
    return report, golden


def check(directory: Path, runners: Sequence[str], progress: Progress) -> DeploymentReport:
    """Hold an export's files and its C to its golden vectors.

    Returns:
        The report with what was seen in place of what was estimated; nothing is written.

    Raises:
        UsageError: The folder is no export, or a runner's name is unknown.
        RunnerError: A runner is not available, or failed.
    """
    report, golden = read(directory)
    target = profiles.target(report.target)
    paths = {artifact.format: directory / artifact.path for artifact in report.artifacts}
    chosen = [
        make_runner(name, target) for name in verification.runner_names(target.runner, runners)
    ]
    seen: list[Verification] = []
    with progress.task("holding the files to the golden vectors", len(paths)) as task:
        for name in paths:
            check_file = format.load(name).verify if name in format.names() else None
            if check_file is not None:
                entries = check_file(paths[name], report.model, golden)
                seen += [replace(entry, artifact=name) for entry in entries]
            task.advance()
    if runners and "c" not in paths:
        raise UsageError(f"{str(directory)!r} holds no C export for runners to run.")
    for runner in chosen if "c" in paths else ():
        proof = verification.verify_c(runner, paths["c"], report.model, golden, progress)
        seen.append(proof.verification)
        if verification.represents(runner):
            report = _with_build(report, proof.build)
            report = build.with_run(report, proof.runs, runner.evidence, runner.name)
    accuracy = report.accuracy
    if "c" in paths and accuracy is not None and accuracy.int8 is not None:
        accuracy = _deployed_accuracy(report, directory, accuracy, progress)
    report = replace(
        report,
        verification=verification.merge(report.verification, seen),
        accuracy=accuracy,
    )
    report = build.with_latency(report)
    hint = next((item.hint for item in report.budget.failures if item.hint), None)
    return replace(report, budget=budget.check(report, hint))


def _write_models(request: Request, folder: Path, formats: Mapping[str, Format]) -> list[Artifact]:
    """Write the model in each format."""
    artifacts = []
    for item in formats.values():
        item.write(request, folder)
        for kind, path in item.files.items():
            made = _artifact(kind, folder / path, folder)
            if item.dense is not None and kind == next(iter(item.files)):
                made = _with_dense(made, request, format.load(item.dense))
            artifacts.append(made)
    return artifacts


def _with_dense(artifact: Artifact, request: Request, dense: Format) -> Artifact:
    """Say what the same model takes without sparse tensors."""
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as work:
        dense.write(request, Path(work))
        path = Path(work) / next(iter(dense.files.values()))
        return replace(
            artifact, dense_bytes=path.stat().st_size, dense_gzip_bytes=_gzip_bytes(path)
        )


def _artifact(kind: str, path: Path, folder: Path) -> Artifact:
    size, sha256 = _fingerprint(path)
    name = path.relative_to(folder).as_posix()
    return Artifact(kind, name, size, sha256, _gzip_bytes(path) if path.is_file() else None)


def _gzip_bytes(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), mtime=0))


def _fingerprint(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file, or of all files below a folder with their names."""
    digest = hashlib.sha256()
    if path.is_file():
        data = path.read_bytes()
        return len(data), hashlib.sha256(data).hexdigest()
    size = 0
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        data = file.read_bytes()
        size += len(data)
        digest.update(f"{file.relative_to(path).as_posix()}\0{len(data)}\0".encode() + data)
    return size, digest.hexdigest()


def _golden(plan: ExecutionPlan, real: NDArray[np.float32] | None, io: Io) -> Golden:
    """Golden vectors from real inputs where there are any, else from seeded noise.

    The noise of an int8 input takes all of its values.
    """
    graph = plan.graph
    if real is None:
        source = graph[graph.inputs[0]]
        shape, random = (GOLDEN_VECTORS, *source.shape[1:]), np.random.default_rng(0)
        if source.quantization is None:
            real = random.standard_normal(shape).astype(np.float32)
        else:
            drawn = random.integers(-128, 128, shape).astype(np.int8)
            real = dequantize_values(drawn, source.quantization)
    layers = tuple((layer.name, layer.node.output) for layer in plan.layers)
    return make_golden(graph, layers, real[:GOLDEN_VECTORS], io)


def _accuracy(export: Export, progress: Progress) -> Accuracy | None:
    graph = export.compiled.graph
    dataset = evaluation.test_set(export.source.dataset, graph)
    if dataset is None:
        return None
    integers = graph[graph.inputs[0]].dtype == "int8"
    real = export.real
    how = evaluation.metric(dataset, math.prod(graph[graph.outputs[0]].shape[1:]))
    return Accuracy(
        dataset=f"{export.source.dataset} (test)",
        samples=len(dataset),
        float32=None
        if real is None
        else evaluation.graph_quality(real, dataset, f"{how} of the float model", progress),
        int8=evaluation.graph_quality(graph, dataset, f"{how} of the int8 model", progress)
        if integers
        else None,
        metric=how,
    )


def _deployed_accuracy(
    report: DeploymentReport, directory: Path, accuracy: Accuracy, progress: Progress
) -> Accuracy:
    """Add the accuracy of the C program, where the data are at hand."""
    from fedtiny.data import load_dataset

    try:
        dataset = load_dataset(accuracy.dataset.removesuffix(" (test)")).test()
    except UsageError:
        return accuracy
    how = accuracy.metric
    value = evaluation.deployed_quality(directory, report.model, dataset, how, progress)
    return replace(accuracy, runtime=value, runtime_by="host")


def _with_image(report: DeploymentReport, folder: Path, progress: Progress) -> DeploymentReport:
    """Link the C for its target, so that flash is what the linker places, not a guess."""
    target = profiles.target(report.target)
    runner = make_runner(target.runner, target)
    reason = runner.unavailable()
    if reason is not None:
        progress.log(f"flash is estimated: runner {runner.name!r} is not available: {reason}")
        return report
    with (
        progress.task(f"building for {target.name}") as task,
        tempfile.TemporaryDirectory(prefix="fedtiny-") as work,
    ):
        image = runner.build(folder / "c", Path(work))
        task.advance()
    return _with_build(report, image)


def _with_build(report: DeploymentReport, image: BuildInfo) -> DeploymentReport:
    toolchain = replace(report.toolchain, compiler=image.compiler, flags=image.flags)
    return replace(report, totals=build.with_build(report.totals, image), toolchain=toolchain)


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return found
