"""onnxruntime's own format, and the operators that a reduced build of onnxruntime must hold."""

from __future__ import annotations

from pathlib import Path

from fedtiny import verification
from fedtiny.exporters import ort_file
from fedtiny.exporters.format import Format, Request

PATH = "model.ort"
OPERATORS = "model.required_operators.config"


def refusal(request: Request) -> str | None:
    """Refuse what onnxruntime would undo."""
    if request.dtype == "float16":
        return "onnxruntime's converter stores float16 weights as float32; use --format onnx"
    return None


def write(request: Request, folder: Path) -> None:
    """Write both files, optimized for the target's kind of processor."""
    arm = request.plan.target.family.startswith("cortex")
    ort_file.write(request.graph, folder / PATH, folder / OPERATORS, arm=arm)


FORMAT = Format({"ort": PATH, "ort-operators": OPERATORS}, refusal, write, verification.verify_onnx)
