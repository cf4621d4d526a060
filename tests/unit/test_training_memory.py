"""Memory of local training, against a count by hand."""

import pytest
import torch
from torch import nn

from fedtiny.federated.training_memory import largest_batch, trace_layers, training_memory
from fedtiny.models import create

pytestmark = pytest.mark.quick

SHAPE = (1, 8, 8)


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 3),
    )  # fmt: skip


def test_a_network_by_hand() -> None:
    module = small()
    layers = trace_layers(module, SHAPE)
    # the convolution keeps its input, the normalization its own, the ReLU its output, which is
    # also what the linear layer reads
    kept = {"0": 4 * 64, "1": 4 * 256, "2": 4 * 256, "3": 0, "4": 0}
    assert {layer.name: layer.kept for layer in layers} == kept
    mask = torch.zeros(3, 256, dtype=torch.bool)
    mask[:, :10] = True
    parameters = dict(module.named_parameters())
    need = training_memory(layers, parameters, {"4.weight": mask}, 5, momentum=True)
    dense = 36 + 4 + 4 + 3
    assert need.state_bytes == 3 * 4 * dense + 3 * 4 * 30 + 768 // 8
    held = sum(kept.values()) * 5
    assert need.peak_bytes == need.state_bytes + held + 5 * 4 * (256 + 256)
    assert need.peak_layer == "2"  # gradients of both its ends, and all that is kept is alive
    assert need.activation_bytes == {name: 5 * size for name, size in kept.items()}
    plain = training_memory(layers, parameters, {"4.weight": mask}, 5, momentum=False)
    assert plain.state_bytes == need.state_bytes - 4 * (dense + 30)


def test_tracing_changes_nothing() -> None:
    module = create("resnet8-stride2", SHAPE, 3).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace_layers(module, SHAPE)
    assert not module.training
    assert all(torch.equal(before[n], v) for n, v in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_activations_are_what_autograd_keeps() -> None:
    """Of a network with shortcuts and bare ReLUs."""
    module = create("resnet8", (1, 28, 28), 10).train()
    stored = {p.untyped_storage().data_ptr() for p in module.parameters()}
    alive: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in stored and tensor.dim() > 1:
            alive[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        module(torch.zeros(6, 1, 28, 28))
    need = training_memory(trace_layers(module, (1, 28, 28)), {}, {}, 6, True)
    assert sum(need.activation_bytes.values()) == sum(t.nbytes for t in alive.values())


def test_the_largest_batch_fits_and_the_next_does_not() -> None:
    module = small()
    fixed = trace_layers(module, SHAPE), dict(module.named_parameters()), {}
    for limit in (20_000, 50_000, 90_000):
        batch = largest_batch(*fixed, 64, True, limit)
        assert batch is not None
        assert training_memory(*fixed, batch, True).peak_bytes <= limit
        assert training_memory(*fixed, batch + 1, True).peak_bytes > limit
    assert largest_batch(*fixed, 3, True, 10**9) == 3
    assert largest_batch(*fixed, 64, True, 1_000) is None
