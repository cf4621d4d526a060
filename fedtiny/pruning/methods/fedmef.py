"""FedMef: extrude weights before they are pruned, and keep few activations for backward.

Source: Huang et al., "FedMef: Towards Memory-efficient Federated Dynamic Pruning", arXiv 2403.14737
(random ERK masks; budget-aware extrusion: in adjustment rounds the loss plus λ‖θ_low‖², θ_low the
weights about to be pruned, λ = 1e-4, and a learning rate from that surrogate; scaled activation
pruning: backward sees the largest 1 - γ of a layer's inputs), and its authors' code (γ = 0.5; the
form of the learning rate). Growing and pruning are FedTiny's, in all layers at once. Our decisions:
the rate's upper bound is the run's first rate; networks keep their batch normalization, where the
authors replace it by normalized convolutions; the same pretraining as every method.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from fedtiny.federated.message import Array, Field, Message
from fedtiny.pruning import growth, method
from fedtiny.pruning.erk import random_erk
from fedtiny.pruning.masks import Masks, State, largest
from fedtiny.pruning.progressive import Schedule
from fedtiny.pruning.top_gradients import TopGradients

LAMBDA, GAMMA = 1e-4, 0.5


class Method(method.Method):
    """Both modules of FedMef."""

    dense_backward = True

    def init(self) -> Masks:
        """Random masks at ERK densities."""
        self.server.pretrain()
        return random_erk(self.server)

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: how many weights of each layer are exchanged."""
        config, self._counts = self.server.config, dict[str, int]()
        schedule = Schedule(config.adjustment_interval, config.adjustment_end, 1, config.pattern)
        if schedule.block(round_) is None:
            return {}
        self._counts = {n: schedule.count(round_, m) for n, m in self.server.masks.items()}
        return {"counts": list(self._counts.values()), "most_lr": config.lr}

    @staticmethod
    def client_forward(
        step: method.ClientStep, request: Mapping[str, Field]
    ) -> contextlib.AbstractContextManager[object]:
        """Scaled activation pruning, in every round."""
        return pruned_activations(step.module)

    @staticmethod
    def client_penalty(step: method.ClientStep, request: Mapping[str, Field]) -> torch.Tensor:
        """λ‖θ_low‖²; also sets the learning rate of this iteration."""
        low = lowest(step, cast(list[int], request["counts"]))
        rate = step.optimizer.param_groups[0]
        base = cast(float, rate.setdefault("initial_lr", rate["lr"]))
        left = 2 * (step.iterations - step.iteration) / (2 * step.iterations - step.iteration)
        surrogate = left * (2 * torch.sigmoid(low.abs().sum()).item() - 1)
        most = cast(float, request["most_lr"])
        rate["lr"] = min(most, max(base, surrogate * most))
        return LAMBDA * (low**2).sum()

    @staticmethod
    def on_client(step: method.ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """The top gradients of every layer's pruned weights."""
        counts = cast(list[int], request["counts"])
        return growth.send(step, dict(zip(step.masks, counts, strict=True)))

    def read_extra(self, reply: Message) -> dict[str, TopGradients]:
        """The gradients by layer."""
        return growth.read(reply, self.server.masks, self._counts)

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """Grow where the averaged gradient is largest, prune the smallest weights."""
        return growth.exchange(
            self.server.masks, weights, updates, self._counts, self.server.config.pattern
        )

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """The model both ways, and the top gradients with their positions (O_ξ)."""
        return 2 * sparse + 8 * sum(self._counts.values())


def lowest(step: method.ClientStep, counts: Sequence[int]) -> torch.Tensor:
    """θ_low: of each layer the active weights of least magnitude, one layer after the other."""
    parts = []
    for (name, mask), count in zip(step.masks.items(), counts, strict=True):
        weights = step.module.get_parameter(name)
        least = (-weights.detach().abs()).masked_fill(~mask, -torch.inf)
        parts.append(weights[largest(least, count, step.pattern)])
    return torch.cat(parts)


@contextlib.contextmanager
def pruned_activations(module: nn.Module) -> Iterator[None]:
    """Backward passes of the block's forward passes see the largest 1 - γ of each layer's input.

    Convolutions and linear layers store no more than that; what other layers store is unchanged,
    and so are all outputs.
    """
    inputs: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> Any:
        if not any(tensor is x or tensor.data_ptr() == x.data_ptr() for x in inputs[-1:]):
            return tensor
        flat = tensor.reshape(-1)
        kept = torch.sort(flat.abs(), descending=True, stable=True).indices
        kept = kept[: int((1 - GAMMA) * flat.numel())]
        return kept.to(torch.int32), flat[kept], tensor.shape, tensor.stride()

    def unpack(packed: Any) -> torch.Tensor:
        if isinstance(packed, torch.Tensor):
            return packed
        kept, values, shape, stride = packed
        flat = torch.zeros(shape.numel())
        flat[kept.long()] = values
        return torch.empty_strided(shape, stride).copy_(flat.reshape(shape))

    layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = []
    for layer in layers:
        enter = layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        leave = layer.register_forward_hook(lambda _, args, out: inputs.clear())
        handles += [enter, leave]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield
    finally:
        for handle in handles:
            handle.remove()
