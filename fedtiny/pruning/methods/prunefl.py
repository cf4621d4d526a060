"""PruneFL: prune at one client, then add back what lowers the loss most in the least time.

Source: Jiang et al., "Model Pruning Enables Efficient Federated Learning on Edge Devices", arXiv
1909.12326 (primary: two stages, Σg² as a weight's importance, the greedy rule "add while importance
per time is above that of the model so far"; from its authors' code: the smallest 30 % of a layer's
weights may go at each adjustment, halving every 10,000 rounds; a limit on density; every 50
iterations in stage one, every 50 rounds in stage two). Our decisions: the limit is the wanted
density; a weight's time is the MACs that it takes part in, plus one for carrying it; the MACs of
what is never pruned are the constant, and its importance is left out; stage one is at the client of
most samples, after the same pretraining as every method, until the limit is met; 50 rounds are five
times `--adjust-every`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from fedtiny.federated.accounting import layer_macs
from fedtiny.federated.client_training import ask_to_train
from fedtiny.federated.message import Array, Field, Message
from fedtiny.models import prunable_blocks
from fedtiny.pruning import groups, method
from fedtiny.pruning.masks import Masks, State, largest, masked

MOST_PRUNED, HALF_LIFE, ITERATIONS = 0.3, 10_000, 50


class Method(method.Method):
    """Masks by gradients of all weights, pruned ones too; clients need dense memory for them."""

    def init(self) -> Masks:
        """Stage one: train and prune at one client until the density is met."""
        server = self.server
        server.pretrain()
        sizes = server.samples or {0: 0}
        client, turn = max(sizes, key=lambda c: (sizes[c], -c)), 0
        server.masks = {
            n: torch.ones(server.codec.shapes[n], dtype=torch.bool) for n in server.codec.prunable
        }
        while active(server.masks) > self.limit():
            turn += 1
            (update,) = ask_to_train(
                server, self, [client], {"squares": 1}, round_=turn, iterations=ITERATIONS
            )
            before = server.masks
            server.masks = self.adjusted(update.state, update.value, MOST_PRUNED)
            if active(server.masks) >= active(before):  # the last few weights of every layer stay
                break
            server.state = masked(update.state, server.masks)
        return server.masks

    def limit(self) -> int:
        """Most weights that may be active."""
        return max(1, round(self.server.config.density * sum(self.server.codec.prunable.values())))

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: sums of squared gradients of all weights."""
        return {} if round_ % (5 * self.server.config.adjustment_interval) else {"squares": 1}

    @staticmethod
    def on_gradients(step: method.ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Add up squared gradients; send the mean over all iterations at the end."""
        names = sorted(name for block in prunable_blocks(step.module) for name in block)
        for name in names:
            square = step.module.get_parameter(name).grad.detach() ** 2 / step.iterations  # type: ignore[union-attr]
            step.kept[name] = step.kept[name] + square if name in step.kept else square
        if not step.last:
            return {}
        return {"squares": torch.cat([step.kept[n].reshape(-1) for n in names]).numpy()}

    def read_extra(self, reply: Message) -> dict[str, torch.Tensor]:
        """Squared gradients by layer."""
        codec = self.server.codec
        names = sorted(codec.prunable)
        sizes = [codec.prunable[name] for name in names]
        values = torch.tensor(reply.array("squares", np.float32, (sum(sizes),)))
        parts = torch.split(values, sizes)
        return {n: p.reshape(codec.shapes[n]) for n, p in zip(names, parts, strict=True)}

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """Stage two: the same rule, by the clients' average."""
        if updates[0].value is None:
            return self.server.masks
        squares = {
            name: torch.stack([u.weight * u.value[name] for u in updates]).sum(0)
            for name in self.server.masks
        }
        share = MOST_PRUNED * 0.5 ** (self.server.round / HALF_LIFE)
        return self.adjusted(weights, squares, share)

    def adjusted(self, weights: State, squares: Mapping[str, torch.Tensor], share: float) -> Masks:
        """Protect the largest weights of each layer, then add what pays."""
        server = self.server
        macs = layer_macs(server.module, server.public.input_shape)
        cost = {n: 1 + macs[n] / size for n, size in server.codec.prunable.items()}
        constant = sum(count for n, count in macs.items() if n not in cost)
        pattern = server.config.pattern
        return adjust(weights, server.masks, squares, cost, constant, share, self.limit(), pattern)

    def training_flops(
        self, dense: float, sparse: float, samples: int, last_batch: int, adjusting: bool
    ) -> float:
        """Every iteration of an adjustment round has a dense backward pass."""
        return (2 * dense + sparse if adjusting else 3 * sparse) * samples

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """In an adjustment round, dense squared gradients take the place of the sparse upload."""
        return dense + sparse if adjusting else 2 * sparse


def active(masks: Masks) -> int:
    """Active weights of all layers."""
    return sum(int(mask.sum()) for mask in masks.values())


def adjust(
    weights: Mapping[str, torch.Tensor],
    masks: Masks,
    squares: Mapping[str, torch.Tensor],
    cost: Mapping[str, float],
    constant: float,
    share: float,
    limit: int,
    pattern: str = "unstructured",
) -> Masks:
    """One adjustment.

    Args:
        weights: Of every layer in `masks`.
        masks: Before.
        squares: Importance of every weight.
        cost: Time of one weight of a layer.
        constant: Time that everything else takes.
        share: Of each layer's active weights, the smallest, that may be pruned.
        limit: Nothing is added beyond this many active weights.
        pattern: Of groups, which are worth the sums of their members.
    """
    new = {}
    for name, mask in masks.items():
        pruned = groups.whole(int(share * int(mask.sum())), mask.shape, pattern)
        magnitude = weights[name].abs().masked_fill(~mask, -1.0)
        new[name] = largest(magnitude, int(mask.sum()) - pruned, pattern)
    gained = sum(float(squares[name][mask].double().sum()) for name, mask in new.items())
    time = constant + sum(cost[name] * int(mask.sum()) for name, mask in new.items())
    worth_of = {
        name: (squares[name].double() / cost[name]).masked_fill(mask, -1.0)
        for name, mask in new.items()
    }
    pays = torch.cat([groups.members(value, pattern).mean(1) for value in worth_of.values()])
    size = {name: groups.size(mask.shape, pattern) for name, mask in new.items()}
    count = {name: mask.numel() // size[name] for name, mask in new.items()}
    sizes = torch.cat([torch.full((count[n],), size[n]) for n in new])
    costs = torch.cat(
        [torch.full((count[n],), size[n] * cost[n], dtype=torch.float64) for n in new]
    )
    order = torch.sort(pays, descending=True, stable=True).indices
    order = order[: int((sizes[order].cumsum(0) <= limit - active(new)).long().cumprod(0).sum())]
    pays, costs = pays[order], costs[order]
    gains, times = gained + (pays * costs).cumsum(0), time + costs.cumsum(0)
    before = torch.cat([torch.tensor([gained / time], dtype=torch.float64), gains / times])[:-1]
    worth = (pays > before) & (pays >= 0)
    added = order[: int(worth.long().cumprod(0).sum())]
    flat = torch.cat([groups.members(mask, pattern)[:, 0] for mask in new.values()])
    flat[added] = True
    parts = torch.split(flat, list(count.values()))
    return {
        name: groups.spread(part, mask.shape, pattern)
        for (name, mask), part in zip(new.items(), parts, strict=True)
    }
