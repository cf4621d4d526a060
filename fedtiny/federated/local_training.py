"""SGD on one device's data, active weights only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.data import Dataset
from fedtiny.federated.evaluation import to_input


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: Passes over the data.
        batch: Batch size.
        lr: Learning rate.
        momentum: Of SGD; starts from zero.
        weight_decay: Of SGD.
    """

    epochs: int
    batch: int
    lr: float
    momentum: float
    weight_decay: float


def train(
    module: nn.Module,
    masks: Mapping[str, torch.Tensor],
    dataset: Dataset,
    recipe: Recipe,
    rng: np.random.Generator,
    before_last: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    after_epoch: Callable[[], None] = lambda: None,
) -> float:
    """Train in place; inactive weights stay zero.

    The arithmetic is torch's, dense under a mask; what a sparse device would need is accounted
    for, not measured, here.

    Args:
        module: Starts from its weights, zero where inactive.
        masks: By parameter name; parameters without one are dense.
        dataset: At least two samples.
        recipe: How.
        rng: Shuffles.
        before_last: Called with the batch of the last iteration before its update.
        after_epoch: Called after each epoch.

    Returns:
        The mean loss over all iterations.
    """
    module.train()
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    active = {
        name: mask.to(torch.float32).contiguous(memory_format=torch.channels_last)
        if mask.dim() == 4
        else mask.to(torch.float32)
        for name, mask in masks.items()
    }
    masked = [(module.get_parameter(name), mask) for name, mask in active.items()]
    order = [part for _ in range(recipe.epochs) for part in _batches(dataset, recipe.batch, rng)]
    losses = []
    for step, indices in enumerate(order):
        x, y = to_input(dataset.images[indices]), torch.tensor(dataset.labels[indices])
        if before_last is not None and step == len(order) - 1:
            before_last(x, y)
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter, mask in masked:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % (len(order) // recipe.epochs) == 0:
            after_epoch()
    return float(np.mean(losses))


def last_batch_size(samples: int, batch: int) -> int:
    """Samples of an epoch's last batch."""
    rest = samples % batch
    return min(samples, batch) if rest == 0 else batch + 1 if rest == 1 < samples else rest


def _batches(dataset: Dataset, size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """One epoch, shuffled; a last sample alone joins the batch before it.

    Batch normalization cannot train on a single sample.
    """
    order = rng.permutation(len(dataset))
    parts = np.split(order, range(size, len(order), size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts
