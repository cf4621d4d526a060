"""TensorFlow Lite whose sparse weights are sparse tensors; the runtime unpacks them when it loads.

Only what stock runtimes read right is written; see `fedtiny.exporters.tflite_sparse`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedtiny import verification
from fedtiny.exporters import tflite
from fedtiny.exporters.format import Format, Request
from fedtiny.exporters.tflite_sparse import sparse_form

PATH = "model.sparse.tflite"


def refusal(request: Request) -> str | None:
    """Refuse what a stock runtime would get wrong, and a model of which no weights are smaller."""
    plan = request.plan
    if plan.target.family == "cortex-m":
        return (
            f"TensorFlow Lite for Microcontrollers, which {plan.target.name} runs, reads sparse "
            "tensors as if they were dense and computes wrong results without an error; use "
            "--format c, or tflite"
        )
    dtype = np.float16 if request.dtype == "float16" else None
    if any(sparse_form(tensor, request.graph, dtype) for tensor in request.graph.tensors.values()):
        return None
    return (
        "no weights are smaller as a sparse tensor (those of int8 fully connected, grouped and "
        "depthwise layers stay dense: runtimes refuse them or they hold few weights); use "
        "--format tflite"
    )


def write(request: Request, folder: Path) -> None:
    """Write the file."""
    half = request.dtype == "float16"
    tflite.write(request.graph, folder / PATH, io=request.io, sparse=True, float16=half)


FORMAT = Format({"sparse-tflite": PATH}, refusal, write, verification.verify_tflite, dense="tflite")
