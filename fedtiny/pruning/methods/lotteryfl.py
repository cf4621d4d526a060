"""LotteryFL: every client prunes a ticket of its own, rewinds it, and keeps it.

Source: Li et al., "LotteryFL: Personalized and Communication-Efficient Federated Learning with
Lottery Ticket Hypothesis on Non-IID Datasets", arXiv 2008.03371 (primary: a client validates the
global weights under its mask; where that passes a threshold and its mask is not yet as sparse as
wanted, it prunes by magnitude and rewinds what is left to the initial weights; the server averages
each weight over those who hold it; models are personal). Our decisions: a fifth of each layer's
active weights go at a time, the threshold is half of the samples right; weights rewind to the
pretrained ones, from which every method starts; the server, which knows weights and masks of all,
does the pruning and the rewinding, so that no client stores dense initial weights: clients
validate in a message of its own, which is counted. The one model that a run saves is the vote of
all tickets: in every layer the weights that most clients hold, as many as a mean client's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from fedtiny.federated.accounting import state_bytes
from fedtiny.federated.evaluation import read_score
from fedtiny.federated.message import Field, Message
from fedtiny.pruning import groups, method
from fedtiny.pruning.holders import over_holders
from fedtiny.pruning.masks import Masks, State, density, largest, masked

PRUNED, THRESHOLD = 0.2, 0.5


class Method(method.Method):
    """Masks of the clients' own, which `tensors` keeps beside the global and initial weights."""

    own_masks = True

    def init(self) -> Masks:
        """Pretrain; everybody starts with everything."""
        server = self.server
        server.pretrain()
        self.tensors |= {f"initial.{name}": value for name, value in server.state.items()}
        self._keep(server.state)
        shapes = server.codec.shapes
        return {name: torch.ones(shapes[name], dtype=torch.bool) for name in server.codec.prunable}

    def client_extra(self, round_: int) -> Mapping[str, Field]:
        """Let the cohort validate; prune and rewind the tickets that pass."""
        server = self.server
        self._starts: dict[int, tuple[State, Masks]] = {}
        for client, correct, samples in self._validated(server.cohort(round_)):
            masks = self.ticket(client)
            counts = {name: self._next_count(mask) for name, mask in masks.items()}
            if correct < THRESHOLD * samples or all(
                counts[name] == int(mask.sum()) for name, mask in masks.items()
            ):
                continue
            weights = self._state("global")
            pruned = {}
            for name, mask in masks.items():
                magnitude = weights[name].abs().masked_fill(~mask, -1.0)
                pruned[name] = largest(magnitude, counts[name], server.config.pattern)
            self.tensors |= {f"ticket.{client}.{name}": mask for name, mask in pruned.items()}
            self._starts[client] = masked(self._state("initial"), pruned), pruned
        return {}

    def sent(self, client: int) -> tuple[State, Masks]:
        """The client's ticket: rewound in the round in which it was pruned, else global weights."""
        if client not in self._starts:
            masks = self.ticket(client)
            self._starts[client] = masked(self._state("global"), masks), masks
        return self._starts[client]

    def aggregate(self, updates: Sequence[method.Update]) -> State:
        """Average each weight over the clients that hold it; what nobody holds stays."""
        mean = over_holders(self.server, updates, self._state("global"))
        self._keep(mean)
        return mean

    def server_update(self, weights: State, updates: Sequence[method.Update]) -> Masks:
        """The vote of all clients, ties by magnitude."""
        tickets = [self.ticket(client) for client in range(self.server.config.clients)]
        vote, pattern = {}, self.server.config.pattern
        for name in self.server.masks:
            held = torch.stack([ticket[name] for ticket in tickets]).sum(0).double()
            magnitude = weights[name].abs().double()
            count = round(fmean(int(ticket[name].sum()) for ticket in tickets))
            vote[name] = largest(held + magnitude / (1 + magnitude.max()), count, pattern)
        return vote

    def final(self) -> Mapping[str, Any]:
        """Accuracy and density of every client's own ticket."""
        self._starts = {}
        scores = self._validated(range(self.server.config.clients))
        accuracy = {str(client): correct / samples for client, correct, samples in scores}
        return {
            "personalized": {
                "accuracy": accuracy,
                "mean": fmean(accuracy.values()),
                "worst": min(accuracy.values()),
                "density": {client: density(self.ticket(int(client))) for client in accuracy},
            }
        }

    def communication_bytes(self, dense: float, sparse: float, adjusting: bool) -> float:
        """Tickets three times: to validate, to train, and back."""
        cohort = self.server.cohort(self.server.round)
        state = self.server.state
        return 3 * fmean(state_bytes(state, self.ticket(c), "bitmap") for c in cohort)

    def ticket(self, client: int) -> Masks:
        """A client's masks; everything, before it pruned."""
        return {
            name: self.tensors.get(f"ticket.{client}.{name}", torch.ones_like(mask))
            for name, mask in self.server.masks.items()
        }

    def _next_count(self, mask: torch.Tensor) -> int:
        active, least = int(mask.sum()), round(self.server.config.density * mask.numel())
        count = min(active, max(1, least, round((1 - PRUNED) * active)))
        size = groups.size(mask.shape, self.server.config.pattern)
        return min(active, -(-count // size) * size)

    def _validated(self, clients: Sequence[int]) -> list[tuple[int, int, int]]:
        """Clients' scores of their tickets with global weights: who, correct, samples."""
        message = Message("validate")
        answers = self.server.ask_with_weights(
            clients, lambda _: message, self.sent, lambda _, reply: read_score(reply)
        )
        found = [(a.client, a.value.correct or 0, a.value.samples) for a in answers]
        self._starts = {}
        return found

    def _state(self, kind: str) -> State:
        prefix = f"{kind}."
        found = {n: v for n, v in self.tensors.items() if n.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in found.items()}

    def _keep(self, state: State) -> None:
        self.tensors |= {f"global.{name}": value for name, value in state.items()}
