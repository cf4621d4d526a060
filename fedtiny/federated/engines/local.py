"""Worker processes on this machine."""

from __future__ import annotations

from collections.abc import Mapping

from fedtiny.federated.config import TrainConfig
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.local import LocalFleet
from fedtiny.federated.message import Message


def start(config: TrainConfig, setup: Message, clients: Mapping[int, Message]) -> Fleet:
    """See `fedtiny.federated.engines.Engine`."""
    return LocalFleet(setup, clients, config.worker_count, config.deadline)
