"""The networks are those of their papers: parameters and work as published."""

import pytest
from torch import nn

from fedtiny.federated.accounting import layer_macs
from fedtiny.models import create, prunable_blocks

pytestmark = pytest.mark.quick


def macs(name: str, shape: tuple[int, ...], classes: int) -> int:
    return sum(layer_macs(create(name, shape, classes), shape).values())


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_resnet18_of_small_images() -> None:
    module = create("resnet18", (3, 32, 32), 10)
    assert parameters(module) == 11_173_962
    assert sum(layer_macs(module, (3, 32, 32)).values()) == pytest.approx(555.42e6, rel=1e-5)
    blocks = prunable_blocks(module)
    assert len(blocks) == 5
    assert sum(map(len, blocks)) == 16 + 3


def test_resnet18_of_imagenet() -> None:
    assert parameters(create("resnet18-7x7", (3, 32, 32), 1000)) == 11_689_512
    assert macs("resnet18-7x7", (3, 224, 224), 1000) == 1_814_073_344


def test_vgg11() -> None:
    module = create("vgg11", (3, 32, 32), 10)
    convolutions = (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512) * 9
    norms = 2 * (64 + 128 + 2 * 256 + 4 * 512)
    assert parameters(module) == convolutions + norms + 512 * 10 + 10
    assert [len(block) for block in prunable_blocks(module)] == [1, 1, 2, 2, 1]


def test_dscnn_has_the_work_of_mlperf_tinys() -> None:
    assert macs("dscnn", (1, 49, 10), 12) == 125 * 64 * (40 + 4 * 9 + 4 * 64) + 64 * 12
    assert prunable_blocks(create("dscnn", (1, 49, 10), 12))[0] == ("layers.3.3.weight",)


def test_mobilenet_has_the_work_of_mlperf_tinys() -> None:
    assert macs("mobilenetv1-025", (3, 96, 96), 2) == 7_489_664
    blocks = prunable_blocks(create("mobilenetv1-025", (3, 96, 96), 2))
    assert [len(block) for block in blocks] == [2, 6, 2, 3]
