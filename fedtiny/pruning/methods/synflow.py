"""SynFlow: iterative pruning by synaptic flow, without any data.

Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic
flow", arXiv 2006.05467 (primary: R = 1ᵀ f_|θ|(1), the score θ ⊙ ∂R/∂θ, 100 iterations, density
d^(k/100), global ranking). Our decisions: normalization is left out of R but for its |scale| and
|shift| (mean 0, variance 1, as at the authors' initialization), so that flow stays positive after
pretraining, which every method has (`--pretrain-epochs 0` prunes at random weights).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from fedtiny.federated import batch_norm
from fedtiny.pruning import method
from fedtiny.pruning.masks import Masks, global_masks

ITERATIONS = 100


class Method(method.Method):
    """A mask for good before the first round."""

    def init(self) -> Masks:
        """Pretrain, then prune along an exponential schedule."""
        self.server.pretrain()
        self.server.module.load_state_dict(self.server.state)
        module = linearized(self.server.module)
        shape, density = self.server.public.input_shape, self.server.config.density
        masks: Masks = {}
        for k in range(1, ITERATIONS + 1):
            scores = flow(module, tuple(self.server.codec.prunable), masks, shape)
            masks = global_masks(scores, density ** (k / ITERATIONS), self.server.config.pattern)
        return masks


def linearized(module: nn.Module) -> nn.Module:
    """A copy in double precision that computes with |θ|, in evaluation mode."""
    module = copy.deepcopy(module).double().eval()
    for layer in batch_norm.layers(module).values():
        layer.reset_running_stats()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    return module


def flow(
    module: nn.Module,
    names: tuple[str, ...],
    masks: Mapping[str, torch.Tensor],
    shape: tuple[int, ...],
) -> dict[str, torch.Tensor]:
    """Synaptic flow through each weight; zero where the masks prune it.

    Args:
        module: From `linearized`.
        names: Of the weights.
        masks: So far; absent is dense.
        shape: `(C, H, W)` of the input of ones.
    """
    weights = {name: module.get_parameter(name) for name in names}
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)
    total = module(torch.ones(1, *shape, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(total, list(weights.values()))
    return {n: (w * g).detach() for (n, w), g in zip(weights.items(), gradients, strict=True)}
