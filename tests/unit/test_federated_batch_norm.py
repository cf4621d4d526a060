"""Pooled statistics equal those of all activations together."""

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny.federated import batch_norm
from fedtiny.federated.batch_norm import Statistics
from fedtiny.federated.message import DamagedMessageError, Message
from fedtiny.models import create

pytestmark = pytest.mark.quick


def inputs_of_every_layer(
    module: nn.Module, batches: list[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The slow obvious version: keep everything that enters a layer."""
    kept: dict[str, list[torch.Tensor]] = {}
    handles = []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.BatchNorm2d):

            def keep(_: nn.Module, args: tuple[torch.Tensor, ...], name: str = name) -> None:
                kept.setdefault(name, []).append(args[0].transpose(0, 1).flatten(1).double())

            handles.append(layer.register_forward_pre_hook(keep))
    module.train()
    with torch.no_grad():
        for x in batches:
            module(x)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts, 1) for name, parts in kept.items()}


def test_pooled_over_clients_of_different_sizes() -> None:
    module = create("resnet8", (2, 9, 9), 3)
    generator = torch.Generator().manual_seed(0)
    clients = [
        [torch.randn(n, 2, 9, 9, generator=generator) * scale + shift for n in sizes]
        for sizes, scale, shift in (((5, 7), 1, 0), ((2,), 3, 4), ((9, 9, 3), 0.3, -2))
    ]
    weights = {n: p.detach().clone() for n, p in module.named_parameters()}
    parts = [batch_norm.measure(module, batches) for batches in clients]
    pooled = batch_norm.pool(module, parts)
    together = inputs_of_every_layer(module, [x for batches in clients for x in batches])
    assert list(together) == list(batch_norm.layers(module))
    assert len(together) == 9  # the stem's, two a block, two of shortcuts
    values = list(together.values())
    mean = torch.cat([x.mean(1) for x in values]).numpy()
    variance = torch.cat([x.var(1, correction=0) for x in values]).numpy()
    assert np.allclose(pooled.mean, mean, rtol=1e-5, atol=1e-6)
    assert np.allclose(pooled.variance, variance, rtol=1e-5, atol=1e-6)
    assert list(pooled.count) == [x.shape[1] for x in values]
    averaged = np.average([p.variance for p in parts], axis=0, weights=[12, 2, 21])
    assert not np.allclose(averaged, variance, rtol=0.05)  # an average of variances is not it
    assert all(torch.equal(p, weights[n]) for n, p in module.named_parameters())

    state = pooled.put(module.state_dict(), module)
    module.load_state_dict(state)
    assert np.array_equal(module.get_buffer("stem.1.running_var"), pooled.variance[:16])
    again = Statistics.of_state(module.state_dict(), module, 4)
    assert np.array_equal(again.mean, pooled.mean)


def test_running_statistics_do_not_enter() -> None:
    module = create("resnet8", (2, 9, 9), 3)
    x = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    first = batch_norm.measure(module, [x])
    for buffer in module.buffers():
        buffer.fill_(3)
    second = batch_norm.measure(module, [x])
    assert np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.variance, second.variance)


def test_networks_without_batch_normalization() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    part = batch_norm.measure(module, [torch.zeros(2, 1, 2, 2)])
    pooled = batch_norm.pool(module, [part, part])
    assert pooled.mean.shape == (0,)
    assert pooled.put(module.state_dict(), module).keys() == module.state_dict().keys()


def test_unsound_statistics() -> None:
    module = create("resnet8", (2, 9, 9), 3)
    part = batch_norm.measure(module, [torch.rand(4, 2, 9, 9)])
    sound = part.arrays()
    assert np.array_equal(Statistics.of(Message("s", {}, sound), module).mean, part.mean)
    for damage in (
        {"mean": part.mean * np.nan},
        {"mean": part.mean[1:]},
        {"variance": -part.variance - 1},
        {"count": part.count * 0},
        {"count": part.count.astype(np.int32)},
    ):
        with pytest.raises(DamagedMessageError):
            Statistics.of(Message("s", {}, sound | damage), module)
