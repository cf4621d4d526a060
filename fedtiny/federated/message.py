"""What travels between server and clients: named arrays as bytes, versioned and checksummed.

Layout, all little-endian; a count is an unsigned LEB128 varint::

    "FTM" version(1 byte)
    count, kind (UTF-8)
    count, fields (JSON object of numbers, texts and lists of them, keys sorted)
    count of arrays, then for each: count, name (UTF-8); dtype code and rank (1 byte each); its dims
    the arrays' elements in C order, one array after the other, unaligned
    CRC-32 of everything before (4 bytes)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedtiny.reading import parse_json

VERSION = 1
_MAGIC = b"FTM"
_DTYPES = ("|u1", "<i4", "<i8", "<f4", "<f8", "|i1", "<u2", "<u4")
_MAX_RANK = 8

Field = int | float | str | list[int] | list[float] | list[str]
Array = npt.NDArray[Any]


class DamagedMessageError(ValueError):
    """Bytes that are no message of this version, or a message without what it must hold."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        kind: The client task that it asks for or answers, or ``"error"``.
        fields: Small values by name.
        arrays: Arrays by name, of a dtype in `_DTYPES`.
    """

    kind: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Serialize; equal messages give equal bytes.

        Raises:
            ValueError: An array's dtype cannot travel.
        """
        head = bytearray(_MAGIC + bytes([VERSION]))
        _put(head, self.kind.encode())
        _put(head, json.dumps(dict(self.fields), sort_keys=True, separators=(",", ":")).encode())
        head += _count(len(self.arrays))
        body = []
        for name, array in self.arrays.items():
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _put(head, name.encode())
            head += bytes([_DTYPES.index(little.dtype.str), array.ndim])
            for dim in array.shape:
                head += _count(dim)
            body.append(little.tobytes())
        data = bytes(head) + b"".join(body)
        return data + zlib.crc32(data).to_bytes(4, "little")

    @staticmethod
    def from_bytes(data: bytes) -> Message:
        """Read a message, trusting nothing.

        Raises:
            DamagedMessageError: It is truncated, altered, or of another version.
        """
        if len(data) < 8 or data[:3] != _MAGIC:
            raise DamagedMessageError("no FedTiny message")
        if data[3] != VERSION:
            raise DamagedMessageError(f"message version {data[3]}; accepted is {VERSION}")
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise DamagedMessageError("checksum of the message is wrong")
        reader = _Reader(data, 4, len(data) - 4)
        kind = reader.text()
        try:
            fields = parse_json(reader.text())
        except ValueError as error:
            raise DamagedMessageError("fields of the message are no JSON") from error
        if not isinstance(fields, dict):
            raise DamagedMessageError("fields of the message are no JSON object")
        heads = [reader.array_head() for _ in range(reader.count())]
        arrays = {name: reader.array(dtype, shape) for name, dtype, shape in heads}
        if reader.at != reader.end or len(arrays) != len(heads):
            raise DamagedMessageError("message has surplus bytes or a name twice")
        return Message(kind, fields, arrays)

    def array(self, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> Array:
        """An array, after checking it.

        Args:
            name: Its name.
            dtype: What it must be.
            shape: What it must be; None is any extent.

        Raises:
            DamagedMessageError: It is missing, of another type or shape, or not finite.
        """
        array = self.arrays.get(name)
        if array is None:
            raise DamagedMessageError(f"{self.kind} message has no array {name!r}")
        fits = len(array.shape) == len(shape) and all(
            want is None or have == want for have, want in zip(array.shape, shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not fits:
            raise DamagedMessageError(
                f"{name} is {array.dtype} {array.shape}; accepted is {np.dtype(dtype)} {shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DamagedMessageError(f"{name} holds values that are not finite")
        return array

    def number(self, name: str) -> float:
        """A finite number among the fields.

        Raises:
            DamagedMessageError: There is none of that name.
        """
        value = self.fields.get(name)
        if not isinstance(value, (int, float)) or not np.isfinite(value):
            raise DamagedMessageError(f"{self.kind} message has no finite number {name!r}")
        return value


def _count(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _put(head: bytearray, data: bytes) -> None:
    head += _count(len(data)) + data


class _Reader:
    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise DamagedMessageError("message is truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def count(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise DamagedMessageError("a count of the message is too long")

    def text(self) -> str:
        try:
            return self.take(self.count()).decode()
        except UnicodeDecodeError as error:
            raise DamagedMessageError("a text of the message is no UTF-8") from error

    def array_head(self) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
        name = self.text()
        code, rank = self.take(2)
        if code >= len(_DTYPES) or rank > _MAX_RANK:
            raise DamagedMessageError(f"array {name!r} has an unknown type or rank")
        return name, np.dtype(_DTYPES[code]), tuple(self.count() for _ in range(rank))

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        size = dtype.itemsize
        for dim in shape:
            size *= dim
        data = np.frombuffer(self.take(size), dtype)
        try:
            return data.reshape(shape)
        except ValueError as error:  # of no elements, and more than numpy counts in other axes
            raise DamagedMessageError(f"an array has the shape {shape}") from error
