"""ONNX with dense weights. Inputs and outputs are float32, as is usual there."""

from __future__ import annotations

from pathlib import Path

from fedtiny import verification
from fedtiny.exporters import onnx
from fedtiny.exporters.format import Format, Request

PATH = "model.onnx"


def write(request: Request, folder: Path) -> None:
    """Write the file."""
    onnx.write(request.graph, folder / PATH, float16=request.dtype == "float16")


FORMAT = Format({"onnx": PATH}, lambda request: None, write, verification.verify_onnx)
