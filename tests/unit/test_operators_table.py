"""docs/operators.md lists exactly what the front doors read and what has kernels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedtiny.compiler.frontends import onnx_file, onnx_ops, tflite_ops, torch_module
from fedtiny.runtime import table

pytestmark = pytest.mark.quick
PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
LOWERED = {"batch_norm", "relu", "reshape"}
"""In graphs, but folded, fused or free before planning."""
PLACED = {"convert_layout"}
"""In plans alone."""


def column(number: int) -> set[str]:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][2:]
    cells = [row.strip("|").split("|")[number] for row in rows]
    return {word for cell in cells for word in re.findall(r"\w+", cell)}


def test_operators_of_the_graph():
    kernels = {kernel.op for kernel in table.kernels()} - PLACED
    assert column(0) - set(["nothing", "of", "its", "own"]) == kernels | LOWERED


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (1, {*onnx_ops.OPS, *onnx_file._QDQ}),
        (2, set(tflite_ops.NAMES)),
        (3, {name for name in torch_module.OPS if not name.startswith("_")}),
    ],
    ids=["ONNX", "TensorFlow Lite", "torch"],
)
def test_operators_of_a_front_door(number: int, names: set[str]):
    assert column(number) == names
