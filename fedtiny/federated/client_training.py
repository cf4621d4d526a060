"""The server's side of `fedtiny.federated.client.train_task`: ask, check, and read updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fedtiny.federated import robust
from fedtiny.federated.message import DamagedMessageError, Field, Message
from fedtiny.federated.server import Server
from fedtiny.pruning.masks import Masks, State
from fedtiny.pruning.method import Method, Update


def ask_to_train(
    server: Server,
    method: Method,
    clients: Sequence[int],
    request: Mapping[str, Field],
    *,
    round_: int,
    iterations: int | None = None,
) -> list[Update]:
    """Let clients train from the server's state under its masks.

    Args:
        server: Its state and masks are sent.
        method: Reads what it requested.
        clients: Who.
        request: From `Method.client_extra`.
        round_: Decides the learning rate and the order of samples.
        iterations: Updates of each client; None is the configured number of epochs.

    Returns:
        The sound updates, in the clients' order; their weights sum to 1. Clients that withhold
        theirs are in `server.withheld`.

    Raises:
        RunnerError: No client answered soundly.
    """
    config = server.config
    server.withheld = {}
    fields: dict[str, Field] = {
        "round": round_,
        "seed": config.seed,
        "method": config.method,
        "epochs": config.local_epochs,
        "lr": config.learning_rate(min(round_, config.rounds)),
        "momentum": config.momentum,
        "weight_decay": config.weight_decay,
        "pattern": config.pattern,
        "training_engine": config.training_engine,
    }
    if iterations is not None:
        fields["iterations"] = iterations

    def read(client: int, reply: Message) -> Update:
        samples = reply.number("samples")
        if method.may_withhold and reply.fields.get("withheld"):
            return Update(-1, int(samples), 0.0, reply.number("loss"), {}, {}, None)
        own = _own_masks(server, method, method.sent(client)[1], reply)
        state = server.codec.from_arrays(reply, own, server.value_bits)
        _check_variances(server, state)
        value = method.read_extra(reply) if request else None
        return Update(-1, int(samples), 0.0, reply.number("loss"), state, own, value)

    fields |= {f"ask.{n}": value for n, value in request.items()}

    def message(client: int) -> Message:
        return Message("train", fields | {"batch": server.batches.get(client, config.batch)})

    answers = server.ask_with_weights(clients, message, method.sent, read)
    updates = []
    for answer in answers:
        expected = server.samples.get(answer.client, answer.value.samples)
        if answer.value.samples == expected and expected > 0 and not answer.value.state:
            server.withheld[answer.client] = expected, answer.value.loss
        elif answer.value.samples == expected and expected > 0:
            updates.append(replace(answer.value, client=answer.client))
        else:
            why = f"claims {answer.value.samples} samples where it has {expected}"
            server.drop(answer.client, "train", why)
    return _without_absurd(server, method, updates)


def _own_masks(server: Server, method: Method, sent: Masks, reply: Message) -> Masks:
    """The masks of a client's update: those sent, or its own where the method allows them."""
    if "own" not in reply.arrays:
        return sent
    if not method.own_masks or not sent:
        raise DamagedMessageError("masks of the client's own, which the method does not have")
    own = server.codec.unpack_masks(reply.array("own", "u1", (None,)), sent)
    for name, mask in own.items():
        if int(mask.sum()) > int(sent[name].sum()):
            raise DamagedMessageError(f"more weights of {name} than the client was given")
    return own


def _check_variances(server: Server, state: State) -> None:
    for name in server.codec.shapes:
        if name.endswith("running_var") and bool((state[name] < 0).any()):
            raise DamagedMessageError(f"{name} is negative")


def _without_absurd(server: Server, method: Method, updates: Sequence[Update]) -> list[Update]:
    norms = []
    for update in updates:
        sent, _ = method.sent(update.client)
        parameters = {name: update.state[name] for name in server.parameters}
        norms.append(robust.norm(parameters, sent))
    kept: list[Update] = []
    for update, length, absurd in zip(updates, norms, robust.absurd(norms), strict=True):
        if absurd:
            why = f"its update is {length:.3g} long, over {robust.ABSURD:g} times the median"
            server.drop(update.client, "train", why)
        else:
            kept.append(update)
    if not kept and not server.withheld:
        raise server.nobody("train")
    total = sum(update.samples for update in kept)
    return [replace(update, weight=update.samples / total) for update in kept]
