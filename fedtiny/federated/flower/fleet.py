"""The server's side: a fleet whose messages travel over a Flower grid."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from flwr.app import Message
from flwr.serverapp import Grid

from fedtiny.errors import RunnerError
from fedtiny.federated.fleet import Fleet, Lost
from fedtiny.federated.flower.clients import said_number
from fedtiny.federated.flower.records import unwrap_bytes, wrap

_POLL_S = 0.2


class GridFleet(Fleet):
    """Clients behind the nodes of a grid, each of which is one client.

    A node that connects anew under another identity is found again by asking who it is.
    """

    def __init__(
        self, grid: Grid, clients: int, deadline: float | None = None, wait_s: float = 600.0
    ) -> None:
        """Wait until every client has a node.

        Args:
            grid: Flower's.
            clients: How many there are.
            deadline: Seconds that all clients asked together have to answer; None is any.
            wait_s: Seconds to wait for the nodes.

        Raises:
            RunnerError: Some did not come.
        """
        super().__init__()
        self._grid, self._deadline = grid, deadline
        self._nodes: dict[int, int] = {}
        self._strangers: set[int] = set()
        end = time.monotonic() + wait_s
        while len(self._nodes) < clients:
            self._look(clients, max(0.0, end - time.monotonic()))
            if time.monotonic() >= end and len(self._nodes) < clients:
                missing = sorted(set(range(clients)) - self._nodes.keys())
                raise RunnerError(f"no Flower node is client {missing[0]} after {wait_s:g} s.")

    def exchange(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | Lost]:
        """See `Fleet.exchange`."""
        if any(self._nodes.get(client) not in self._connected() for client, _ in requests):
            self._look(len(self._nodes), self._deadline)
        present = {
            client: node for client, node in self._nodes.items() if node in self._connected()
        }
        asked = {present[client]: data for client, data in requests if client in present}
        replies = self._grid.send_and_receive(
            [Message(wrap(data=data), node, "query.ask") for node, data in asked.items()],
            timeout=self._deadline,
        )
        answers = {reply.metadata.src_node_id: _answer(reply) for reply in replies}
        late = Lost("no answer before the deadline")
        gone = Lost("the client's node is not connected")
        return [
            answers.get(present[client], late) if client in present else gone
            for client, _ in requests
        ]

    def _connected(self) -> set[int]:
        return set(self._grid.get_node_ids())

    def _look(self, clients: int, timeout: float | None) -> None:
        """Ask nodes that are not known yet which clients they are."""
        new = self._connected() - set(self._nodes.values()) - self._strangers
        if not new:
            time.sleep(_POLL_S)
            return
        hello: Iterable[Message] = [Message(wrap(), node, "query.hello") for node in sorted(new)]
        for reply in self._grid.send_and_receive(hello, timeout=timeout):
            node = reply.metadata.src_node_id
            client = None if reply.has_error() else said_number(reply.content)
            if client is None or not 0 <= client < clients:
                self._strangers.add(node)
            else:
                self._nodes[client] = node


def _answer(reply: Message) -> bytes | Lost:
    if reply.has_error():
        return Lost(f"Flower: {reply.error.reason}")
    return unwrap_bytes(reply.content, "data") or Lost("Flower: an answer without content")
