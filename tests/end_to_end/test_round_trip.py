"""What we export compiles again through our own front doors, to the same C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedtiny.compiler.calibration import ranges_from_data
from fedtiny.compiler.frontends.open_model import open_model
from fedtiny.compiler.frontends.torch_module import from_torch
from fedtiny.compiler.ir import Graph, Pattern
from fedtiny.compiler.passes import lower, prune_magnitude, quantize, round_float16
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from fedtiny.exporters import c, onnx, tflite
from fedtiny.models import create
from tests.networks import autoencoder, dscnn, flattened, mobilenet, resnet8


def trained(density: float) -> Graph:
    """A network of our own, as `fedtiny export` compiles it."""
    module = create("resnet8-stride2", (1, 28, 28), 10, seed=1).eval()
    graph = lower(prune_magnitude(from_torch(module, (1, 28, 28), "resnet8"), density))
    x = torch.randn(8, 28, 28, 1, generator=torch.Generator().manual_seed(2)).numpy()
    return quantize(graph, ranges_from_data(graph, x))


def with_patterns(graph: Graph) -> Graph:
    """Weights with the patterns that front doors give them: made-up ones may hold a zero or two."""
    weights = [graph[n.inputs[1]] for n in graph.nodes if len(n.inputs) == 3]
    made = [replace(tensor, pattern=Pattern.of(tensor.value)) for tensor in weights]
    return graph.rewrite(graph.nodes, made)


NETWORKS = {
    "resnet8-stride2 of our own": lambda: trained(0.05),
    "ResNet-8": lambda: resnet8(density=0.05),
    "DS-CNN": lambda: dscnn(density=0.2),
    "MobileNet": lambda: mobilenet(size=32),
    "autoencoder": autoencoder,
    "flattened": flattened,
}
FILES = {
    "dense.tflite": lambda graph, path: tflite.write(graph, path),
    "real.tflite": lambda graph, path: tflite.write(graph, path, io="float32"),
    "sparse.tflite": lambda graph, path: tflite.write(graph, path, sparse=True),
    "dense.onnx": lambda graph, path: onnx.write(graph, path),
    "sparse.onnx": lambda graph, path: onnx.write(graph, path, sparse=True),
}


def program(graph: Graph, folder: Path) -> dict[str, str]:
    c.write(plan(graph, target("cortex-m4")), folder)
    return {path.name: path.read_text() for path in sorted((folder / "c").glob("*.[ch]"))}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("network", NETWORKS)
def test_int8_files_compile_to_the_same_program(network, file, tmp_path):
    graph = with_patterns(NETWORKS[network]())
    path = tmp_path / file
    FILES[file](graph, path)
    again = replace(
        lower(open_model(path)), name=graph.name
    )  # a file's model is named after the file
    first, second = program(graph, tmp_path / "first"), program(again, tmp_path / "second")
    assert set(first) >= {"weights.c", "model.c", "model.h"}
    for name, text in first.items():
        assert second[name] == text, name


@pytest.mark.quick
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("writer", [tflite, onnx], ids=["tflite", "onnx"])
def test_float_files_keep_every_weight(writer, sparse, half, tmp_path):
    graph = resnet8("float32", 0.05)
    graph = round_float16(graph) if half else graph
    path = tmp_path / "m"
    writer.write(graph, path, sparse=sparse, float16=half)
    again = open_model(path)
    weights = [
        sorted(
            (t.data for t in g.tensors.values() if t.data is not None), key=lambda a: a.tobytes()
        )
        for g in (graph, again)
    ]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
