"""LiteRT with its default kernels (XNNPACK); tflite-runtime where that is what is installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fedtiny.benchmark.contender import Contender, Opened
from fedtiny.exporters import litert


def require() -> str:
    """Import it."""
    package = litert.package()
    return f"{package.replace('_', '-')} {metadata.version(package)}"


def open_model(path: Path, threads: int) -> Opened:
    """Make an interpreter."""
    engine = litert.interpreter(path, reference=False, threads=threads)
    source, result = (
        details[0]["index"] for details in (engine.get_input_details(), engine.get_output_details())
    )

    def run(x: NDArray[Any]) -> NDArray[Any]:
        engine.set_tensor(source, x)
        engine.invoke()
        found: NDArray[Any] = engine.get_tensor(result)
        return found

    return Opened(run, lambda: litert.tolerance_lsb(path))


CONTENDER = Contender(
    formats=("tflite", "sparse-tflite"), threads=None, require=require, open=open_model
)
