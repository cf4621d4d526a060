"""FedTiny: adaptive batch-normalization selection, then progressive pruning.

Source: Huang et al., "Distributed Pruning Towards Tiny Neural Networks in Federated Learning",
arXiv 2212.01977.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch

from fedtiny.federated import positions
from fedtiny.federated.message import Array, DamagedMessageError, Field, Message
from fedtiny.models import prunable_blocks
from fedtiny.pruning import adaptive_bn, method
from fedtiny.pruning.masks import Masks, State
from fedtiny.pruning.progressive import Schedule, grow_and_prune
from fedtiny.pruning.top_gradients import TopGradients, top_gradients


class Method(method.Method):
    """Both modules of FedTiny."""

    def init(self) -> Masks:
        """Pretrain densely, then let the clients choose among pruned candidates."""
        self.server.pretrain()
        return adaptive_bn.select(self.server, adaptive_bn.candidate_pool(self.server))

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: a block, and how many gradients of each of its layers."""
        config, blocks = self.server.config, self.server.blocks
        schedule = Schedule(config.adjustment_interval, config.adjustment_end, len(blocks))
        block = schedule.block(round_)
        self._counts: dict[str, int] = {}
        if block is None:
            return {}
        self._counts = {n: schedule.count(round_, self.server.masks[n]) for n in blocks[block]}
        return {"block": block, "counts": list(self._counts.values())}

    @staticmethod
    def on_client(step: method.ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """The top gradients of the block's pruned weights: positions and values."""
        block = prunable_blocks(step.module)[cast(int, request["block"])]
        counts = dict(zip(block, cast(list[int], request["counts"]), strict=True))
        found = top_gradients(step.module, step.masks, counts, step.x, step.y)
        arrays: dict[str, Array] = {}
        for number, name in enumerate(block):
            size = step.masks[name].numel()
            arrays[f"grow{number}"] = positions.encode(found[name].indices.numpy(), size)
            arrays[f"gradient{number}"] = found[name].values.numpy()
        return arrays

    def read_extra(self, reply: Message) -> dict[str, TopGradients]:
        """The gradients by layer, each as many as asked for, of pruned weights only."""
        found = {}
        for number, (name, count) in enumerate(self._counts.items()):
            mask = self.server.masks[name].reshape(-1)
            data = reply.array(f"grow{number}", np.uint8, (None,))
            indices = torch.tensor(positions.decode(data, mask.numel()))
            values = torch.tensor(reply.array(f"gradient{number}", np.float32, (count,)))
            if len(indices) != count or mask[indices].any():
                raise DamagedMessageError(f"gradients of {name} are not those asked for")
            found[name] = TopGradients(indices, values)
        return found

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """Grow where the averaged gradient is largest, prune the smallest weights."""
        masks = dict(self.server.masks)
        for name, count in self._counts.items():
            gradient = torch.zeros(masks[name].numel(), dtype=torch.float64)
            for update in updates:
                top = update.value[name]
                gradient[top.indices] += update.weight * top.values.double()
            shaped = gradient.reshape(masks[name].shape)
            masks[name] = grow_and_prune(weights[name], masks[name], shaped, count)
        return masks

    def training_flops(
        self, dense: float, sparse: float, samples: int, last_batch: int, adjusting: bool
    ) -> float:
        """The last iteration of an adjustment round has a dense backward pass."""
        flops = 3 * sparse * samples
        return flops + (2 * dense - 2 * sparse) * last_batch if adjusting else flops

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """The model both ways, and the top gradients with their positions (O_ξ)."""
        return 2 * sparse + 8 * sum(self._counts.values()) * adjusting
