"""Padding, resizing, transposed convolution and broadcasts: from a file to an emulated core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny import pipeline
from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.open_model import open_model
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.operators import Unary
from fedtiny.compiler.passes import lower, quantize
from fedtiny.exporters import onnx, tflite

F = nn.functional


class Spatial(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 6, 3, 2, 1, 1)
        self.mix = nn.Conv2d(14, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        wide = F.interpolate(x, scale_factor=2, mode="bilinear")
        y = torch.cat([wide, F.relu(self.up(x))], 1)
        y = F.hardsigmoid(self.mix(F.pad(y, (1, 2, 0, 1), value=0.3)))
        y = y * F.max_pool2d(y, (1, y.shape[3])) - F.interpolate(y.mean((2, 3), True), y.shape[2:])
        return self.head(y.mean((2, 3)))


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = lower(from_torch(Spatial().eval(), (3, 12, 10), "spatial"))
    x = np.random.default_rng(0).standard_normal((8, 12, 10, 3)).astype(np.float32)
    return quantize(made, ranges_from_data(made, x))


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-a"])
def test_exported_programs_are_exact(graph: Graph, target: str, tmp_path: Path) -> None:
    tflite.write(graph, tmp_path / "m.tflite")
    pipeline.export(tmp_path / "m.tflite", target=target, out=tmp_path / "out")
    report = pipeline.verify(tmp_path / "out", ["host", "unicorn"])
    assert {v.runner for v in report.verification} >= {"host", "unicorn"}
    for entry in report.verification:
        if entry.runner in ("host", "unicorn"):
            assert entry.bit_exact


@pytest.mark.parametrize("writer", [tflite, onnx], ids=["tflite", "onnx"])
def test_functions_without_an_operator_are_read_back(graph, writer, tmp_path):
    """A hard sigmoid by its table's name, any other table by its entries."""
    node = next(n for n in graph.nodes if n.attributes == Unary("hard_sigmoid", 1 / 6, 0.5))
    writer.write(graph, tmp_path / "m")
    again = open_model(tmp_path / "m")
    assert any(
        isinstance(n.attributes, Unary) and n.attributes.function == "hard_sigmoid"
        for n in again.nodes
    )
    values = tuple(int(v) for v in np.random.default_rng(1).integers(-128, 128, 256))
    nodes = [
        n if n is not node else type(n)(n.name, Unary("table", values=values), n.inputs, n.outputs)
        for n in graph.nodes
    ]
    writer.write(graph.rewrite(nodes), tmp_path / "t")
    assert Unary("table", values=values) in [n.attributes for n in open_model(tmp_path / "t").nodes]
