"""FedRTS: masks drawn by combinatorial Thompson sampling from what rounds have shown.

Source: Huang et al., "FedRTS: Federated Robust Pruning via Combinatorial Thompson Sampling", arXiv
2501.19122 (γ = 0.5, λ = 10, α_adj = 0.4, outer interval 10, end at 300), and its authors' code (the
outcomes: each round of the κ largest active weights, in adjustment rounds of the top gradients'
positions; priors Beta(1, 1); K highest samples of each layer stay). Our decisions: random ERK masks
as in FedMef; the same pretraining as every method; the schedule scales with `--adjust-every` and
three times `--adjust-until`, as 300 is to the 100 of FedTiny.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch

from fedtiny.federated.message import Array, Field, Message
from fedtiny.federated.seeds import generator
from fedtiny.pruning import groups, growth, method
from fedtiny.pruning.erk import random_erk
from fedtiny.pruning.masks import Masks, State, largest
from fedtiny.pruning.top_gradients import TopGradients

GAMMA, LAMBDA, ADJUSTED = 0.5, 10.0, 0.4


class Method(method.Method):
    """The server remembers, for every weight, how often it was worth keeping."""

    dense_backward = True

    def init(self) -> Masks:
        """Random masks at ERK densities; nothing is known of any weight."""
        self.server.pretrain()
        masks = random_erk(self.server)
        for name, mask in masks.items():
            self.tensors[f"a.{name}"] = torch.ones(mask.shape)
            self.tensors[f"b.{name}"] = torch.ones(mask.shape)
        return masks

    def exchanged(self, round_: int, name: str) -> int:
        """Weights of a layer that compete for their place (K - κ)."""
        end, mask = 3 * self.server.config.adjustment_end, self.server.masks[name]
        active = int(mask.sum())
        share = ADJUSTED / 2 * (1 + math.cos(math.pi * round_ / end)) if round_ < end else 0.0
        count = min(int(share * active), mask.numel() - active)
        return groups.whole(count, mask.shape, self.server.config.pattern)

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: how many top gradients of each layer."""
        config, masks = self.server.config, self.server.masks
        self._counts = {name: self.exchanged(round_, name) for name in masks}
        if round_ % config.adjustment_interval or not any(self._counts.values()):
            self._counts = {}
            return {}
        return {"counts": list(self._counts.values())}

    @staticmethod
    def on_client(step: method.ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Positions of the top gradients among pruned weights; no values."""
        counts = dict(zip(step.masks, cast(list[int], request["counts"]), strict=True))
        return growth.send(step, counts, values=False)

    def read_extra(self, reply: Message) -> dict[str, TopGradients]:
        """The positions by layer."""
        return growth.read(reply, self.server.masks, self._counts, values=False)

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """Learn from this round; in an adjustment round draw new masks."""
        server, masks, pattern = self.server, self.server.masks, self.server.config.pattern
        for name, mask in masks.items():
            core = int(mask.sum()) - self.exchanged(server.round, name)
            votes = GAMMA * sum(
                u.weight * core_of(u.state[name], mask, core, pattern) for u in updates
            )
            own = core_of(weights[name], mask, core, pattern)
            self._learn(name, mask, (1 - GAMMA) * own + votes)
        if not self._counts:
            return masks
        rng, drawn = generator(server.config.seed, "thompson", server.round), {}
        for name, mask in masks.items():
            votes = growth.average(updates, name, mask).float()
            self._learn(name, ~mask, (1 - GAMMA) * 0.5 + GAMMA * votes)
            a, b = (self.tensors[f"{part}.{name}"].double().numpy() for part in "ab")
            drawn[name] = largest(torch.from_numpy(rng.beta(a, b)), int(mask.sum()), pattern)
        return drawn

    def _learn(self, name: str, where: torch.Tensor, outcome: torch.Tensor) -> None:
        self.tensors[f"a.{name}"] += LAMBDA * outcome * where
        self.tensors[f"b.{name}"] += LAMBDA * (1 - outcome) * where

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """The model both ways, and positions without values (half of O_ξ)."""
        return 2 * sparse + 4 * sum(self._counts.values())


def core_of(weight: torch.Tensor, mask: torch.Tensor, count: int, pattern: str) -> torch.Tensor:
    """1 at the `count` largest active weights, else 0."""
    return largest(weight.abs().masked_fill(~mask, -1.0), count, pattern).float()
