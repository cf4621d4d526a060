"""onnxruntime on its CPU; it exchanges real numbers and puts channels first."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fedtiny import verification
from fedtiny.benchmark.contender import Contender, Opened
from fedtiny.exporters import ort


def require() -> str:
    """Import it."""
    ort.module()
    return f"onnxruntime {metadata.version('onnxruntime')}"


def open_model(path: Path, threads: int) -> Opened:
    """Make a session."""
    session = ort.open_session(path, threads)
    name = session.get_inputs()[0].name

    def run(x: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = session.run(None, {name: x})[0]
        return found

    return Opened(run, lambda: ort.tolerance_lsb(session))


CONTENDER = Contender(
    formats=("onnx", "sparse-onnx", "ort"),
    threads=None,
    require=require,
    open=open_model,
    to_runtime=verification.to_onnx,
    from_runtime=verification.from_onnx,
)
