"""SNIP: connection sensitivity |w · ∂L/∂w|, once, on the server's public data.

Source: Lee, Ajanthan, Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity",
arXiv 1810.02340 (primary: the score, taken over one batch; the global ranking). Our decisions: the
score is taken over all public data, and after the same pretraining as every method, so that
methods differ by pruning only (`--pretrain-epochs 0` is SNIP at random weights).
"""

from __future__ import annotations

import torch

from fedtiny.federated import objective
from fedtiny.federated.evaluation import batches
from fedtiny.pruning import method
from fedtiny.pruning.masks import Masks, global_masks


class Method(method.Method):
    """A mask for good before the first round."""

    def init(self) -> Masks:
        """Pretrain, score, keep the best of all layers together."""
        self.server.pretrain()
        config = self.server.config
        return global_masks(self.scores(), config.density, config.pattern)

    def scores(self) -> dict[str, torch.Tensor]:
        """Connection sensitivity of every prunable weight."""
        server = self.server
        server.module.load_state_dict(server.state)
        server.module.train()
        weights = {name: server.module.get_parameter(name) for name in server.codec.prunable}
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for x, y in batches(server.public, server.config.batch):
            loss = len(x) * objective.loss(server.module, server.module(x), x, y)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for name, gradient in zip(weights, gradients, strict=True):
                total[name] += gradient
        return {name: (weight.detach() * total[name]).abs() for name, weight in weights.items()}
