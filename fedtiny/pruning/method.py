"""What a pruning method is: one class `Method` in one file of `fedtiny.pruning.methods`.

Training goes like this (see `fedtiny.federated.training`)::

    masks = method.init()
    for every round:
        request = method.client_extra(round)
        clients train; each runs the method's static hooks: `client_forward` in every round,
            `on_client`, `client_penalty` and `on_gradients` where something is requested
        values = [method.read_extra(reply) for the replies that are sound]
        weights = method.aggregate(updates)
        masks = method.server_update(weights, updates)

Only `init` must be written. Hooks that run on clients are static: they see the client and the
request, never the server.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from fedtiny.federated.codec import FLOAT_BITS
from fedtiny.federated.local_training import Step as ClientStep
from fedtiny.federated.message import Array, Field, Message
from fedtiny.pruning.masks import Masks, State

if TYPE_CHECKING:
    from fedtiny.federated.config import TrainConfig
    from fedtiny.federated.server import Server

__all__ = ["ClientStep", "Method", "Update"]


@dataclass(frozen=True)
class Update:
    """What one client sent in a round.

    Attributes:
        client: Which.
        samples: How many it trained on.
        weight: Its share of the round's samples.
        loss: Mean over its training.
        state: Its weights, zero where inactive.
        masks: Those it trained under at the end; the server's, unless `Method.own_masks`.
        value: As `Method.read_extra` returned it.
    """

    client: int
    samples: int
    weight: float
    loss: float
    state: State
    masks: Masks
    value: Any


class Method(ABC):
    """A rule for masks.

    Attributes:
        own_masks: Whether clients may change their masks while they train (`ClientStep.adopt`);
            then their masks travel with their weights.
        dense_backward: Whether one iteration of a round that asks for something computes
            gradients of all weights; for accounting.
        value_bits: Of a weight that travels: 32, or 8 (`StateCodec.to_arrays`).
        may_withhold: Whether a client may send nothing, see `withholds`.
        server: What the method may use: network, public data, fleet, options, current masks.
        tensors: State of the method's own, which checkpoints keep.
    """

    own_masks: ClassVar[bool] = False
    dense_backward: ClassVar[bool] = False
    value_bits: ClassVar[int] = FLOAT_BITS
    may_withhold: ClassVar[bool] = False

    def __init__(self, server: Server) -> None:
        self.server = server
        server.value_bits = self.value_bits
        self.tensors: dict[str, torch.Tensor] = {}

    @classmethod
    def network(cls, config: TrainConfig, input_shape: Sequence[int], classes: int) -> str:
        """Name of the network to train; the user's choice by default."""
        return config.model

    @abstractmethod
    def init(self) -> Masks:
        """Make the first masks; may also set `server.state`. Empty masks mean dense."""

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """What clients are asked for beside weights in a round; empty for nothing."""
        return {}

    @staticmethod
    def on_client(step: ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Runs on a client before one iteration, see `at_iteration`: the arrays to send."""
        return {}

    @staticmethod
    def at_iteration(iterations: int) -> int:
        """The iteration, from 0, before which `on_client` runs; the last by default."""
        return iterations - 1

    @staticmethod
    def on_gradients(step: ClientStep, request: Mapping[str, Field]) -> Mapping[str, Array]:
        """Runs on a client after every backward pass, with dense gradients: arrays to send."""
        return {}

    @staticmethod
    def client_penalty(step: ClientStep, request: Mapping[str, Field]) -> torch.Tensor | None:
        """Added to a client's loss at every iteration; None is nothing."""
        return None

    @staticmethod
    def client_forward(
        step: ClientStep, request: Mapping[str, Field]
    ) -> contextlib.AbstractContextManager[object]:
        """Entered around a client's every forward pass, whatever is requested."""
        return contextlib.nullcontext()

    @staticmethod
    def withholds(losses: Sequence[float]) -> bool:
        """Runs on a client after training, if `may_withhold`: whether it sends no weights.

        Args:
            losses: Of every iteration.
        """
        return False

    def sent(self, client: int) -> tuple[State, Masks]:
        """What a client trains from: the server's state under its masks, by default."""
        return self.server.state, self.server.masks

    def read_extra(self, reply: Message) -> Any:
        """Check and read the arrays that the hooks made.

        Raises:
            DamagedMessageError: It is not sound; the client is left out of the round.
        """
        return None

    def aggregate(self, updates: Sequence[Update]) -> State:
        """One state of all clients': the average by samples, or the user's `--aggregate`."""
        return self.server.aggregate(
            [update.state for update in updates], [update.samples for update in updates]
        )

    def server_update(self, weights: State, updates: Sequence[Update]) -> Masks:
        """The masks of the next round, from the aggregated weights; the same by default."""
        return self.server.masks

    def final(self) -> Mapping[str, Any]:
        """What the method adds to the results in run.json; called last, and may ask clients."""
        return {}

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
        flops = 3 * sparse * samples
        if adjusting and self.dense_backward:
            flops += 2 * (dense - sparse) * last_batch
        return flops

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """Bytes of one client's round, down and up, by the accounting that papers use.

        Args:
            dense: Bytes of the dense model (the papers' O_d).
            sparse: Bytes of the sparse model with a bitmap (O_s).
            adjusting: Whether `client_extra` asked for something.
        """
        return 2 * sparse
