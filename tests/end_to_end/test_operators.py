"""A network of elementwise, pooling and joining operators, from torch to C and to LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny.compiler import planner, reference
from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import lower, quantize
from fedtiny.compiler.planner import RAM_MODES, RamMode
from fedtiny.devices import profiles
from fedtiny.exporters import litert, tflite
from fedtiny.runtime import host_plan

F = nn.functional


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.point = nn.Conv2d(8, 8, 1)
        self.wide = nn.Conv2d(16, 12, 3, 1, 1)
        self.gate = nn.Conv2d(12, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.hardswish(self.stem(x)), 3, 2, 1)
        y = torch.cat([x, F.leaky_relu(self.point(x), 0.1)], 1)
        y = F.silu(self.wide(y))
        y = y * F.hardsigmoid(self.gate(F.adaptive_avg_pool2d(y, 1)))
        y = torch.tanh(y) - 0.25
        y = F.adaptive_max_pool2d(y, 1).flatten(1)
        return torch.softmax(self.head(y), 1)


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    graph = lower(from_torch(Everything().eval(), (3, 20, 24), "everything"))
    x = np.random.default_rng(0).standard_normal((16, 20, 24, 3)).astype(np.float32)
    return {"float32": graph, "int8": quantize(graph, ranges_from_data(graph, x))}


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("ram", RAM_MODES)
def test_c_equals_the_reference(graphs: dict[str, Graph], dtype: str, ram: RamMode) -> None:
    graph = graphs[dtype]
    x = np.random.default_rng(1).standard_normal((1, 20, 24, 3)).astype(np.float32)
    if dtype == "int8":
        x = np.random.default_rng(1).integers(-128, 128, x.shape).astype(np.int8)
    expected = reference.execute(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    (made,) = host_plan.run_plan(planner.plan(graph, profiles.target("cortex-a"), ram), [x])
    if dtype == "int8":
        np.testing.assert_array_equal(made, expected)
    else:
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_litert_gives_the_same_integers(graphs: dict[str, Graph], tmp_path: Path) -> None:
    """Also where TensorFlow Lite has no operator, as for hardsigmoid."""
    graph = graphs["int8"]
    x = {graph.inputs[0]: np.random.default_rng(2).integers(-128, 128, (3, 20, 24, 3), np.int8)}
    tflite.write(graph, tmp_path / "m.tflite")
    ours = reference.execute(graph, x, keep_all=True)
    theirs = litert.run(tmp_path / "m.tflite", x, reference=True, keep_all=True)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
