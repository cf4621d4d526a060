"""Every named network, sparse, from random weights to an export whose C code is verified."""

from pathlib import Path

import pytest
import torch

from fedtiny import pipeline
from fedtiny.compiler.calibration import observe
from fedtiny.models import create, model_names, prunable_blocks
from fedtiny.sparse_model import Provenance, SparseModel

SHAPES = {
    "autoencoder@0.25": (1, 8, 10),
    "dscnn": (1, 49, 10),
    "mobilenetv1-025": (3, 32, 32),
    "resnet18@0.125": (3, 16, 16),
    "resnet18-7x7@0.125": (3, 32, 32),
    "vgg11@0.125": (3, 16, 16),
    "resnet8@0.5": (3, 16, 16),
}


def test_every_network_is_exported_here() -> None:
    assert {name.partition("@")[0] for name in SHAPES} | {"resnet8-stride2"} == set(model_names())


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_is_exported_and_verified(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    shape = SHAPES[name]
    module = create(name, shape, 3).eval()
    masks = {}
    with torch.no_grad():
        for weight in (n for block in prunable_blocks(module) for n in block):
            parameter = module.get_parameter(weight)
            masks[weight] = torch.rand_like(parameter) < 0.2
            parameter.mul_(masks[weight])
    first = next(iter(masks))
    masks[first].zero_()  # as methods that rank all layers together may leave one
    with torch.no_grad():
        module.get_parameter(first).zero_()
    ranges = observe(module, [torch.rand(8, *shape)])
    provenance = Provenance("test", "random", 0.2, 1, 0)
    model = SparseModel(name, shape, tuple("abc"), module.state_dict(), masks, provenance, ranges)
    model.save(tmp_path / "model.safetensors")
    pipeline.export(tmp_path / "model.safetensors", target="c", out=tmp_path / "out")
    report = pipeline.verify(tmp_path / "out")
    assert {seen.runner for seen in report.verification} >= {"host"}
    assert all(seen.equal for seen in report.verification)
