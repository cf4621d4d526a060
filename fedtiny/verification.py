"""Hold exported files and the compiled C to the golden vectors of an export."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Quantization
from fedtiny.compiler.quantization import dequantize_values, per_tensor, quantize_values
from fedtiny.devices.runner import BuildInfo, Runner, RunResult, Signature, TensorType
from fedtiny.errors import RunnerError
from fedtiny.golden import REFERENCE, Golden
from fedtiny.progress import SILENT, Progress
from fedtiny.report.model import ModelInfo, TensorInfo, Verification

FLOAT_TOLERANCE = 1e-4
"""Of the greatest magnitude of the reference's outputs: sums are taken in other orders."""


@dataclass(frozen=True)
class Proof:
    """What running the compiled C on one runner showed.

    Attributes:
        verification: The comparison.
        build: What was built.
        runs: One result an input.
    """

    verification: Verification
    build: BuildInfo
    runs: tuple[RunResult, ...]


def verify_tflite(path: Path, golden: Golden) -> Verification:
    """Run a `.tflite` file in LiteRT's reference kernels: int8 must be equal bit for bit."""
    from fedtiny.exporters import litert

    details = litert.interpreter(path).get_input_details()
    outputs = litert.run(path, {details[0]["name"]: golden.inputs})
    tolerance = _float_tolerance(golden)
    return compare("litert", next(iter(outputs.values())), golden, tolerance)


def verify_onnx(path: Path, model: ModelInfo, golden: Golden) -> Verification:
    """Run an `.onnx` file in onnxruntime; int8 must agree within the exporter's stated LSBs."""
    from fedtiny.exporters import ort

    session = ort.open_session(path)
    inputs = _quantization(model.input)
    x = golden.inputs if inputs is None else dequantize_values(golden.inputs, inputs)
    y = ort.to_nhwc(session.run(None, {session.get_inputs()[0].name: ort.to_nchw(x)})[0])
    outputs = _quantization(model.output)
    if outputs is not None:
        y = quantize_values(y, outputs)
    tolerance = float(ort.tolerance_lsb(session)) if _integers(golden) else _float_tolerance(golden)
    return compare("onnxruntime", y, golden, tolerance)


def verify_c(
    runner: Runner,
    source: Path,
    model: ModelInfo,
    golden: Golden,
    progress: Progress = SILENT,
) -> Proof:
    """Build an export's `c/` folder for a runner, run every golden input and compare.

    int8 must be equal bit for bit, layer by layer where the runner reports digests.

    Raises:
        RunnerError: The runner is not available, or building or running failed.
    """
    reason = runner.unavailable()
    if reason is not None:
        raise RunnerError(f"runner {runner.name!r} is not available: {reason}")
    signature = Signature(
        (TensorType(model.input.shape, model.input.dtype),),
        (TensorType(model.output.shape, model.output.dtype),),
    )
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as work, runner:
        build = runner.build(source, Path(work))
        runner.load(build, signature)
        runs = []
        with progress.task(f"running on {runner.name}", len(golden.inputs)) as task:
            for x in golden.inputs:
                runs.append(runner.run((x[None],)))
                task.advance()
    outputs = np.concatenate([np.asarray(run.outputs[0]) for run in runs])
    verification = compare(
        runner.name, outputs, golden, _float_tolerance(golden), first_divergence(runs, golden)
    )
    return Proof(verification, build, tuple(runs))


def compare(
    runner: str,
    outputs: NDArray[np.generic],
    golden: Golden,
    tolerance: float,
    divergent: str | None = None,
) -> Verification:
    """Compare outputs with the golden ones.

    Args:
        runner: Who made them.
        outputs: `(N, ...)`.
        golden: What they should be.
        tolerance: Greatest difference that counts as equal; 0 asks for equal bits.
        divergent: First layer whose digest differs, where digests must agree.
    """
    expected = golden.outputs.reshape(len(golden.outputs), -1)
    found = outputs.reshape(len(outputs), -1)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return Verification(
            runner, len(golden.inputs), False, None, REFERENCE, divergent, tolerance
        )
    exact = bool(np.array_equal(found, expected)) and divergent is None
    error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    worst = float(error.max(initial=0.0)) if np.all(np.isfinite(error)) else None
    return Verification(
        runner=runner,
        vectors=len(golden.inputs),
        bit_exact=exact,
        max_abs_error=worst,
        reference=REFERENCE,
        first_divergent_layer=None if exact or tolerance else divergent,
        tolerance=tolerance,
    )


def first_divergence(runs: Sequence[RunResult], golden: Golden) -> str | None:
    """The earliest layer whose digest differs on any input; None where all agree.

    Float layers may round differently, so their digests prove nothing and are not compared.
    """
    if not _integers(golden):
        return None
    earliest = len(golden.layers)
    for run, expected in zip(runs, golden.digests, strict=True):
        if run.digests is None:
            continue
        found = np.array(run.digests, np.uint32)
        if found.shape != expected.shape:
            return golden.layers[0]
        differs = np.flatnonzero(found != expected)
        if differs.size:
            earliest = min(earliest, int(differs[0]))
    return golden.layers[earliest] if earliest < len(golden.layers) else None


def represents(runner: Runner) -> bool:
    """Whether a runner's figures are those of its target, not of the machine at hand."""
    return runner.name != "host" or runner.target.family == "c"


def runner_names(target_runner: str, chosen: Sequence[str]) -> tuple[str, ...]:
    """The runners to use: those chosen, else this machine and the target's own."""
    return tuple(dict.fromkeys(chosen or ("host", target_runner)))


def _quantization(tensor: TensorInfo) -> Quantization | None:
    if tensor.scale is None or tensor.zero_point is None:
        return None
    return per_tensor(tensor.scale, tensor.zero_point)


def _integers(golden: Golden) -> bool:
    return bool(np.issubdtype(golden.outputs.dtype, np.integer))


def _float_tolerance(golden: Golden) -> float:
    if _integers(golden):
        return 0.0
    return FLOAT_TOLERANCE * max(1e-6, float(np.abs(golden.outputs.astype(np.float64)).max()))


def merge(old: Sequence[Verification], new: Mapping[str, Verification]) -> tuple[Verification, ...]:
    """Replace earlier comparisons by newer ones of the same runner; the rest stay."""
    kept = [new.get(entry.runner, entry) for entry in old]
    names = {entry.runner for entry in old}
    return (*kept, *(entry for name, entry in new.items() if name not in names))
