"""Plays clients: holds them, and hands each its messages. One in every worker process."""

from __future__ import annotations

import sys
from typing import cast

import numpy as np

from fedtiny.data import Dataset
from fedtiny.federated.client import Client
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.evaluation import channels_last
from fedtiny.federated.message import Array, Field, Message
from fedtiny.models import create
from fedtiny.pruning.masks import Masks


def setup_message(
    architecture: str, input_shape: tuple[int, ...], classes: tuple[str, ...], observe: str
) -> Message:
    """What a host needs to know before it can play clients."""
    return Message(
        "setup",
        {
            "architecture": architecture,
            "input_shape": list(input_shape),
            "classes": list(classes),
            "observe": observe,
            "path": sys.path,
        },
    )


def client_message(
    data: Dataset, held_out: Dataset, codec: StateCodec, masks: Masks | None
) -> Message:
    """A client's private data, and the masks that it holds already."""
    fields: dict[str, Field] = {"masks": "none" if masks is None else "held" if masks else "dense"}
    arrays: dict[str, Array] = {
        "images": data.images,
        "labels": data.labels,
        "held_out_images": held_out.images,
        "held_out_labels": held_out.labels,
    }
    if masks:
        arrays["masks"] = codec.pack_masks(masks, None)
    return Message("client", fields, arrays)


class Host:
    """Clients that share one network object."""

    def __init__(self, setup: Message) -> None:
        fields = setup.fields
        for folder in cast(list[str], fields["path"]):
            if folder not in sys.path:
                sys.path.append(folder)
        self._classes = tuple(cast(list[str], fields["classes"]))
        architecture, shape = str(fields["architecture"]), cast(list[int], fields["input_shape"])
        self._module = channels_last(create(architecture, shape, len(self._classes)))
        self._codec = StateCodec(self._module)
        self._observe = str(fields["observe"])
        self._clients: dict[int, Client] = {}

    def add(self, index: int, message: Message) -> None:
        """Add a client, as `client_message` describes it."""
        parts = []
        for prefix in ("", "held_out_"):
            images = message.arrays[f"{prefix}images"]
            labels = message.arrays[f"{prefix}labels"].astype(np.int64)
            name = f"client {index}"
            parts.append(Dataset(name, images, labels, self._classes, len(images)))
        masks: Masks | None = {} if message.fields["masks"] == "dense" else None
        if "masks" in message.arrays:
            masks = self._codec.unpack_masks(message.arrays["masks"], None)
        self._clients[index] = Client(
            index, self._module, self._codec, parts[0], parts[1], self._observe, masks
        )

    def run(self, index: int, data: bytes) -> bytes:
        """Let a client answer."""
        return self._clients[index].run(data)

    def memory(self, index: int) -> bytes:
        """What a client keeps between messages, for an engine that plays it elsewhere next."""
        return self._clients[index].memory().to_bytes()

    def remember(self, index: int, memory: bytes) -> None:
        """Give a client what `memory` returned.

        Raises:
            DamagedMessageError: It is not sound.
        """
        self._clients[index].remember(Message.from_bytes(memory))
