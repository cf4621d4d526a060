"""One file that libfedtiny loads on any little-endian processor; see `fedtiny.exporters.packed`."""

from __future__ import annotations

from pathlib import Path

from fedtiny import verification
from fedtiny.exporters import packed
from fedtiny.exporters.format import Format, Request

FILE = "model.fedtiny"


def refusal(request: Request) -> str | None:
    """Refuse what the library has no kernels or no conversions for."""
    graph = request.graph
    if request.dtype == "float16":
        return "the C runtime has no float16 weights; use --dtype float32 or int8"
    if request.io == "float32" and graph[graph.inputs[0]].dtype == "int8":
        return "the library exchanges what the model computes in; leave out --io float32"
    if missing := packed.missing_kernels(request.plan):
        return (
            f"target {request.plan.target.name} uses kernels that the library does not have "
            f"({', '.join(missing)}); use --target cortex-a, x86-64 or c"
        )
    return None


def write(request: Request, folder: Path) -> None:
    """Write `model.fedtiny`."""
    packed.write(request.plan, folder / FILE)


FORMAT = Format({"packed": FILE}, refusal, write, verification.verify_packed, dense="tflite")
