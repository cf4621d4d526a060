"""What a client does: plain functions of (client, message) → message.

A task of the name `kind` is the function in `TASKS` under it. A client keeps, between messages, its
masks (so that positions travel only when they changed) and the last whole state it was sent.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fedtiny.data import Dataset
from fedtiny.federated import batch_norm, histograms
from fedtiny.federated.codec import FLOAT_BITS, StateCodec, Vector
from fedtiny.federated.evaluation import batches, score
from fedtiny.federated.fleet import question
from fedtiny.federated.local_training import Hooks, Recipe, Step, train
from fedtiny.federated.message import Array, DamagedMessageError, Field, Message
from fedtiny.federated.privacy import privatized
from fedtiny.federated.seeds import generator
from fedtiny.pruning.masks import Masks, State

if TYPE_CHECKING:
    from fedtiny.pruning.method import Method

OBSERVE = "fedtiny.compiler.calibration:observe_histograms"
"""The function that takes activation histograms, or ranges alone, on a client."""
OBSERVED = 64
"""Samples of which it sees all activations at once, which is the most memory a client takes."""


@dataclass
class Client:
    """One device.

    Attributes:
        index: Its number.
        module: A network to load weights into; clients of one process share it.
        codec: Of that network.
        data: Its private samples for training.
        held_out: Its private samples for comparing candidates.
        observe: ``"module:function"`` that takes activation histograms; see `OBSERVE`.
        masks: Those it holds; empty when dense, None before any came.
        values: The last state it was sent, packed.
    """

    index: int
    module: nn.Module
    codec: StateCodec
    data: Dataset
    held_out: Dataset
    observe: str = OBSERVE
    masks: Masks | None = None
    values: Vector | None = None

    def run(self, data: bytes) -> bytes:
        """Answer a serialized message; a failure is answered by a message of kind ``"error"``."""
        message: Message | None = None
        try:
            message = Message.from_bytes(data)
            task = TASKS.get(message.kind)
            if task is None:
                raise DamagedMessageError(f"unknown task {message.kind!r}")
            reply = privatized(self, message, question(data), task(self, message))
        except Exception as error:  # whatever goes wrong on one device must not end the run
            why = f"{type(error).__name__}: {error}"
            reply = Message("error", {"why": why})
            if message is not None:
                reply = privatized(self, message, question(data), reply)
        fields = {**reply.fields, "to": question(data)}
        return Message(reply.kind, fields, reply.arrays).to_bytes()

    def receive(self, message: Message) -> State:
        """Take the masks and the state that a message brings, and load the state.

        Raises:
            DamagedMessageError: It does not fit this network, or builds on masks not held.
        """
        if message.number("dense"):
            self.masks = {}
        elif "mask" in message.arrays:
            known = self.masks or None
            if not message.number("whole") and known is None:
                raise DamagedMessageError("a change of masks that are not held")
            data = message.array("mask", np.uint8, (None,))
            self.masks = self.codec.unpack_masks(data, None if message.number("whole") else known)
        if self.masks is None:
            raise DamagedMessageError("no masks are held")
        bits = int(message.fields.get("bits", FLOAT_BITS))  # type: ignore[arg-type]
        self.values = self.codec.pack(self.codec.from_arrays(message, self.masks, bits), self.masks)
        return self.load()

    def load(self) -> State:
        """Load the state that it holds into the module.

        Raises:
            DamagedMessageError: It holds none.
        """
        if self.values is None or self.masks is None:
            raise DamagedMessageError("no weights are held")
        state = self.codec.unpack(self.values, self.masks)
        self.module.load_state_dict(state)
        return state

    def memory(self) -> Message:
        """What it keeps between messages."""
        arrays: dict[str, Array] = {}
        if self.masks:
            arrays["masks"] = self.codec.pack_masks(self.masks, None)
        if self.values is not None:
            arrays["values"] = self.values
        held = "none" if self.masks is None else "held" if self.masks else "dense"
        return Message("memory", {"masks": held}, arrays)

    def remember(self, memory: Message) -> None:
        """Take back what `memory` returned.

        Raises:
            DamagedMessageError: It does not fit this network.
        """
        self.masks = {} if memory.fields.get("masks") == "dense" else None
        if "masks" in memory.arrays:
            self.masks = self.codec.unpack_masks(memory.array("masks", np.uint8, (None,)), None)
        self.values = None
        if "values" in memory.arrays:
            length = self.codec.length(self.masks or {})
            self.values = memory.array("values", np.float32, (length,))


class _MethodHooks(Hooks):
    """Lets a method take part in a training, as it was asked to."""

    def __init__(self, method: type[Method], request: Mapping[str, Field]) -> None:
        self.method, self.request = method, request
        self.arrays: dict[str, Array] = {}

    def acts_before(self, step: Step) -> bool:
        return bool(self.request) and step.iteration == self.method.at_iteration(step.iterations)

    def needs_torch(self, step: Step) -> bool:
        asked = ("client_penalty", "on_gradients") if self.request else ()
        return any(self._has(name) for name in ("client_forward", *asked))

    def _has(self, name: str) -> bool:
        from fedtiny.pruning.method import Method

        return getattr(self.method, name) is not getattr(Method, name)

    def before(self, step: Step) -> None:
        if self.acts_before(step):
            self.arrays.update(self.method.on_client(step, self.request))

    def forward(self, step: Step) -> contextlib.AbstractContextManager[object]:
        return self.method.client_forward(step, self.request)

    def penalty(self, step: Step) -> torch.Tensor | None:
        return self.method.client_penalty(step, self.request) if self.request else None

    def after_backward(self, step: Step) -> None:
        if self.request:
            self.arrays.update(self.method.on_gradients(step, self.request))


def train_task(client: Client, message: Message) -> Message:
    """Train from the sent weights; answer the trained ones and what the method asks for.

    Masks of the client's own travel as array ``"own"``, where they differ from those it was sent.
    """
    from fedtiny.pruning.load import load_method

    client.receive(message)
    masks = client.masks or {}
    request = {
        name.removeprefix("ask."): value
        for name, value in message.fields.items()
        if name.startswith("ask.")
    }
    method = load_method(str(message.fields["method"]))
    hooks = _MethodHooks(method, request)
    number = message.number
    recipe = Recipe(
        int(number("epochs")),
        int(number("batch")),
        number("lr"),
        number("momentum"),
        number("weight_decay"),
        int(number("iterations")) if "iterations" in message.fields else None,
        str(message.fields["pattern"]),
        str(message.fields["training_engine"]),
    )
    rng = generator(int(number("seed")), "batches", int(number("round")), client.index)
    trained = train(client.module, masks, client.data, recipe, rng, hooks)
    client.values = None  # the trained weights leave the device; they are not the global state
    fields: dict[str, Field] = {"samples": len(client.data), "loss": trained.loss}
    if method.may_withhold and method.withholds(trained.losses):
        return Message("trained", fields | {"withheld": 1})
    bits = int(message.fields.get("bits", FLOAT_BITS))  # type: ignore[arg-type]
    arrays = client.codec.to_arrays(client.module.state_dict(), trained.masks, bits) | hooks.arrays
    if masks and any((trained.masks[name] ^ mask).any() for name, mask in masks.items()):
        arrays["own"] = client.codec.pack_masks(trained.masks, masks)
    return Message("trained", fields, arrays)


def statistics_task(client: Client, message: Message) -> Message:
    """Measure batch-normalization statistics of the sent weights; neither gradient nor update."""
    client.receive(message)
    parts = batches(client.data, int(message.number("batch")))
    statistics = batch_norm.measure(client.module, (x for x, _ in parts))
    return Message("statistics", arrays=statistics.arrays())


def validate_task(client: Client, message: Message) -> Message:
    """Score the sent weights, with the statistics that came with them, on held-out data."""
    client.receive(message)
    return _score(client)


def evaluate_task(client: Client, message: Message) -> Message:
    """Score the held state with the sent statistics on held-out data."""
    state = client.load()
    statistics = batch_norm.Statistics.of(message, client.module)
    state = statistics.put(state, client.module)
    client.values = client.codec.pack(state, client.masks or {})
    client.load()
    return _score(client)


def _score(client: Client) -> Message:
    result = score(client.module, client.held_out)
    fields: dict[str, Field] = {"loss": result.loss, "samples": result.samples}
    if result.correct is not None:
        fields["correct"] = result.correct
    return Message("score", fields)


def calibrate_task(client: Client, message: Message) -> Message:
    """Count the values of every activation of the held state over the training data."""
    client.load()
    module_name, _, function = client.observe.partition(":")
    observe = getattr(importlib.import_module(module_name), function)
    client.module.eval()
    parts = batches(client.data, OBSERVED)
    return histograms.pack(observe(client.module, (x for x, _ in parts)))


Task = Callable[[Client, Message], Message]

TASKS: dict[str, Task] = {
    "train": train_task,
    "statistics": statistics_task,
    "evaluate": evaluate_task,
    "validate": validate_task,
    "calibrate": calibrate_task,
}
