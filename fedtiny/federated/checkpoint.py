"""Where a run stands after a round: complete in one file, replaced atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from fedtiny.errors import UsageError
from fedtiny.federated.codec import StateCodec
from fedtiny.federated.config import PLAYS, TrainConfig
from fedtiny.files import new_file
from fedtiny.pruning.masks import Masks, State
from fedtiny.reading import parse_json

_KEY = "fedtiny_checkpoint"
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the rest of a run depends on.

    Attributes:
        round: Rounds done; 0 is after `Method.init`.
        state: The global state.
        masks: The global masks.
        method: Tensors of the method's own.
        holds: By client, the masks it holds.
        record: What run.json will say, so far.
    """

    round: int
    state: State
    masks: Masks
    method: Mapping[str, torch.Tensor]
    holds: Mapping[int, Masks]
    record: Mapping[str, Any]


def fingerprint(config: TrainConfig, data_sha256: str) -> str:
    """What must be equal for a run to go on: options that matter, and data."""
    options = {name: value for name, value in asdict(config).items() if name not in PLAYS}
    return hashlib.sha256((json.dumps(options) + data_sha256).encode()).hexdigest()


def save(path: Path, checkpoint: Checkpoint, codec: StateCodec, run: str) -> None:
    """Write a checkpoint.

    Args:
        path: The file, replaced when complete.
        checkpoint: What to keep.
        codec: Of the network.
        run: From `fingerprint`.

    Raises:
        UsageError: The place cannot be written.
    """
    tensors = {f"state.{name}": value for name, value in checkpoint.state.items()}
    tensors |= {f"method.{name}": value for name, value in checkpoint.method.items()}
    plain = torch.contiguous_format  # a copy, as safetensors refuses tensors that share memory
    tensors = {name: value.clone(memory_format=plain) for name, value in tensors.items()}
    distinct: list[Masks] = [checkpoint.masks]
    holds = {}
    for client, masks in checkpoint.holds.items():
        if not any(masks is known for known in distinct):
            distinct.append(masks)
        holds[str(client)] = next(i for i, known in enumerate(distinct) if known is masks)
    for number, masks in enumerate(distinct):
        packed = codec.pack_masks(masks, None) if masks else b""
        tensors[f"masks.{number}"] = torch.tensor(list(packed), dtype=torch.uint8)
    about: dict[str, Any] = {
        "format": _FORMAT,
        "run": run,
        "round": checkpoint.round,
        "holds": holds,
        "record": checkpoint.record,
    }
    body = safetensors.torch.save(tensors)
    about["sha256"] = hashlib.sha256(body + json.dumps(about).encode()).hexdigest()
    with new_file(path) as work:
        text = json.dumps(about)
        work.write_bytes(safetensors.torch.save(tensors, {_KEY: text}))


def load(path: Path, codec: StateCodec, run: str) -> Checkpoint:
    """Read the checkpoint of the same run.

    Raises:
        UsageError: It is missing, damaged, or of another run.
    """
    if not path.is_file():
        raise UsageError(f"nothing to resume: there is no checkpoint {str(path)!r}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        given = about.pop("sha256")
        data = safetensors.torch.save(tensors) + json.dumps(about).encode()
        if given != hashlib.sha256(data).hexdigest() or about["format"] != _FORMAT:
            raise ValueError("its SHA-256 does not match")
        if about["run"] != run:
            raise UsageError(
                f"checkpoint {str(path)!r} belongs to a run with other options or data; repeat "
                "them, or start anew without --resume."
            )
        parts: dict[str, dict[str, torch.Tensor]] = {"state": {}, "method": {}, "masks": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            parts[kind][rest] = value
        distinct = [
            codec.unpack_masks(parts["masks"][str(i)].numpy(), None)
            if parts["masks"][str(i)].numel()
            else {}
            for i in range(len(parts["masks"]))
        ]
        holds = {int(client): distinct[i] for client, i in about["holds"].items()}
        return Checkpoint(
            about["round"], parts["state"], distinct[0], parts["method"], holds, about["record"]
        )
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"checkpoint {str(path)!r} is damaged: {error}.") from error
