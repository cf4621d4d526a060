"""Batch-normalization statistics: taken by clients, pooled by the server.

Statistics and affine parameters are federated differently. Scale and shift are trained and
averaged like any weight, weighted by sample count. Means and variances are *pooled*: the result is
what one would measure over all clients' activations together, which an average of variances is
not, as clients' means differ. Every such layer takes part, those of shortcuts too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedtiny.federated.message import Array, DamagedMessageError, Message
from fedtiny.pruning.masks import State


@dataclass(frozen=True)
class Statistics:
    """Of every batch-normalization layer, in module order, channels one layer after the other.

    Attributes:
        mean: `(channels,)` float32.
        variance: `(channels,)` float32, biased.
        count: `(layers,)` int64, values that each channel of a layer saw.
    """

    mean: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    count: npt.NDArray[np.int64]

    def arrays(self) -> dict[str, Array]:
        """For a message."""
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    @staticmethod
    def of(message: Message, module: nn.Module) -> Statistics:
        """From a message, checked against the network.

        Raises:
            DamagedMessageError: They are missing, damaged, or of another network.
        """
        widths = [layer.num_features for layer in layers(module).values()]
        mean = message.array("mean", np.float32, (sum(widths),))
        variance = message.array("variance", np.float32, (sum(widths),))
        count = message.array("count", np.int64, (len(widths),))
        if (variance < 0).any() or (count < 1).any():
            raise DamagedMessageError("a variance is negative, or a count is not positive")
        return Statistics(mean, variance, count)

    @staticmethod
    def of_state(state: Mapping[str, torch.Tensor], module: nn.Module, weight: int) -> Statistics:
        """The running statistics of a state, every layer counted `weight` times."""
        names = list(layers(module))
        empty = torch.zeros(0)
        mean = torch.cat([*(state[f"{name}.running_mean"] for name in names), empty])
        variance = torch.cat([*(state[f"{name}.running_var"] for name in names), empty])
        return Statistics(mean.numpy(), variance.numpy(), np.full(len(names), weight, np.int64))

    def put(self, state: Mapping[str, torch.Tensor], module: nn.Module) -> State:
        """The state with these as its running statistics."""
        result, at = dict(state), 0
        for name, layer in layers(module).items():
            end = at + layer.num_features
            result[f"{name}.running_mean"] = torch.tensor(self.mean[at:end])
            result[f"{name}.running_var"] = torch.tensor(self.variance[at:end])
            at = end
        return result


def layers(module: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """Every batch-normalization layer that keeps running statistics, by name."""
    return {
        name: m
        for name, m in module.named_modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None
    }


def measure(module: nn.Module, inputs: Iterable[torch.Tensor]) -> Statistics:
    """Statistics of every layer's input over some batches, in training mode, without gradients.

    Each batch is normalized by its own statistics, as in training; nothing of the running
    statistics enters. They are overwritten, and the module is left in training mode.

    Args:
        module: Its weights do not change.
        inputs: Batches `(N, C, H, W)`.
    """
    found = layers(module)
    sums = {name: torch.zeros(3, m.num_features, dtype=torch.float64) for name, m in found.items()}

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def add(_: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            x = args[0].detach().double()
            others = [d for d in range(x.dim()) if d != 1]
            sums[name][0] += x.sum(others)
            sums[name][1] += (x * x).sum(others)
            sums[name][2] += x.numel() // x.shape[1]

        return layer.register_forward_pre_hook(add)

    handles = [watch(name, layer) for name, layer in found.items()]
    module.train()
    try:
        with torch.no_grad():
            for x in inputs:
                module(x)
    finally:
        for handle in handles:
            handle.remove()
    total = torch.cat([*sums.values(), torch.zeros(3, 0, dtype=torch.float64)], 1)
    mean = total[0] / total[2]
    variance = (total[1] / total[2] - mean * mean).clamp(min=0)
    counts = [int(s[2, 0]) for s in sums.values()]
    return Statistics(
        mean.float().numpy(), variance.float().numpy(), np.asarray(counts, dtype=np.int64)
    )


def pool(module: nn.Module, parts: Sequence[Statistics]) -> Statistics:
    """Statistics of all parts together, weighted by their counts.

    Args:
        module: Whose layers they belong to.
        parts: At least one.
    """
    widths = [layer.num_features for layer in layers(module).values()]
    counts = np.stack([part.count for part in parts])
    weights = np.repeat(counts / counts.sum(0), widths, axis=1)
    means = np.stack([part.mean for part in parts]).astype(np.float64)
    variances = np.stack([part.variance for part in parts]).astype(np.float64)
    mean = (weights * means).sum(0)
    variance = (weights * (variances + (means - mean) ** 2)).sum(0)
    return Statistics(mean.astype(np.float32), variance.astype(np.float32), counts.sum(0))
