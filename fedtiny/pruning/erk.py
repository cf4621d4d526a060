"""Random masks at Erdős–Rényi-kernel densities, as methods without a first choice start."""

from __future__ import annotations

from fedtiny.federated.seeds import generator
from fedtiny.federated.server import Server
from fedtiny.pruning import groups
from fedtiny.pruning.masks import Masks, erk_counts, random_masks


def random_erk(server: Server) -> Masks:
    """Masks of the run's density over the server's network, drawn from its seed."""
    shapes = {name: server.codec.shapes[name] for name in server.codec.prunable}
    config = server.config
    counts = groups.nearest(erk_counts(shapes, config.density), shapes, config.pattern)
    return random_masks(shapes, counts, generator(config.seed, "masks"), config.pattern)
