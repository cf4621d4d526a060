"""FL-PQSU: whole filters pruned once, 8-bit weights both ways, uploads of clients that got better.

Source: Xu et al., "Accelerating Federated Learning for IoT in Big Data Analytics With Pruning,
Quantization and Selective Updating", IEEE Access 2021 (one-shot pruning of the filters of least
L1 norm, 8-bit integer weights for storage and transport, a client uploads only where its loss
fell; known to us from descriptions in later papers). Our decisions: every prunable layer keeps
the wanted share of its filters, one at least; symmetric quantization with one scale a tensor,
biases and normalization stay float32; the loss fell when the mean over the second half of a
client's iterations is below that over the first half; the same pretraining as every method.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from fedtiny.federated.accounting import state_bytes
from fedtiny.federated.codec import FLOAT_BITS
from fedtiny.pruning import method
from fedtiny.pruning.masks import Masks, State, largest


class Method(method.Method):
    """A smaller network for good, in few bits."""

    value_bits = 8
    may_withhold = True

    def init(self) -> Masks:
        """Pretrain, keep the filters of largest L1 norm."""
        self.server.pretrain()
        server = self.server
        return filter_masks(server.state, tuple(server.codec.prunable), server.config.density)

    @staticmethod
    def withholds(losses: Sequence[float]) -> bool:
        """Whether the loss did not fall from the first half of the iterations to the second."""
        half = len(losses) // 2
        return half > 0 and fmean(losses[half:]) >= fmean(losses[:half])

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """The small network both ways, of 8-bit weights; the mean over those that sent it."""
        server = self.server
        narrow = {n: server.state[n][m.flatten(1).any(1)] for n, m in server.masks.items()}
        rest = {n: v for n, v in server.state.items() if n not in narrow}
        weights = {n: v for n, v in rest.items() if v.dim() > 1} | narrow
        whole = state_bytes(rest | narrow, {})
        small = whole - state_bytes(weights, {}) * (1 - self.value_bits / FLOAT_BITS)
        return small * (2 - len(server.withheld) / server.config.cohort_size)


def filter_masks(state: State, names: Sequence[str], density: float) -> Masks:
    """Whole filters: of every layer the share `density` of largest L1 norm, one at least.

    Args:
        state: Holds the weights `(filters, ...)`.
        names: Of the layers.
        density: Share of a layer's filters that stays, to the nearest whole one.
    """
    masks = {}
    for name in names:
        norms = state[name].abs().flatten(1).sum(1)
        kept = largest(norms, max(1, round(density * len(norms))))
        ones = [1] * (state[name].dim() - 1)
        masks[name] = kept.reshape(-1, *ones).expand(state[name].shape).clone()
    return masks
