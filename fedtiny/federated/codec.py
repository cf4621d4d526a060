"""A network's state as one vector: active weights only, in an order that both sides know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedtiny.federated import positions
from fedtiny.federated.message import Array, DamagedMessageError, Message
from fedtiny.models import prunable_blocks
from fedtiny.pruning.masks import Masks, State

Vector = npt.NDArray[np.float32]

FLOAT_BITS = 32
_BITS = (8, FLOAT_BITS)
_LEVELS = 127


class StateCodec:
    """Packs states of one network (parameters and batch-normalization statistics).

    Attributes:
        shapes: Shape of every floating-point entry of the state dict, in its order. The others
            (counts of batches) do not travel.
        prunable: Number of weights of every prunable parameter, in state-dict order.
    """

    def __init__(self, module: nn.Module) -> None:
        self._constants = {
            name: value.detach().clone()
            for name, value in module.state_dict().items()
            if not value.is_floating_point()
        }
        self.shapes = {
            name: tuple(value.shape)
            for name, value in module.state_dict().items()
            if value.is_floating_point()
        }
        names = {name for block in prunable_blocks(module) for name in block}
        self.prunable = {n: int(np.prod(s)) for n, s in self.shapes.items() if n in names}

    def length(self, masks: Mapping[str, torch.Tensor]) -> int:
        """Number of values that travel under these masks."""
        dense = sum(int(np.prod(s)) for n, s in self.shapes.items() if n not in masks)
        return dense + sum(int(mask.sum()) for mask in masks.values())

    def pack(self, state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]) -> Vector:
        """The values that travel."""
        parts = [
            state[name][masks[name]] if name in masks else state[name].contiguous().reshape(-1)
            for name in self.shapes
        ]
        return np.asarray(torch.cat(parts).to(torch.float32).numpy())

    def unpack(self, vector: Vector, masks: Mapping[str, torch.Tensor]) -> State:
        """The whole state, zero where inactive.

        Raises:
            DamagedMessageError: The vector has another length.
        """
        if vector.shape != (self.length(masks),):
            raise DamagedMessageError(
                f"{vector.size} values where the masks need {self.length(masks)}"
            )
        values, at, state = torch.tensor(vector), 0, {}
        for name, shape in self.shapes.items():
            mask = masks.get(name)
            count = int(np.prod(shape)) if mask is None else int(mask.sum())
            part, at = values[at : at + count], at + count
            if mask is None:
                state[name] = part.reshape(shape).clone()
            else:
                state[name] = torch.zeros(shape)
                state[name][mask] = part
        return state | self._constants

    def with_sound_variances(self, vector: Vector, masks: Mapping[str, torch.Tensor]) -> Vector:
        """The vector, no running variance of it below zero."""
        vector = vector.copy()
        for name, (part, _) in zip(self.shapes, self._parts(vector, masks), strict=True):
            if name.endswith("running_var"):
                np.maximum(part, 0, out=part)
        return vector

    def to_arrays(
        self, state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor], bits: int
    ) -> dict[str, Array]:
        """The values that travel, as arrays of a message.

        Args:
            state: The values.
            masks: Under which.
            bits: Of a weight: 32, or 8 with one scale a tensor, symmetric about zero. Entries of
                one dimension (biases, normalization) are always float32.
        """
        vector = self.pack(state, masks)
        if bits == FLOAT_BITS:
            return {"values": vector}
        exact, codes, scales = [], [], []
        for part, shape in self._parts(vector, masks):
            if len(shape) < 2:
                exact.append(part)
                continue
            scale = np.float32(np.abs(part).max(initial=0.0) / _LEVELS)
            scales.append(scale)
            codes.append(np.rint(part / scale if scale else part).astype(np.int8))
        empty: list[Vector] = [np.zeros(0, np.float32)]
        return {
            "values": np.concatenate(empty + exact),
            "codes": np.concatenate([np.zeros(0, np.int8), *codes]),
            "scales": np.array(scales, np.float32),
        }

    def from_arrays(self, message: Message, masks: Mapping[str, torch.Tensor], bits: int) -> State:
        """What `to_arrays` packed; zero where inactive.

        Raises:
            DamagedMessageError: It is something else.
        """
        if bits not in _BITS:
            raise DamagedMessageError(f"weights of {bits} bits; accepted is 8 or 32")
        length = self.length(masks)
        if bits == FLOAT_BITS:
            return self.unpack(message.array("values", np.float32, (length,)), masks)
        shapes = [shape for part, shape in self._parts(np.zeros(length, np.float32), masks)]
        weights = sum(len(shape) > 1 for shape in shapes)
        scales = message.array("scales", np.float32, (weights,))
        vector = np.zeros(length, np.float32)
        sizes = [len(part) for part, shape in self._parts(vector, masks) if len(shape) > 1]
        codes = message.array("codes", np.int8, (sum(sizes),))
        exact = message.array("values", np.float32, (length - sum(sizes),))
        if (scales < 0).any():
            raise DamagedMessageError("a scale is negative")
        weight, at, layer = 0, 0, 0
        for part, shape in self._parts(vector, masks):
            if len(shape) < 2:
                part[:] = exact[at : at + len(part)]
                at += len(part)
            else:
                part[:] = codes[weight : weight + len(part)] * scales[layer]
                weight, layer = weight + len(part), layer + 1
        return self.unpack(vector, masks)

    def _parts(
        self, vector: Vector, masks: Mapping[str, torch.Tensor]
    ) -> Iterator[tuple[Vector, tuple[int, ...]]]:
        """Views of each entry's values, with the entry's shape."""
        at = 0
        for name, shape in self.shapes.items():
            mask = masks.get(name)
            count = int(np.prod(shape)) if mask is None else int(mask.sum())
            yield vector[at : at + count], shape
            at += count

    def pack_masks(self, masks: Masks, known: Masks | None) -> npt.NDArray[np.uint8]:
        """What the receiver lacks: the positions where the masks differ from those it has.

        Args:
            masks: What it shall have; of every prunable parameter.
            known: What it has; None is nothing, from which everything active differs.
        """
        bits = self._flat(masks)
        differs = bits if known is None else bits ^ self._flat(known)
        return positions.encode(np.flatnonzero(differs), bits.size)

    def unpack_masks(self, data: npt.NDArray[np.uint8], known: Masks | None) -> Masks:
        """The exact inverse of `pack_masks`.

        Raises:
            DamagedMessageError: The bytes are no positions.
        """
        size = sum(self.prunable.values())
        bits = np.zeros(size, bool) if known is None else self._flat(known)
        bits[positions.decode(data, size)] ^= True
        parts = np.split(bits, np.cumsum(list(self.prunable.values()))[:-1])
        return {
            name: torch.from_numpy(part.copy()).reshape(self.shapes[name])
            for name, part in zip(self.prunable, parts, strict=True)
        }

    def _flat(self, masks: Masks) -> npt.NDArray[np.bool_]:
        return np.concatenate([masks[name].reshape(-1).numpy() for name in self.prunable])
