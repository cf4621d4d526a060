"""What a pruning method is: one class `Method` in one file of `fedtiny.pruning.methods`.

Training goes like this (see `fedtiny.federated.training`)::

    masks = method.init()
    for every round:
        request = method.client_extra(round)
        clients train; with the batch of its last iteration each runs
            method.on_client(step, request)
        extras = [method.read_extra(reply) for the replies that are sound]
        masks = method.server_update(averaged weights, extras)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fedtiny.federated.message import Array, Field, Message
from fedtiny.pruning.masks import Masks, State

if TYPE_CHECKING:
    from fedtiny.federated.server import Server


@dataclass(frozen=True)
class ClientStep:
    """What a client has at its last local iteration, before the update.

    Attributes:
        module: The network, in training mode.
        masks: Of the prunable weights; empty when dense.
        x: The batch's inputs `(N, C, H, W)`.
        y: Its labels `(N,)`.
    """

    module: nn.Module
    masks: Masks
    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Extra:
    """What one client sent beside its weights.

    Attributes:
        client: Which.
        weight: Its share of the round's samples.
        value: As `Method.read_extra` returned it.
    """

    client: int
    weight: float
    value: Any


class Method(ABC):
    """A rule for masks.

    Attributes:
        server: What the method may use: network, public data, fleet, options, current masks.
        tensors: State of the method's own, which checkpoints keep.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tensors: dict[str, torch.Tensor] = {}

    @abstractmethod
    def init(self) -> Masks:
        """Make the first masks; may also set `server.state`. Empty masks mean dense."""

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """What clients are asked for beside weights in a round; empty for nothing."""
        return {}

    @staticmethod
    def on_client(step: ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Runs on a client when `client_extra` asked for something: the arrays to send."""
        return {}

    def read_extra(self, reply: Message) -> Any:
        """Check and read what `on_client` made.

        Raises:
            DamagedMessageError: It is not sound; the client is left out of the round.
        """
        return None

    @abstractmethod
    def server_update(self, weights: State, extras: Sequence[Extra]) -> Masks:
        """The masks of the next round, from the averaged weights."""

    def training_flops(
        self, dense: float, sparse: float, samples: int, last_batch: int, adjusting: bool
    ) -> float:
        """FLOPs of one client's round, by the accounting that papers use.

        Backward counts twice forward; normalization and loss are left out.

        Args:
            dense: FLOPs of a dense forward pass of one sample.
            sparse: The same over active weights only.
            samples: Samples trained on in the round, over all its epochs.
            last_batch: Of these, the samples of the last iteration.
            adjusting: Whether `client_extra` asked for something.
        """
        return 3 * sparse * samples
