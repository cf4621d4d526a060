"""How messages reach clients: an engine is one file that has `start(...) → Fleet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from fedtiny import discovery
from fedtiny.federated.config import ENGINES, TrainConfig
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.message import Message


class Engine(Protocol):
    """What a file of this folder provides."""

    def start(self, config: TrainConfig, setup: Message, clients: Mapping[int, Message]) -> Fleet:
        """Start everything that plays the clients.

        Args:
            config: The run's options.
            setup: From `fedtiny.federated.host.setup_message`.
            clients: By number, from `fedtiny.federated.host.client_message`.

        Raises:
            UsageError: Something that the engine needs is not installed.
        """


def load_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        UsageError: There is none of that name.
    """
    return cast(Engine, discovery.load(ENGINES, "engine", name))
