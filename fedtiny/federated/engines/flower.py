"""Flower's simulation on this machine. `fedtiny.federated.flower` has its deployment as well."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from fedtiny.errors import UsageError
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.message import Message


def start(config: TrainConfig, setup: Message, clients: Mapping[int, Message]) -> Fleet:
    """See `fedtiny.federated.engines.Engine`."""
    if not all(importlib.util.find_spec(name) for name in ("flwr", "ray")):
        raise UsageError(
            "--engine flower needs Flower and Ray: pip install 'fedtiny[flower]'; --engine local "
            "needs neither."
        )
    from fedtiny.federated.flower.simulation import SimulatedFleet

    return SimulatedFleet(setup, clients, max(1, config.worker_count), config.deadline)
