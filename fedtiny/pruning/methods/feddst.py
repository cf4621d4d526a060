"""FedDST: every client trains under a mask of its own; the server votes and prunes again.

Source: Bibikar et al., "Federated Dynamic Sparse Training", arXiv 2112.09824 (primary: ERK layer
densities, clients prune by magnitude and regrow by gradient, cosine schedule, average over those
who hold a weight, pruning by magnitude to the layer's density; from its authors' code: readjustment
ratio 0.5, schedule over the first half of the rounds). Our decisions: clients readjust halfway
through their local iterations, so that what they grow is trained before it is compared; the first
masks are random, after the same pretraining as every method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from fedtiny.federated.message import Array, Field
from fedtiny.pruning import groups, method
from fedtiny.pruning.erk import random_erk
from fedtiny.pruning.holders import over_holders
from fedtiny.pruning.masks import Masks, State, largest, magnitude_masks
from fedtiny.pruning.top_gradients import top_gradients

RATIO = 0.5


class Method(method.Method):
    """Masks move on the clients."""

    own_masks = True
    dense_backward = True

    def init(self) -> Masks:
        """Random masks at ERK densities."""
        self.server.pretrain()
        return random_erk(self.server)

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: the share of each layer's active weights to exchange."""
        config = self.server.config
        end = config.rounds // 2 if config.adjust_until is None else config.adjust_until
        if round_ % config.adjustment_interval or round_ >= end:
            return {}
        return {"share": RATIO / 2 * (1 + math.cos(math.pi * round_ / end))}

    @staticmethod
    def at_iteration(iterations: int) -> int:
        """Halfway."""
        return iterations // 2

    @staticmethod
    def on_client(step: method.ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Prune the smallest weights, grow at zero where the gradient is largest."""
        masks, kept = step.masks, {}
        for name, mask in masks.items():
            active = int(mask.sum())
            count = min(int(cast(float, request["share"]) * active), mask.numel() - active)
            count = groups.whole(count, mask.shape, step.pattern)
            magnitude = step.module.get_parameter(name).detach().abs().masked_fill(~mask, -1.0)
            kept[name] = largest(magnitude, active - count, step.pattern)
        counts = {name: int(mask.sum()) - int(kept[name].sum()) for name, mask in masks.items()}
        found = top_gradients(step.module, kept, counts, step.x, step.y, step.pattern)
        step.adopt(kept)
        grown = {name: mask.clone() for name, mask in kept.items()}
        for name, mask in grown.items():
            mask.view(-1)[found[name].indices] = True
        step.adopt(grown)
        return {}

    def aggregate(self, updates: Sequence[method.Update]) -> State:
        """Average each weight over the clients that hold it."""
        return over_holders(self.server, updates)

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """Where clients changed masks, keep as many weights of each layer, the largest."""
        masks = self.server.masks
        if all(update.masks is masks for update in updates):
            return masks
        counts = {name: int(mask.sum()) for name, mask in masks.items()}
        return magnitude_masks(weights, counts, self.server.config.pattern)
