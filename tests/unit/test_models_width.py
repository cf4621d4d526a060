"""Networks with fewer channels."""

import pytest

from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig
from fedtiny.models import create, prunable_blocks
from fedtiny.models.width import narrowed
from fedtiny.pruning.methods import small_dense

pytestmark = pytest.mark.quick

SHAPE = (1, 8, 8)


def size(name: str) -> int:
    return sum(p.numel() for p in create(name, SHAPE, 3).parameters())


def test_width_multiplies_channels() -> None:
    half = create("resnet8@0.5", SHAPE, 3)
    assert half.get_parameter("stage3.conv1.weight").shape == (32, 16, 3, 3)
    assert size("resnet8@1") == size("resnet8")
    with pytest.raises(UsageError, match="width is '-1'; accepted is a number above 0"):
        create("resnet8@-1", SHAPE, 3)
    with pytest.raises(UsageError, match="has no widths"):
        create("torch.nn:Flatten@0.5", SHAPE, 64)


def test_narrowed_is_the_widest_that_fits() -> None:
    name = narrowed("resnet8", SHAPE, 3, 10_000)
    width = float(name.partition("@")[2])
    assert 0.7 * 10_000 < size(name) <= 10_000 < size(f"resnet8@{width + 1 / 256:g}")
    with pytest.raises(UsageError, match="cannot be narrowed to 20 parameters"):
        narrowed("resnet8", SHAPE, 3, 20)


def test_the_small_dense_model_is_as_large_as_the_sparse_one() -> None:
    config = TrainConfig("d", "resnet8", 0.1, method="small-dense")
    module = create("resnet8", SHAPE, 3)
    prunable = sum(module.get_parameter(n).numel() for b in prunable_blocks(module) for n in b)
    active = size("resnet8") - prunable + round(0.1 * prunable)
    chosen = size(small_dense.Method.network(config, SHAPE, 3))
    assert 0.85 * active < chosen <= active
