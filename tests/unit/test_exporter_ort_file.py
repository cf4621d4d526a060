"""onnxruntime's own format: the same bytes every time, and its converter's list of operators."""

from __future__ import annotations

import contextlib
import io
import logging

import numpy as np
import pytest

from fedtiny.compiler.reference import execute
from fedtiny.exporters import onnx, ort, ort_file
from tests.graph_strategies import samples
from tests.networks import flattened, resnet8


@pytest.mark.quick
@pytest.mark.parametrize("arm", [False, True], ids=["x86", "arm"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_same_graph_same_bytes(dtype, arm, tmp_path):
    graph = resnet8(dtype, 0.1)
    for name in "ab":
        ort_file.write(graph, tmp_path / f"{name}.ort", tmp_path / f"{name}.config", arm=arm)
    assert (tmp_path / "a.ort").read_bytes() == (tmp_path / "b.ort").read_bytes()
    x = samples(graph, 4)
    ours, theirs = execute(graph, x), ort.run(tmp_path / "a.ort", graph, x)
    (name,) = graph.outputs
    tolerance = 12 if dtype == "int8" else 1e-5
    assert np.abs(ours[name].astype(float) - theirs[name]).max() <= tolerance


@pytest.mark.quick
def test_operators_are_those_of_the_converter(tmp_path):
    from onnxruntime.tools import convert_onnx_models_to_ort as converter

    graph = flattened()
    onnx.write(graph, tmp_path / "model.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        converter.convert_onnx_models_to_ort(
            tmp_path / "model.onnx", optimization_styles=[converter.OptimizationStyle.Fixed]
        )
    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    text = (tmp_path / "model.required_operators.config").read_text()
    theirs = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    ort_file.write(graph, tmp_path / "ours.ort", tmp_path / "ours.config", arm=False)
    assert (tmp_path / "ours.config").read_text() == theirs
    saved = (tmp_path / "model.ort").read_bytes()
    assert ort_file.sorted_resolver(saved) == (tmp_path / "ours.ort").read_bytes()
