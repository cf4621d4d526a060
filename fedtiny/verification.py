"""Hold exported files and the compiled C to the golden vectors of an export."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def verify_tflite(path: Path, model: ModelInfo, golden: Golden) -> list[Verification]:
    """Run a `.tflite` file in LiteRT's reference kernels and in its default delegate.

    In the reference kernels int8 must be equal bit for bit. The delegate rounds it otherwise: there
    it must agree within the LSBs that the file states.
    """
    from fedtiny.exporters import litert

    name = litert.interpreter(path).get_input_details()[0]["name"]
    found = {
        reference: next(iter(litert.run(path, {name: golden.inputs}, reference).values()))
        for reference in (True, False)
    }
    lsbs = litert.tolerance_lsb(path) if golden.lsb else 0
    return [
        compare("litert", found[True], golden, tolerance(golden)),
        compare("litert-default", found[False], golden, tolerance(golden, lsbs)),
    ]


def verify_onnx(path: Path, model: ModelInfo, golden: Golden) -> list[Verification]:
    """Run an `.onnx` or `.ort` file in onnxruntime; int8 must agree within the stated LSBs."""
    from fedtiny.exporters import ort

    session = ort.open_session(path)
    x = to_onnx(model, golden.inputs)
    y = from_onnx(model, session.run(None, {session.get_inputs()[0].name: x})[0])
    lsbs = ort.tolerance_lsb(session) if golden.lsb else 0
    return [compare("onnxruntime", y, golden, tolerance(golden, lsbs))]


def verify_packed(path: Path, model: ModelInfo, golden: Golden) -> list[Verification]:
    """Run a packed model in libfedtiny, with this machine's vectors and in plain C."""
    from fedtiny.library import Network

    found = []
    for runner, portable in (("libfedtiny", False), ("libfedtiny-portable", True)):
        network = Network(path, portable)
        outputs = np.concatenate([network.invoke([x[None]])[0] for x in golden.inputs])
        found.append(compare(runner, outputs, golden, tolerance(golden)))
    return found


def to_onnx(model: ModelInfo, x: NDArray[Any]) -> NDArray[Any]:
    """Inputs of the exported program `(N, ...)` as ONNX files of ours take them."""
    from fedtiny.exporters import ort

    inputs = _quantization(model.input)
    return ort.to_nchw(x if inputs is None else dequantize_values(x, inputs))


def from_onnx(model: ModelInfo, y: NDArray[Any]) -> NDArray[Any]:
    """Outputs of ONNX files of ours, as the exported program gives them."""
    from fedtiny.exporters import ort

    outputs, y = _quantization(model.output), ort.to_nhwc(y)
    return y if outputs is None else quantize_values(y, outputs)


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
        runner.name, outputs, golden, tolerance(golden), first_divergence(runs, golden)
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
    if not golden.lsb:
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


def tolerance(golden: Golden, lsbs: int = 0) -> float:
    """Greatest difference of outputs that counts as equal, in the outputs' own unit.

    Args:
        golden: What they should be.
        lsbs: By how many LSBs a runtime may round the outputs of an int8 program otherwise.
    """
    if golden.lsb:  # real numbers of an int8 program are rounded to float32
        return float(lsbs) if golden.lsb == 1.0 else lsbs * golden.lsb * (1 + 1e-6)
    return FLOAT_TOLERANCE * max(1e-6, float(np.abs(golden.outputs.astype(np.float64)).max()))


def merge(old: Sequence[Verification], new: Sequence[Verification]) -> tuple[Verification, ...]:
    """Replace earlier comparisons by newer ones of the same runner and file; the rest stay."""
    found = {entry.title: entry for entry in new}
    kept = [found.pop(entry.title, entry) for entry in old]
    return (*kept, *found.values())
