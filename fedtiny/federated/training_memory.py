"""Memory that local training needs on a sparse device, layer by layer.

Counted in float32: active weights with a bitmap of their positions, their gradients, their
momentum, and the activations that the backward pass reads again. Papers leave activations out
(`state_bytes` times three); at small densities they are most of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fedtiny.federated.accounting import VALUE_BITS, storage_bits

_BYTES = VALUE_BITS // 8
_PROBE = 2  # samples; batch normalization trains on no fewer


@dataclass(frozen=True)
class Layer:
    """A module without children, or an operation of one that has some.

    Attributes:
        name: Of the module.
        kept: Bytes a sample that its backward pass reads, without what an earlier layer keeps.
        passing: Bytes a sample of the gradients that flow in and out of it.
    """

    name: str
    kept: int
    passing: int


@dataclass(frozen=True)
class TrainingMemory:
    """What training takes.

    Attributes:
        peak_bytes: At the worst moment of the backward pass.
        peak_layer: Whose backward pass that is.
        state_bytes: Of weights, positions, gradients and momentum together.
        activation_bytes: Kept for the backward pass, by layer.
    """

    peak_bytes: int
    peak_layer: str
    state_bytes: int
    activation_bytes: Mapping[str, int]


def trace_layers(module: nn.Module, input_shape: Sequence[int]) -> tuple[Layer, ...]:
    """The layers in the order in which they run, by what torch's autograd really keeps.

    Args:
        module: The network; nothing of it changes.
        input_shape: `(C, H, W)`.
    """
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen: dict[int, torch.Tensor] = {}
    found: list[Layer] = []
    running = [_Running("operations between modules", module)]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights and place not in seen and tensor.dim() > 1:
            seen[place] = tensor  # alive, so that no later tensor takes its place
            size = tensor.numel() * tensor.element_size() // _PROBE
            if running[-1].is_leaf:
                running[-1].kept += size
            else:  # as an addition or a bare ReLU: what it keeps is what it passes on
                found.append(Layer(running[-1].name, size, 2 * size))
        return tensor

    def leave(layer: nn.Module, args: tuple[object, ...], out: object) -> None:
        done = running.pop()
        if done.is_leaf:
            tensors = [t for t in (*args, out) if isinstance(t, torch.Tensor)]
            passing = sum(t.numel() * t.element_size() for t in tensors) // _PROBE
            found.append(Layer(done.name, done.kept, passing))

    handles = []
    for name, layer in module.named_modules():
        if layer is not module:
            handles += [
                layer.register_forward_pre_hook(
                    lambda layer, _, name=name: running.append(_Running(name, layer))
                ),
                layer.register_forward_hook(leave),
            ]
    training, buffers = module.training, {n: b.clone() for n, b in module.named_buffers()}
    module.train()
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            module(torch.zeros(_PROBE, *input_shape))
    finally:
        module.train(training)
        for name, buffer in module.named_buffers():
            buffer.copy_(buffers[name])
        for handle in handles:
            handle.remove()
    return tuple(found)


class _Running:
    """A module whose forward pass is under way."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.kept = name, 0
        self.is_leaf = next(module.children(), None) is None


def training_memory(
    layers: Sequence[Layer],
    parameters: Mapping[str, torch.Tensor],
    masks: Mapping[str, torch.Tensor],
    batch: int,
    momentum: bool,
) -> TrainingMemory:
    """What a batch takes.

    Args:
        layers: From `trace_layers`.
        parameters: All of the network's, by name.
        masks: What of them is sparse.
        batch: Samples.
        momentum: Whether the optimizer keeps one value a weight.
    """
    copies = 2 + momentum  # values, gradients, momentum
    state = 0
    for name, value in parameters.items():
        if name in masks:
            active = int(masks[name].sum())
            bits = storage_bits(1, value.numel(), active)
            state += -(-min(bits["bitmap"], bits["dense"]) // 8) + (copies - 1) * active * _BYTES
        else:
            state += copies * value.numel() * _BYTES
    held = list(itertools.accumulate(layer.kept * batch for layer in layers))
    moments = [
        (before + layer.passing * batch, layer.name)
        for before, layer in zip(held, layers, strict=True)
    ]
    peak, name = max(moments, key=lambda moment: moment[0])
    activations: dict[str, int] = {}
    for layer in layers:
        activations[layer.name] = activations.get(layer.name, 0) + layer.kept * batch
    return TrainingMemory(state + peak, name, state, activations)


def largest_batch(
    layers: Sequence[Layer],
    parameters: Mapping[str, torch.Tensor],
    masks: Mapping[str, torch.Tensor],
    most: int,
    momentum: bool,
    limit_bytes: int,
) -> int | None:
    """The largest batch, 2 to `most`, whose training fits; None where not even two samples do."""
    for batch in range(most, 1, -1):
        need = training_memory(layers, parameters, masks, batch, momentum)
        if need.peak_bytes <= limit_bytes:
            return batch
    return None
