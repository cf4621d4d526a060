"""Targets that the other tests do not take the whole way: exported, verified, and built by make."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from fedtiny import pipeline
from fedtiny.compiler.ir import DType
from fedtiny.exporters import tflite
from tests import networks

needs_wasm = pytest.mark.skipif(
    importlib.util.find_spec("wasmtime") is None, reason="needs wasmtime (extra 'wasm')"
)


@pytest.mark.parametrize(
    ("target", "dtype", "runners"),
    [
        ("cortex-a", "float32", {"host", "unicorn"}),
        ("armv7-neon", "int8", {"host", "unicorn"}),
        ("armv7-neon", "float32", {"host", "unicorn"}),
        pytest.param("wasm", "int8", {"host", "wasm"}, marks=needs_wasm),
        pytest.param("wasm", "float32", {"host", "wasm"}, marks=needs_wasm),
    ],
)
def test_a_network_goes_the_whole_way(
    target: str, dtype: DType, runners: set[str], tmp_path: Path
) -> None:
    """Convolutions of all strides, additions, pooling and a fully connected layer."""
    graph = networks.resnet8(dtype, 0.3, size=16, width=8)
    tflite.write(graph, tmp_path / "net.tflite")
    out = tmp_path / "out"
    pipeline.export(tmp_path / "net.tflite", target=target, out=out, dtype=dtype, formats=("c",))
    seen = pipeline.verify(out).verification
    assert {item.runner for item in seen} == runners
    assert all(item.equal for item in seen), seen
    assert dtype == "float32" or all(item.bit_exact for item in seen)
    if shutil.which("make") and shutil.which("cc"):
        result = subprocess.run(
            ["make", "-C", out / "c", "run"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
