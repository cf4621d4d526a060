"""The one way a server reaches clients: ask, and read the replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedtiny.federated.message import DamagedMessageError, Message

Task = Callable[[int], Message]
"""What to send: a message for each client, whose kind is the client task to run."""


@dataclass(frozen=True)
class Lost:
    """A client that gave no answer, and why."""

    why: str


@dataclass(frozen=True)
class Reply:
    """One client's answer.

    Attributes:
        client: Who was asked.
        message: What it answered; None when it failed.
        why: The reason of the failure.
    """

    client: int
    message: Message | None
    why: str = ""


class Fleet(ABC):
    """Clients behind some engine, which moves bytes and knows nothing of what they mean.

    Attributes:
        bytes_down: Serialized bytes sent to clients so far.
        bytes_up: Serialized bytes that clients answered so far.
    """

    def __init__(self) -> None:
        self.bytes_down = 0
        self.bytes_up = 0

    def ask(self, clients: Sequence[int], task: Task) -> list[Reply]:
        """Send a message to each client and wait for all replies, which come in the same order."""
        requests = [(client, task(client).to_bytes()) for client in clients]
        self.bytes_down += sum(len(data) for _, data in requests)
        replies = []
        answers = self.exchange(requests)
        for (client, request), answer in zip(requests, answers, strict=True):
            if isinstance(answer, Lost):
                replies.append(Reply(client, None, answer.why))
                continue
            self.bytes_up += len(answer)
            replies.append(_read(client, answer, question(request)))
        return replies

    @abstractmethod
    def exchange(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | Lost]:
        """Carry each client's bytes to it and its answer back, in the order of the requests."""

    def close(self) -> None:
        """End everything that was started; may be called twice."""
        return None


def question(request: bytes) -> str:
    """What names a request in its answer: its checksum."""
    return request[-4:].hex()


def _read(client: int, data: bytes, asked: str) -> Reply:
    try:
        message = Message.from_bytes(data)
    except DamagedMessageError as error:
        return Reply(client, None, str(error))
    if message.kind == "error":
        return Reply(client, None, str(message.fields.get("why", "unknown error")))
    if message.fields.get("to") != asked:  # late, or twice
        return Reply(client, None, "an answer to another question")
    return Reply(client, message)
