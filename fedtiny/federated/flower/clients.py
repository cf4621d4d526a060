"""The client's side: a Flower ClientApp that lets `Host` answer.

A node answers `query.hello` with the number of the client that it is, and `query.ask` with what
that client says to the serialized message. Flower may play a node in another process each time,
so what the client remembers between messages travels in the node's context.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedtiny.federated.flower.records import unwrap_bytes, unwrap_number, wrap


class Playing(Protocol):
    """Plays clients; `fedtiny.federated.host.Host` does."""

    def run(self, index: int, data: bytes) -> bytes:
        """Let a client answer."""

    def memory(self, index: int) -> bytes:
        """What a client keeps between messages."""

    def remember(self, index: int, memory: bytes) -> None:
        """Give it back."""


Play = Callable[[int, Context], Playing]
"""A host that has the client of a number, on a node of that context."""


def client_app(play: Play) -> ClientApp:
    """The app for nodes whose configuration has `client` or, in simulation, `partition-id`."""
    app = ClientApp()
    app.query("hello")(_hello)
    app.query("ask")(functools.partial(_ask, play))
    return app


def _number(context: Context) -> int:
    config = context.node_config
    value = config.get("client", config.get("partition-id"))
    if not isinstance(value, int):
        raise ValueError("this node is no client: --node-config has no whole number `client`")
    return value


def _hello(message: Message, context: Context) -> Message:
    return Message(wrap(client=_number(context)), reply_to=message)


def _ask(play: Play, message: Message, context: Context) -> Message:
    import torch

    torch.set_num_threads(1)  # results depend on no core count
    client = _number(context)
    host = play(client, context)
    memory = unwrap_bytes(context.state, "memory")
    if memory is not None:
        host.remember(client, memory)
    answer = host.run(client, unwrap_bytes(message.content, "data") or b"")
    context.state.update(wrap(memory=host.memory(client)))
    return Message(wrap(data=answer), reply_to=message)


def said_number(content: RecordDict) -> int | None:
    """The server's side of `query.hello`."""
    return unwrap_number(content, "client")
