"""What each client can do: its device's memory bounds its batch, or refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedtiny.errors import DoesNotFitError
from fedtiny.federated.server import Server
from fedtiny.federated.training_memory import largest_batch, trace_layers, training_memory


@dataclass(frozen=True)
class Work:
    """One client's part.

    Attributes:
        device: Name of its profile.
        limit_bytes: Its memory for training; None is no bound.
        batch: Samples of a batch; None where it is refused.
        peak_bytes: What training with that batch, or with two samples where refused, takes.
        refused: Why it cannot train; None where it can.
    """

    device: str
    limit_bytes: int | None
    batch: int | None
    peak_bytes: int
    refused: str | None = None


def divide(server: Server, budgets: Sequence[tuple[str, int | None]]) -> dict[int, Work]:
    """Give every client a device, in turn, and the largest batch that trains within its memory.

    Args:
        server: After its first masks were made.
        budgets: Name and memory of each device; at least one.
    """
    config = server.config
    layers = trace_layers(server.module, server.public.input_shape)
    parameters = {name: server.state[name] for name in server.parameters}
    by_device = []
    for name, limit in budgets:
        fixed = layers, parameters, server.masks
        batch: int | None = config.batch
        if limit is not None:
            batch = largest_batch(*fixed, config.batch, config.momentum > 0, limit)
        need = training_memory(*fixed, batch or 2, config.momentum > 0)
        why = None
        if batch is None:
            why = (
                f"training with a batch of 2 needs {need.peak_bytes:,} bytes, most at layer "
                f"{need.peak_layer!r}; device {name!r} has {limit:,}"
            )
        by_device.append(Work(name, limit, batch, need.peak_bytes, why))
    return {client: by_device[client % len(by_device)] for client in range(config.clients)}


def assign(server: Server, work: dict[int, Work]) -> None:
    """Let the server ask for no more than that.

    Raises:
        DoesNotFitError: Nobody can train.
    """
    server.batches = {c: part.batch for c, part in work.items() if part.batch is not None}
    server.refused = {c: part.refused for c, part in work.items() if part.refused is not None}
    if len(server.refused) == server.config.clients:
        raise DoesNotFitError(f"no client can train: {next(iter(server.refused.values()))}.")


def to_record(work: dict[int, Work]) -> dict[str, Any]:
    """For run.json."""
    return {str(client): asdict(part) for client, part in work.items()}


def from_record(record: dict[str, Any]) -> dict[int, Work]:
    """The exact inverse of `to_record`."""
    return {int(client): Work(**part) for client, part in record.items()}
