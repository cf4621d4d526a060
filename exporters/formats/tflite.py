"""TensorFlow Lite with dense weights."""

from __future__ import annotations

from pathlib import Path

from fedtiny import verification
from fedtiny.exporters import tflite
from fedtiny.exporters.format import Format, Request

PATH = "model.tflite"


def write(request: Request, folder: Path) -> None:
    """Write the file."""
    half = request.dtype == "float16"
    tflite.write(request.graph, folder / PATH, io=request.io, float16=half)


FORMAT = Format({"tflite": PATH}, lambda request: None, write, verification.verify_tflite)
