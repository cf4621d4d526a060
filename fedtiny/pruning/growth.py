"""Top gradients of pruned weights on the wire, and exchanging weights by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from fedtiny.federated import positions
from fedtiny.federated.message import Array, DamagedMessageError, Message
from fedtiny.pruning.masks import Masks, State
from fedtiny.pruning.method import ClientStep, Update
from fedtiny.pruning.progressive import grow_and_prune
from fedtiny.pruning.top_gradients import TopGradients, top_gradients


def send(step: ClientStep, counts: Mapping[str, int], values: bool = True) -> dict[str, Array]:
    """A client's top gradients: positions and, if wanted, values.

    Args:
        step: Where its training stands.
        counts: By layer, how many.
        values: Whether they travel.
    """
    found = top_gradients(step.module, step.masks, counts, step.x, step.y, step.pattern)
    arrays: dict[str, Array] = {}
    for number, name in enumerate(counts):
        size = step.masks[name].numel()
        arrays[f"grow{number}"] = positions.encode(found[name].indices.numpy(), size)
        if values:
            arrays[f"gradient{number}"] = found[name].values.numpy()
    return arrays


def read(
    reply: Message, masks: Masks, counts: Mapping[str, int], values: bool = True
) -> dict[str, TopGradients]:
    """What `send` made, each layer's as many as asked for, of pruned weights only.

    Args:
        reply: The client's.
        masks: That it had.
        counts: As they were sent to it.
        values: Whether they travelled; otherwise they are all 1.

    Raises:
        DamagedMessageError: It is not that.
    """
    found = {}
    for number, (name, count) in enumerate(counts.items()):
        mask = masks[name].reshape(-1)
        data = reply.array(f"grow{number}", np.uint8, (None,))
        indices = torch.tensor(positions.decode(data, mask.numel()))
        if len(indices) != count or mask[indices].any():
            raise DamagedMessageError(f"gradients of {name} are not those asked for")
        values_ = torch.ones(count)
        if values:
            values_ = torch.tensor(reply.array(f"gradient{number}", np.float32, (count,)))
        found[name] = TopGradients(indices, values_)
    return found


def average(updates: Sequence[Update], name: str, mask: torch.Tensor) -> torch.Tensor:
    """A layer's top gradients averaged by samples, zero where a client sent none; float64."""
    gradient = torch.zeros(mask.numel(), dtype=torch.float64)
    for update in updates:
        top = update.value[name]
        gradient[top.indices] += update.weight * top.values.double()
    return gradient.reshape(mask.shape)


def exchange(
    masks: Masks,
    weights: State,
    updates: Sequence[Update],
    counts: Mapping[str, int],
    pattern: str,
) -> Masks:
    """Masks after growing and pruning `counts` weights of each layer; the others stay."""
    return masks | {
        name: grow_and_prune(
            weights[name], masks[name], average(updates, name, masks[name]), count, pattern
        )
        for name, count in counts.items()
    }
