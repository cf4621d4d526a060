"""Counts against numbers worked out by hand."""

import numpy as np
import pytest

from fedtiny.compiler import statistics
from fedtiny.compiler.ir import Conv2d, FullyConnected, Graph, Node, Reshape, Tensor

pytestmark = pytest.mark.quick


def graph() -> Graph:
    kernel = np.zeros((2, 3, 3, 1), np.float32)
    kernel[0, 1, 1, 0] = 1
    tensors = [
        Tensor("x", (1, 4, 4, 1), "float32"),
        Tensor("k", kernel.shape, "float32", data=kernel),
        Tensor("kb", (2,), "float32", data=np.ones(2, np.float32)),
        Tensor("y", (1, 4, 4, 2), "float32"),
        Tensor("f", (1, 32), "float32"),
        Tensor("w", (3, 32), "float32", data=np.ones((3, 32), np.float32)),
        Tensor("wb", (3,), "float32", data=np.ones(3, np.float32)),
        Tensor("z", (1, 3), "float32"),
    ]
    nodes = (
        Node("conv", Conv2d(padding=((1, 1), (1, 1))), ("x", "k", "kb"), ("y",)),
        Node("flat", Reshape(), ("y",), ("f",)),
        Node("fc", FullyConnected(), ("f", "w", "wb"), ("z",)),
    )
    return Graph("g", {t.name: t for t in tensors}, nodes, ("x",), ("z",)).verify()


def test_counts() -> None:
    g = graph()
    conv, flat, fc = g.nodes
    assert statistics.macs(conv, g) == 18 * 16
    assert statistics.macs_nonzero(conv, g) == 16
    assert statistics.macs(flat, g) == 0
    assert statistics.macs(fc, g) == statistics.macs_nonzero(fc, g) == 96
    assert statistics.parameters(g) == 18 + 2 + 96 + 3
    assert statistics.model_density(g) == pytest.approx(97 / 114)
