"""Averaging where clients hold different weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fedtiny.federated.server import Server
from fedtiny.pruning.masks import State
from fedtiny.pruning.method import Update


def over_holders(
    server: Server, updates: Sequence[Update], otherwise: Mapping[str, torch.Tensor] | None = None
) -> State:
    """Average each prunable weight over the clients that hold it, by samples.

    Args:
        server: Averages everything else.
        updates: At least one.
        otherwise: What a weight is that nobody holds; None is zero.
    """
    mean = server.average([u.state for u in updates], [u.samples for u in updates])
    for name in server.masks:
        held = torch.stack([u.weight * u.masks[name].double() for u in updates]).sum(0)
        value = mean[name].double() / torch.where(held > 0, held, 1.0)
        if otherwise is not None:
            value = torch.where(held > 0, value, otherwise[name].double())
        mean[name] = value.float()
    return mean
