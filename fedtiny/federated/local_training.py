"""SGD on one device's data, active weights only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedtiny.data import Dataset
from fedtiny.federated import objective
from fedtiny.federated.evaluation import to_input
from fedtiny.training_engine.engine import Training


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: Passes over the data.
        batch: Batch size.
        lr: Learning rate.
        momentum: Of SGD; starts from zero.
        weight_decay: Of SGD.
        iterations: Updates, over as many epochs as they take; None counts in `epochs`.
        pattern: Of the masks' groups.
        engine: ``"torch"``, or another name for the C step where that is possible.
    """

    epochs: int
    batch: int
    lr: float
    momentum: float
    weight_decay: float
    iterations: int | None = None
    pattern: str = "unstructured"
    engine: str = "torch"


@dataclass
class Step:
    """Where a training stands.

    Attributes:
        module: The network, in training mode.
        masks: Those trained under; empty when dense. See `adopt`.
        optimizer: SGD over all parameters.
        iterations: How many there are.
        iteration: The current one, from 0.
        x: Its inputs `(N, C, H, W)`.
        y: Its labels `(N,)`.
        kept: What hooks keep from one iteration to the next.
        pattern: Of the masks' groups, see `fedtiny.pruning.groups`.
    """

    module: nn.Module
    masks: dict[str, torch.Tensor]
    optimizer: torch.optim.SGD
    iterations: int
    iteration: int = 0
    x: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    y: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    pattern: str = "unstructured"

    def __post_init__(self) -> None:
        """Lay the masks out as the weights are."""
        self.adopt(self.masks)

    @property
    def last(self) -> bool:
        """Whether this iteration is the last."""
        return self.iteration == self.iterations - 1

    def adopt(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Train under these masks from here on; what they prune becomes zero."""
        self.masks = dict(masks)
        self._active = []
        for name, mask in masks.items():
            active = mask.to(torch.float32)
            if mask.dim() == 4:
                active = active.contiguous(memory_format=torch.channels_last)
            parameter = self.module.get_parameter(name)
            momentum = self.optimizer.state.get(parameter, {}).get("momentum_buffer")
            with torch.no_grad():
                parameter.mul_(active)
                if momentum is not None:
                    momentum.mul_(active)
            self._active.append((parameter, active))

    def drop_inactive_gradients(self) -> None:
        """Zero the gradients of inactive weights."""
        for parameter, active in self._active:
            if parameter.grad is not None:
                parameter.grad.mul_(active)


class Hooks:
    """What else happens in a training; here nothing. Called in this order, at every iteration.

    The C step has no place for hooks: where it computes an iteration, `before` alone is called, and
    finds the weights in the module if `acts_before`.
    """

    def acts_before(self, step: Step) -> bool:
        """Whether `before` does something now."""
        return type(self).before is not Hooks.before

    def needs_torch(self, step: Step) -> bool:
        """Whether another hook does something now."""
        names = ("forward", "penalty", "after_backward")
        return any(getattr(type(self), name) is not getattr(Hooks, name) for name in names)

    def before(self, step: Step) -> None:
        """Before the forward pass."""

    def forward(self, step: Step) -> contextlib.AbstractContextManager[object]:
        """Entered around the forward pass."""
        return contextlib.nullcontext()

    def penalty(self, step: Step) -> torch.Tensor | None:
        """A scalar to add to the loss."""
        return None

    def after_backward(self, step: Step) -> None:
        """With the gradients of all weights, inactive ones too, before the update."""


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        losses: Of every iteration, without penalties.
        masks: Those trained under at the end.
    """

    losses: list[float]
    masks: dict[str, torch.Tensor]

    @property
    def loss(self) -> float:
        """Mean over all iterations."""
        return float(np.mean(self.losses))


def train(
    module: nn.Module,
    masks: Mapping[str, torch.Tensor],
    dataset: Dataset,
    recipe: Recipe,
    rng: np.random.Generator,
    hooks: Hooks | None = None,
    after_epoch: Callable[[], None] = lambda: None,
) -> Trained:
    """Train in place; inactive weights stay zero.

    The arithmetic is that of `fedtiny.training_engine`, over active weights only, or torch's,
    dense under a mask: where the recipe says so, where hooks need it, and where the C step does not
    know the network.

    Args:
        module: Starts from its weights, zero where inactive.
        masks: By parameter name; parameters without one are dense.
        dataset: At least two samples.
        recipe: How.
        rng: Shuffles.
        hooks: What else happens.
        after_epoch: Called after each epoch.
    """
    module.train()
    hooks = hooks or Hooks()
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    epochs = [_batches(dataset, recipe.batch, rng) for _ in range(_epochs(recipe, len(dataset)))]
    order = list(islice((part for epoch in epochs for part in epoch), recipe.iterations))
    step = Step(module, dict(masks), optimizer, len(order), pattern=recipe.pattern)
    fast = None
    if recipe.engine != "torch":
        fast = Training.start(module, min(len(dataset), recipe.batch + 1), dataset.input_shape)
    losses = []
    for number, indices in enumerate(order):
        step.iteration = number
        step.x = to_input(dataset.images[indices])
        step.y = torch.tensor(dataset.labels[indices])
        by_torch = fast is None or hooks.needs_torch(step)
        if fast is not None and (by_torch or hooks.acts_before(step)):
            fast.leave(optimizer)
        hooks.before(step)
        if fast is not None and not by_torch:
            losses.append(fast.step(step.x, step.y, step.masks, optimizer))
        else:
            losses.append(_torch_step(step, hooks))
        if (number + 1) % len(epochs[0]) == 0:
            after_epoch()
    if fast is not None:
        fast.leave(optimizer)
    return Trained(losses, step.masks)


def _torch_step(step: Step, hooks: Hooks) -> float:
    step.optimizer.zero_grad()
    with hooks.forward(step):
        loss = objective.loss(step.module, step.module(step.x), step.x, step.y)
    penalty = hooks.penalty(step)
    total = loss if penalty is None else loss + penalty
    total.backward()  # type: ignore[no-untyped-call]
    hooks.after_backward(step)
    step.drop_inactive_gradients()
    step.optimizer.step()
    return loss.item()


def last_batch_size(samples: int, batch: int) -> int:
    """Samples of an epoch's last batch."""
    rest = samples % batch
    return min(samples, batch) if rest == 0 else batch + 1 if rest == 1 < samples else rest


def _epochs(recipe: Recipe, samples: int) -> int:
    if recipe.iterations is None:
        return recipe.epochs
    an_epoch = max(1, samples // recipe.batch)
    return -(-recipe.iterations // an_epoch)


def _batches(dataset: Dataset, size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """One epoch, shuffled; a last sample alone joins the batch before it.

    Batch normalization cannot train on a single sample.
    """
    order = rng.permutation(len(dataset))
    parts = np.split(order, range(size, len(order), size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts
