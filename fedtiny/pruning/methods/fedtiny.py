"""FedTiny: adaptive batch-normalization selection, then progressive pruning.

Source: Huang et al., "Distributed Pruning Towards Tiny Neural Networks in Federated Learning",
arXiv 2212.01977.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from fedtiny.federated.message import Array, Field, Message
from fedtiny.models import prunable_blocks
from fedtiny.pruning import adaptive_bn, growth, method
from fedtiny.pruning.masks import Masks, State
from fedtiny.pruning.progressive import Schedule
from fedtiny.pruning.top_gradients import TopGradients


class Method(method.Method):
    """Both modules of FedTiny."""

    dense_backward = True

    def init(self) -> Masks:
        """Pretrain densely, then let the clients choose among pruned candidates."""
        self.server.pretrain()
        return adaptive_bn.select(self.server, adaptive_bn.candidate_pool(self.server))

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """In an adjustment round: a block, and how many gradients of each of its layers."""
        config, blocks = self.server.config, self.server.blocks
        schedule = Schedule(
            config.adjustment_interval, config.adjustment_end, len(blocks), config.pattern
        )
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
        return growth.send(step, dict(zip(block, cast(list[int], request["counts"]), strict=True)))

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
