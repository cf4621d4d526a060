"""Torch's operators on maps, sequences and rows give what torch gives, in float and int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import lower, quantize
from fedtiny.compiler.reference import execute
from fedtiny.exporters import litert, tflite

F = nn.functional


def channels_last(x: torch.Tensor, graph: Graph, name: str) -> np.ndarray:
    """Torch's value as the graph's tensor holds it."""
    array = x.detach().numpy()
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1)
    if len(graph[name].shape) == 4:
        return array.transpose(0, 2, 1)[:, :, None]
    return array


def check(module: nn.Module, shape: tuple[int, ...], path: Path) -> Graph:
    """Float against torch; int8 against LiteRT, every tensor."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module.eval()
    graph = from_torch(module, shape, "net")
    x = torch.randn(3, *shape)
    given = {"input": channels_last(x, graph, "input")}
    (output,) = graph.outputs
    expected = channels_last(module(x), graph, output)
    np.testing.assert_allclose(execute(graph, given)[output], expected, 1e-4, 1e-5)
    lowered = lower(graph)
    np.testing.assert_allclose(execute(lowered, given)[output], expected, 1e-4, 1e-5)
    made = quantize(lowered, ranges_from_data(lowered, given["input"]))
    tflite.write(made, path / "m.tflite")
    q = np.random.default_rng(0).integers(-128, 128, given["input"].shape).astype(np.int8)
    ours = execute(made, {"input": q}, keep_all=True)
    theirs = litert.run(path / "m.tflite", {"input": q}, reference=True, keep_all=True)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    return lowered


class Function(nn.Module):
    def __init__(self, function: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.function = function
        self.conv = nn.Conv2d(4, 4, 3)
        self.rows = nn.Linear(4, 6)
        self.columns = nn.Linear(5, 3)
        self.spatial = nn.Parameter(torch.randn(6, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


MAPS = {
    "zeros before a convolution": lambda m, x: m.conv(F.pad(x, (0, 1, 1, 1))),
    "another value": lambda m, x: F.pad(x, (2, 0, 1, 3), value=0.7),
    "padded channels": lambda m, x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "nearest": lambda m, x: F.interpolate(x, scale_factor=2),
    "nearest to a size": lambda m, x: F.interpolate(x, (9, 4)),
    "nearest-exact": lambda m, x: F.interpolate(x, (9, 4), mode="nearest-exact"),
    "bilinear": lambda m, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "bilinear, corners": lambda m, x: F.interpolate(x, (9, 4), mode="bilinear", align_corners=True),
    "counted padding": lambda m, x: F.avg_pool2d(x, 3, 2, 1),
    "rounded up": lambda m, x: F.max_pool2d(x, 2, 2, ceil_mode=True),
    "columns joined": lambda m, x: torch.cat([x, x * 2], 3),
    "rows joined": lambda m, x: torch.cat([x, F.relu(x)], 2),
    "channels last": lambda m, x: m.rows(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "last dimension": lambda m, x: m.columns(x),
    "rows and columns exchanged": lambda m, x: x.transpose(2, 3),
    "a gate of one channel": lambda m, x: x * torch.sigmoid(x.mean((2, 3), True)),
    "a parameter a row": lambda m, x: x * m.spatial,
    "pooled columns": lambda m, x: x - F.max_pool2d(x, (1, 5)),
    "both broadcast": lambda m, x: F.max_pool2d(x, (1, 5)) * F.avg_pool2d(x, (6, 1)),
    "softmax over channels": lambda m, x: torch.softmax(x, 1),
    "softmax over columns": lambda m, x: torch.softmax(x, 3),
    "flattened": lambda m, x: x.flatten(1),
    "merged": lambda m, x: x.reshape(x.shape[0], 4, 30),
    "moved by a reshape": lambda m, x: x.reshape(x.shape[0], 8, 15),
    "expanded": lambda m, x: x.mean((2, 3), True).expand(-1, -1, 3, 2) * 2,
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name: str, tmp_path: Path) -> None:
    graph = check(Function(MAPS[name]), (4, 6, 5), tmp_path)
    ops = {node.op for node in graph.nodes}
    if name in ("channels last", "merged", "zeros before a convolution"):
        assert not ops & {"pad", "transpose"}, "none is needed"


SEQUENCES = {
    "Conv1d": lambda: [nn.Conv1d(4, 6, 3, 2, 1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2)],
    "depthwise": lambda: [nn.Conv1d(4, 4, 5, padding="same", groups=4), nn.Conv1d(4, 3, 1)],
    "dilated": lambda: [nn.Conv1d(4, 4, 3, dilation=2, padding=2, groups=2), nn.AvgPool1d(2)],
    "transposed": lambda: [nn.ConvTranspose1d(4, 3, 4, 2, 1)],
    "flattened": lambda: [nn.Conv1d(4, 3, 3), nn.Flatten(), nn.Linear(30, 4)],
    "pooled": lambda: [nn.Conv1d(4, 3, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2)],
    "upsampled": lambda: [nn.Conv1d(4, 3, 3), nn.Upsample(scale_factor=2)],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str, tmp_path: Path) -> None:
    graph = check(nn.Sequential(*SEQUENCES[name]()), (4, 12), tmp_path)
    assert "transpose" not in {node.op for node in graph.nodes}


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more", "groups", "dilation"),
    [
        (2, 2, 0, 0, 1, 1),
        (3, 2, 1, 1, 1, 1),
        (4, 2, 1, 0, 2, 1),
        (3, 1, 1, 0, 4, 1),
        ((3, 2), (1, 3), (0, 0), (0, 1), 1, (2, 1)),
        (5, 2, 2, 1, 1, 1),
    ],
)
def test_transposed_convolutions(kernel, stride, padding, more, groups, dilation, tmp_path):
    conv = nn.ConvTranspose2d(4, 8, kernel, stride, padding, more, groups, True, dilation)
    check(nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU()), (4, 5, 4), tmp_path)


def test_rows_of_features(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    graph = check(module, (7, 6), tmp_path)
    assert "transpose" not in {node.op for node in graph.nodes}
