"""Adaptive batch-normalization selection: the fleet chooses among pruned candidates.

Source: FedTiny, arXiv 2212.01977. Every batch-normalization layer takes part, statistics are
reset between candidates, and the data that candidates are compared on is never the test set.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedtiny.errors import DoesNotFitError
from fedtiny.federated import batch_norm
from fedtiny.federated.evaluation import read_score
from fedtiny.federated.message import Message
from fedtiny.federated.seeds import generator
from fedtiny.federated.server import Server
from fedtiny.pruning import groups
from fedtiny.pruning.candidates import noisy_counts
from fedtiny.pruning.masks import Masks, density_by_layer, magnitude_masks, masked

_TRIES = 5
"""Draws for each place in the pool before giving up on fitting the devices."""


def candidate_pool(server: Server) -> list[Masks]:
    """Draw candidates from the server's dense weights until the pool is full of ones that fit.

    Raises:
        DoesNotFitError: No candidate of this density fits every device.
    """
    rng = generator(server.config.seed, "candidates")
    wanted = server.config.pool_size
    pool: list[Masks] = []
    reason = ""
    with server.progress.task("drawing candidates", wanted) as task:
        for _ in range(_TRIES * wanted):
            counts = noisy_counts(server.codec.prunable, server.config.density, rng)
            counts = groups.nearest(counts, server.codec.shapes, server.config.pattern)
            masks = magnitude_masks(server.state, counts, server.config.pattern)
            misfit = server.misfit(masks)
            if misfit is None:
                pool.append(masks)
                task.advance()
            else:
                reason = misfit
            if len(pool) == wanted:
                break
    if not pool:
        raise DoesNotFitError(
            f"no candidate of density {server.config.density:g} fits the devices: {reason}"
        )
    return pool


def select(server: Server, pool: Sequence[Masks]) -> Masks:
    """The candidate of least loss on the clients' held-out data.

    Sets the server's state to the chosen candidate with its global statistics, and records every
    candidate's loss in `server.candidates`.

    Args:
        server: Its state holds the dense weights.
        pool: Candidates.
    """
    dense, everyone = server.state, range(server.config.clients)
    losses, states = [], []
    with server.progress.task("choosing a candidate", len(pool)) as task:
        for masks in pool:
            state = masked(dense, masks)
            statistics = server.pooled_statistics(everyone, state, masks)
            loss = held_out_loss(server, everyone, statistics)
            losses.append(loss)
            states.append(statistics.put(state, server.module))
            server.candidates.append({"loss": loss, "density_by_layer": density_by_layer(masks)})
            task.advance(note=f"loss {loss:.3f}")
    chosen = min(range(len(pool)), key=losses.__getitem__)
    server.chosen = chosen
    server.state = states[chosen]
    return pool[chosen]


def held_out_loss(
    server: Server, clients: Sequence[int], statistics: batch_norm.Statistics
) -> float:
    """Mean loss, weighted by samples, of the candidate that clients hold with these statistics."""

    message = Message("evaluate", arrays=statistics.arrays())
    answers = server.ask(clients, lambda _: message, lambda _, reply: read_score(reply))
    scores = [answer.value for answer in answers]
    return sum(s.loss * s.samples for s in scores) / sum(s.samples for s in scores)
