"""Streamed top gradients equal the dense ones and never exist as a dense layer gradient."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fedtiny.errors import UnsupportedError
from fedtiny.models import create, prunable_blocks
from fedtiny.pruning.top_gradients import TopGradients, top_gradients

pytestmark = pytest.mark.quick


def dense_top(
    module: nn.Module, name: str, mask: torch.Tensor, count: int, x: torch.Tensor, y: torch.Tensor
) -> TopGradients:
    """The slow obvious version."""
    module.zero_grad()
    F.cross_entropy(module(x), y).backward()
    gradient = module.get_parameter(name).grad
    assert gradient is not None
    gradient = gradient.masked_fill(mask, 0).reshape(-1)
    order = torch.sort(gradient.abs(), descending=True, stable=True).indices[:count].sort().values
    module.zero_grad()
    return TopGradients(order, gradient[order])


def batch(shape: tuple[int, ...], count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *shape, generator=generator), torch.arange(count) % 3


def random_masks(module: nn.Module, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {n: torch.rand(module.get_parameter(n).shape, generator=generator) < 0.2 for n in names}


@pytest.mark.parametrize("count", [1, 37, 400])
def test_equal_to_the_dense_gradient(count: int) -> None:
    module = create("resnet8", (2, 9, 9), 3)
    x, y = batch((2, 9, 9))
    for block in prunable_blocks(module):
        masks = random_masks(module, block)
        counts = {n: min(count, int((~masks[n]).sum())) for n in block}
        state = {n: v.clone() for n, v in module.state_dict().items()}
        found = top_gradients(module, masks, counts, x, y)
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name]) or "num_batches" in name
        assert all(p.requires_grad and p.grad is None for p in module.parameters())
        for name in block:
            expected = dense_top(module, name, masks[name], counts[name], x, y)
            assert torch.equal(found[name].indices, expected.indices)
            assert torch.allclose(found[name].values, expected.values, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("count", [4, 40, 400])
def test_blocks_are_ranked_by_their_sums(count: int) -> None:
    module = create("resnet8", (2, 9, 9), 3)
    x, y = batch((2, 9, 9))
    block = prunable_blocks(module)[0]
    masks = {}
    for name, mask in random_masks(module, block).items():
        shape = mask.shape
        masks[name] = mask[:, ::4].repeat_interleave(4, 1) if shape[1] % 4 == 0 else mask
    counts = dict.fromkeys(block, count)
    found = top_gradients(module, masks, counts, x, y, "block1x4")
    for name in block:
        everything = dense_top(
            module, name, torch.zeros_like(masks[name]), masks[name].numel(), x, y
        )
        gradient = everything.values.reshape(masks[name].shape)
        sums = gradient.abs().unflatten(1, (-1, 4)).sum(2).masked_fill(masks[name][:, ::4], -1.0)
        chosen = torch.zeros(sums.numel(), dtype=torch.bool)
        chosen[sums.reshape(-1).topk(count // 4).indices] = True
        expected = chosen.reshape(sums.shape).repeat_interleave(4, 1).reshape(-1).nonzero()[:, 0]
        assert torch.equal(found[name].indices, expected)
        assert torch.allclose(found[name].values, everything.values[expected], rtol=1e-4, atol=1e-7)


def test_a_network_that_is_not_pruned_has_none() -> None:
    module = create("resnet8", (2, 9, 9), 3)
    x, y = batch((2, 9, 9))
    names = prunable_blocks(module)[0]
    masks = {n: torch.ones_like(module.get_parameter(n), dtype=torch.bool) for n in names}
    found = top_gradients(module, masks, dict.fromkeys(names, 0), x, y)
    assert all(found[name].indices.numel() == 0 for name in names)


class Odd(nn.Module):
    """Grouped, dilated, padded by name, with a linear layer over positions."""

    def __init__(self, padding: Any = "same") -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 8, 3, padding=padding, groups=2, dilation=2)
        self.b = nn.Conv2d(8, 8, 3, padding="valid", groups=8, stride=2)
        self.c = nn.Linear(8, 5)
        self.d = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.b(torch.tanh(self.a(x))).flatten(2).transpose(1, 2)
        return self.d(torch.tanh(self.c(x))).mean(1)


def test_groups_dilation_padding_and_linear() -> None:
    module, names = Odd(), ("a.weight", "b.weight", "c.weight")
    x, y = batch((4, 9, 9))
    masks = random_masks(module, names)
    for count in (1, 10, 25):
        found = top_gradients(module, masks, dict.fromkeys(names, count), x, y)
        for name in names:
            expected = dense_top(module, name, masks[name], count, x, y)
            assert torch.equal(found[name].indices, expected.indices)
            assert torch.allclose(found[name].values, expected.values, rtol=1e-4, atol=1e-7)


class Largest(TorchDispatchMode):
    """Records the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)}
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in given:
                    self.elements = max(self.elements, storage.nbytes() // 4)
        return out


def test_no_dense_layer_gradient_is_ever_stored() -> None:
    """The layer's gradient is far larger than all activations, so that it would show."""
    module = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    x, y = batch((3, 4, 4), 2)
    size, count = 128 * 64 * 9, 2000
    masks = {"3.weight": torch.zeros(128, 64, 3, 3, dtype=torch.bool)}
    with Largest() as streamed:
        top_gradients(module, masks, {"3.weight": count}, x, y)
    with Largest() as dense:
        F.cross_entropy(module(x), y).backward()
    activations = 2 * 128 * 4 * 4
    assert dense.elements >= size  # the measurement would notice
    assert streamed.elements <= max(activations, 2 * count + 64 * 9)
    assert streamed.elements < size / 15


def test_what_cannot_be_streamed_is_named() -> None:
    x, y = batch((4, 9, 9))
    reflecting = Odd()
    reflecting.a.padding_mode = "reflect"
    masks = random_masks(reflecting, ("a.weight",))
    with pytest.raises(UnsupportedError, match=r"a\.weight.*zero padding"):
        top_gradients(reflecting, masks, {"a.weight": 3}, x, y)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(self.a(x)).mean((2, 3)))

    twice = Twice()
    masks = random_masks(twice, ("a.weight",))
    with pytest.raises(UnsupportedError, match="runs twice"):
        top_gradients(twice, masks, {"a.weight": 3}, x, y)
    assert all(p.requires_grad for p in twice.parameters())
