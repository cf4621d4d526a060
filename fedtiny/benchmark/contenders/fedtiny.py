"""The exported C, compiled for this machine."""

from __future__ import annotations

import ctypes
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.benchmark.contender import Contender, Opened
from fedtiny.deployment import Deployed, build_library, raise_on


def require() -> str:
    """Our version."""
    return f"fedtiny {metadata.version('fedtiny')}"


def open_model(path: Path, threads: int) -> Opened:
    """Load the library that was built."""
    model = Deployed(path)
    (result,) = model.outputs
    output = np.empty(result.shape, result.dtype)
    to, invoke = ctypes.c_void_p(output.ctypes.data), model.library.model_invoke

    def run(x: NDArray[Any]) -> NDArray[Any]:
        source = ctypes.c_void_p(x.__array_interface__["data"][0])
        raise_on(invoke(model.arena_address, source, to))
        return output.copy()

    return Opened(run)


CONTENDER = Contender(
    formats=("c",), threads=1, require=require, open=open_model, prepare=build_library
)
