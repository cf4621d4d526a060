"""A flatbuffer reader that trusts nothing: every offset, count and string is checked.

The flatbuffers package for Python follows whatever offsets a file holds. Here each access is
checked against the file's size, and the total of everything decoded is bounded by a multiple of it,
so that a small file cannot ask for much work by pointing at the same bytes many times.

Source: the FlatBuffers internals page (binary format).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedtiny.errors import UsageError

DECODED_PER_BYTE = 64
"""Bytes of small vectors, names and tables that may be decoded for each byte of the file."""


class Flatbuffer:
    """The bytes of a file and the budget for decoding them.

    Args:
        data: The whole file.
        name: What error messages call the file.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self._budget = DECODED_PER_BYTE * len(data)

    def damaged(self, what: str) -> UsageError:
        """Make the error for a file that breaks the format."""
        return UsageError(f"{self.name}: not a readable TFLite file: {what}.")

    def scalar(self, code: str, at: int) -> Any:
        """One little-endian number, by `struct` code."""
        if at < 0 or at + struct.calcsize(code) > len(self.data):
            raise self.damaged(f"offset {at} lies outside its {len(self.data)} bytes")
        return struct.unpack_from("<" + code, self.data, at)[0]

    def charge(self, size: int) -> None:
        """Take `size` bytes from the decoding budget."""
        self._budget -= size
        if self._budget < 0:
            raise self.damaged("its tables refer to each other far more often than its size allows")

    def follow(self, at: int) -> int:
        """The position that the offset stored at `at` points to."""
        return at + int(self.scalar("I", at))

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.follow(0))


class Table:
    """One table of a flatbuffer; fields are named by their number in the schema.

    Args:
        buffer: The file.
        at: Where the table starts.
    """

    def __init__(self, buffer: Flatbuffer, at: int) -> None:
        self._buffer = buffer
        self._at = at
        self._vtable = at - int(buffer.scalar("i", at))
        self._vtable_bytes = int(buffer.scalar("H", self._vtable))
        self._bytes = int(buffer.scalar("H", self._vtable + 2))
        if self._vtable_bytes < 4 or self._vtable_bytes % 2 or self._bytes < 4:
            raise buffer.damaged(f"the table at {at} has a broken header")
        buffer.charge(8)

    @property
    def at(self) -> int:
        """Where the table lies in the file."""
        return self._at

    @property
    def start(self) -> int:
        """Where the table begins, with its field offsets where they lie in front of it."""
        return min(self._at, self._vtable)

    def _field(self, number: int, size: int = 4) -> int | None:
        """Where a field is stored, None when the table leaves it out."""
        entry = 4 + 2 * number
        if entry + 2 > self._vtable_bytes:
            return None
        offset = int(self._buffer.scalar("H", self._vtable + entry))
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._bytes:
            raise self._buffer.damaged(f"field {number} of the table at {self._at} lies outside it")
        return self._at + offset

    def number(self, number: int, code: str, default: float = 0) -> Any:
        """A scalar field by `struct` code."""
        at = self._field(number, struct.calcsize(code))
        return default if at is None else self._buffer.scalar(code, at)

    def table(self, number: int) -> Table | None:
        """A table field, None when absent."""
        at = self._field(number)
        return None if at is None else Table(self._buffer, self._buffer.follow(at))

    def _vector(self, number: int, item_bytes: int) -> tuple[int, int] | None:
        """Position of the first item and the count of a vector field."""
        field = self._field(number)
        if field is None:
            return None
        at = self._buffer.follow(field)
        count = int(self._buffer.scalar("I", at))
        if at + 4 + count * item_bytes > len(self._buffer.data):
            raise self._buffer.damaged(f"a vector of {count} items at {at} does not fit in it")
        return at + 4, count

    def array(self, number: int, dtype: DTypeLike) -> NDArray[Any] | None:
        """A vector of numbers as a read-only view of the file, None when absent."""
        kind = np.dtype(dtype).newbyteorder("<")
        found = self._vector(number, kind.itemsize)
        if found is None:
            return None
        return np.frombuffer(self._buffer.data, kind, found[1], found[0])

    def integers(self, number: int, dtype: DTypeLike = np.int32) -> tuple[int, ...] | None:
        """A short vector of integers, None when absent."""
        found = self.array(number, dtype)
        if found is None:
            return None
        self._buffer.charge(found.nbytes)
        return tuple(int(v) for v in found)

    def text(self, number: int) -> str:
        """A string field, empty when absent."""
        found = self._vector(number, 1)
        if found is None:
            return ""
        start, count = found
        self._buffer.charge(count)
        try:
            return self._buffer.data[start : start + count].decode()
        except UnicodeDecodeError:
            raise self._buffer.damaged(f"the name at {start} is not UTF-8") from None

    def tables(self, number: int) -> tuple[Table, ...]:
        """A vector of tables, empty when absent."""
        found = self._vector(number, 4)
        if found is None:
            return ()
        start, count = found
        self._buffer.charge(8 * count)
        return tuple(Table(self._buffer, self._buffer.follow(start + 4 * i)) for i in range(count))
