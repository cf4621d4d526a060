"""ONNX whose sparse weights are sparse initializers; onnxruntime unpacks them when it loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedtiny import verification
from fedtiny.exporters import onnx
from fedtiny.exporters.format import Format, Request

PATH = "model.sparse.onnx"


def refusal(request: Request) -> str | None:
    """Refuse a model of which no weights are smaller."""
    half = request.dtype == "float16"
    if onnx.sparse_weights(request.graph, np.float16 if half else None):
        return None
    size = np.dtype(request.dtype).itemsize
    limit = size / (size + onnx.SPARSE_INDEX_BYTES)
    return (
        "no weights are smaller as a sparse initializer, whose indices take 8 bytes each: "
        f"{request.dtype} weights must have a density below {limit:.2f}"
    )


def write(request: Request, folder: Path) -> None:
    """Write the file."""
    half = request.dtype == "float16"
    onnx.write(request.graph, folder / PATH, sparse=True, float16=half)


FORMAT = Format({"sparse-onnx": PATH}, refusal, write, verification.verify_onnx, dense="onnx")
