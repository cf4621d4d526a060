"""The largest gradients of pruned weights, without ever storing a layer's gradient.

A weight gradient is made a few output channels at a time; of each chunk only what belongs to the
largest so far is kept. Memory beside activations is O(count + one output channel).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from fedtiny.errors import UnsupportedError
from fedtiny.federated import batch_norm, objective
from fedtiny.pruning import groups


@dataclass(frozen=True)
class TopGradients:
    """Of one layer.

    Attributes:
        indices: `(count,)` int64, ascending, into the flattened weight.
        values: `(count,)` float32, signed.
    """

    indices: torch.Tensor
    values: torch.Tensor


def top_gradients(
    module: nn.Module,
    masks: Mapping[str, torch.Tensor],
    counts: Mapping[str, int],
    x: torch.Tensor,
    y: torch.Tensor,
    pattern: str = "unstructured",
) -> dict[str, TopGradients]:
    """The `counts` largest gradients by magnitude among each layer's pruned weights.

    One forward and one backward pass in training mode. No parameter and no running statistic
    changes, and no parameter's gradient is computed beside the streamed ones.

    Args:
        module: The network, with its current weights.
        masks: Of the layers; True is active.
        counts: By parameter name (a convolution's or linear layer's weight), how many.
        x: Inputs `(N, C, H, W)`.
        y: Labels `(N,)`.
        pattern: Of groups: those of the largest sums of magnitudes are taken, all members of each.

    Raises:
        UnsupportedError: A layer is neither a plain convolution nor linear, or runs twice.
    """
    found: dict[str, TopGradients] = {}

    def watch(name: str, count: int) -> torch.utils.hooks.RemovableHandle:
        layer = module.get_submodule(name.rpartition(".")[0])
        inactive = ~masks[name]

        def capture(_: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            entered, version = args[0].detach(), args[0]._version

            def reduce(gradient: torch.Tensor) -> None:
                if name in found or entered._version != version:
                    raise UnsupportedError(
                        f"the input of {name} is overwritten, or its layer runs twice; progressive "
                        "pruning needs it once, unchanged."
                    )
                chunks = _gradient_chunks(name, layer, entered, gradient, count)
                found[name] = _reduce(chunks, inactive, count, pattern)

            target = out if out.requires_grad else out.requires_grad_()
            target.register_hook(reduce)  # type: ignore[no-untyped-call]

        return layer.register_forward_hook(capture)

    empty = TopGradients(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    if not any(counts.values()):  # nothing is pruned: no gradient is wanted, and none would flow
        return dict.fromkeys(counts, empty)
    handles = [watch(name, count) for name, count in counts.items() if count]
    try:
        with _frozen(module):
            module.train()
            objective.loss(module, module(x), x, y).backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    return {name: found.get(name, empty) for name in counts}


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No parameter takes a gradient and no running statistic moves inside the block."""
    wanted = [p for p in module.parameters() if p.requires_grad]
    norms = list(batch_norm.layers(module).values())
    momenta = [norm.momentum for norm in norms]
    for parameter in wanted:
        parameter.requires_grad_(False)
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _reduce(
    chunks: Iterator[tuple[int, torch.Tensor]], inactive: torch.Tensor, count: int, pattern: str
) -> TopGradients:
    """Keep the largest of all chunks; of equal ones the first."""
    size = groups.size(inactive.shape, pattern)
    flat = inactive.reshape(-1)
    indices = torch.zeros((0, size), dtype=torch.int64)
    values = torch.zeros((0, size))
    for start, gradient in chunks:
        pruned = flat[start : start + gradient.numel()].reshape(gradient.shape)
        inside = groups.members(pruned, pattern).all(1).nonzero()[:, 0]
        places = torch.arange(start, start + gradient.numel()).reshape(gradient.shape)
        indices = torch.cat([indices, groups.members(places, pattern)[inside]])
        values = torch.cat([values, groups.members(gradient, pattern)[inside]])
        order = torch.sort(values.abs().sum(1), descending=True, stable=True).indices
        order = order[: count // size].sort().values
        indices, values = indices[order], values[order]
    order = indices.reshape(-1).sort().indices
    return TopGradients(indices.reshape(-1)[order], values.reshape(-1)[order])


def _gradient_chunks(
    name: str, layer: nn.Module, x: torch.Tensor, gradient: torch.Tensor, count: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """Parts of a weight's gradient with their flat offsets, about `count` elements each.

    Args:
        name: Of the weight, for the error.
        layer: That owns it.
        x: What entered the layer.
        gradient: Of what left it.
        count: Elements of a part; at least one output channel is made.

    Raises:
        UnsupportedError: The layer is of another kind.
    """
    if isinstance(layer, nn.Linear):
        x2, gradient2 = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        step = max(1, count // layer.in_features)
        for row in range(0, layer.out_features, step):
            yield row * layer.in_features, gradient2[:, row : row + step].T @ x2
        return
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        raise UnsupportedError(
            f"progressive pruning of {name}: accepted are Conv2d with zero padding and Linear."
        )
    outputs = layer.out_channels // layer.groups
    inputs = layer.in_channels // layer.groups
    per_output = layer.weight[0].numel()
    step = max(1, count // per_output)
    for group in range(layer.groups):
        part = x[:, group * inputs : (group + 1) * inputs]
        end = (group + 1) * outputs
        for first in range(group * outputs, end, step):
            last = min(first + step, end)
            grad_weight = torch.ops.aten.convolution_backward(
                gradient[:, first:last],
                part,
                layer.weight[first:last],
                None,
                layer.stride,
                _padding(name, layer),
                layer.dilation,
                False,
                (0, 0),
                1,
                (False, True, False),
            )[1]
            yield first * per_output, grad_weight


def _padding(name: str, layer: nn.Conv2d) -> tuple[int, ...]:
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0, 0)
    totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise UnsupportedError(f"progressive pruning of {name}: its padding is not symmetric.")
    return tuple(total // 2 for total in totals)
