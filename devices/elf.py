"""A small reader of ELF files: what an emulator loads, and which symbol lies where.

Source: System V ABI, Tool Interface Standard ELF 1.2 and its 64-bit extension.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedtiny.errors import RunnerError

_SYMTAB = 2
_LOAD = 1
_FUNCTION = 2


@dataclass(frozen=True)
class Section:
    """One section: where it lies and how large it is, in bytes."""

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class Segment:
    """One loadable part: `data` at `address`, followed by zeros up to `size` bytes."""

    address: int
    data: bytes
    size: int


@dataclass(frozen=True)
class Symbol:
    """A named address; for Thumb functions without the bit that marks them."""

    name: str
    address: int
    size: int
    is_function: bool


class Elf:
    """An ELF file, read whole and checked.

    Attributes:
        pointer_bytes: 4 or 8.
        thumb: Whether it is a program of a 32-bit Arm core.
        sections: By name.
        segments: In file order.
        symbols: By name.
        functions: By address; files may each have a static function of the same name.
    """

    def __init__(self, data: bytes, name: str = "image") -> None:
        """Read a file's bytes.

        Raises:
            RunnerError: It is not a little-endian ELF file, or it is truncated.
        """
        self._data = data
        self._name = name
        self._marks: list[tuple[int, bool]] = []  # where code and data begin, of Arm images
        if data[:4] != b"\x7fELF" or len(data) < 64 or data[4] not in (1, 2) or data[5] != 1:
            raise RunnerError(f"{name} is not a little-endian ELF file.")
        self.pointer_bytes = 4 * data[4]
        self.thumb = self._unpack("H", 18)[0] == 40
        try:
            self.sections = {section.name: section for section in self._read_sections()}
            self.segments = tuple(self._read_segments())
            symbols = tuple(self._read_symbols())
        except (struct.error, ValueError, IndexError) as error:
            raise RunnerError(f"{name} is a damaged ELF file: {error}.") from error
        self._marks.sort()
        self.symbols = {symbol.name: symbol for symbol in symbols}
        functions = [item for item in symbols if item.is_function]
        self.functions = tuple(sorted(functions, key=lambda item: (item.address, item.name)))

    @classmethod
    def load(cls, path: Path) -> Elf:
        """Read a file.

        Raises:
            RunnerError: It cannot be read or is not an ELF file.
        """
        try:
            return cls(path.read_bytes(), path.name)
        except OSError as error:
            raise RunnerError(f"cannot read {path}: {error.strerror}.") from error

    def section_bytes(self, name: str) -> int:
        """Size of a section; 0 when there is none."""
        return self.sections[name].size if name in self.sections else 0

    def address(self, symbol: str) -> int:
        """Where a symbol lies.

        Raises:
            RunnerError: There is no such symbol.
        """
        if symbol not in self.symbols:
            raise RunnerError(f"{self._name} does not define {symbol}.")
        return self.symbols[symbol].address

    def function_at(self, address: int) -> str:
        """Name of the function that holds an address, or the address itself."""
        index = bisect.bisect_right(self.functions, address, key=lambda item: item.address) - 1
        if index >= 0:
            found = self.functions[index]
            if address < found.address + max(found.size, 1):
                return found.name
        return f"0x{address:08x}"

    def data_between(self, start: int, end: int) -> list[tuple[int, int]]:
        """Address ranges of the data among a function's code, as an Arm image's marks say."""
        found = []
        for index, (begin, is_data) in enumerate(self._marks):
            if is_data and begin < end:
                following = self._marks[index + 1 : index + 2]
                stop = min(following[0][0] if following else end, end)
                if stop > max(begin, start):
                    found.append((max(begin, start), stop))
        return found

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the image as it is loaded.

        Raises:
            RunnerError: They lie outside of it.
        """
        for segment in self.segments:
            start = address - segment.address
            if start >= 0 and start + size <= segment.size:
                part = segment.data[start : start + size]
                return part + bytes(size - len(part))
        raise RunnerError(f"{self._name} holds nothing at 0x{address:08x} ({size} bytes).")

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + layout, self._data, offset)

    def _read_sections(self) -> Iterator[Section]:
        wide = self.pointer_bytes == 8
        (table,) = self._unpack("Q" if wide else "I", 0x28 if wide else 0x20)
        size, count, names = self._unpack("HHH", 0x3A if wide else 0x2E)
        raw = []
        for index in range(count):
            at = table + index * size
            if wide:
                name, kind, _, address, offset, length, link = self._unpack("IIQQQQI", at)
            else:
                name, kind, _, address, offset, length, link = self._unpack("IIIIIII", at)
            raw.append((name, kind, address, offset, length, link))
        self._raw_sections = raw
        for name, kind, address, offset, length, link in raw:
            text = self._text(raw[names][3] + name)
            yield Section(text, kind, address, offset, length, link)

    def _read_segments(self) -> Iterator[Segment]:
        wide = self.pointer_bytes == 8
        (table,) = self._unpack("Q" if wide else "I", 0x20 if wide else 0x1C)
        size, count = self._unpack("HH", 0x36 if wide else 0x2A)
        for index in range(count):
            at = table + index * size
            if wide:
                kind, _, offset, address, _, stored, length = self._unpack("IIQQQQQ", at)
            else:
                kind, offset, address, _, stored, length = self._unpack("IIIIII", at)
            if kind == _LOAD and length > 0:
                data = self._data[offset : offset + stored]
                if len(data) != stored:
                    raise ValueError("a segment reaches past its end")
                yield Segment(address, data, length)

    def _read_symbols(self) -> Iterator[Symbol]:
        wide = self.pointer_bytes == 8
        thumb = int(self.thumb)
        for section in self.sections.values():
            if section.kind != _SYMTAB:
                continue
            names = self._raw_sections[section.link][3]
            step = 24 if wide else 16
            for at in range(section.offset, section.offset + section.size, step):
                if wide:
                    name, info, _, where, value, length = self._unpack("IBBHQQ", at)
                else:
                    name, value, length, info, _, where = self._unpack("IIIBBH", at)
                text = self._text(names + name)
                if text.startswith("$"):
                    self._marks.append((value & ~thumb, text[1:2] == "d"))
                if not text or text.startswith("$") or (where == 0 and value == 0):
                    continue
                function = info & 15 == _FUNCTION
                yield Symbol(text, value & ~thumb if function else value, length, function)

    def _text(self, offset: int) -> str:
        end = self._data.index(b"\0", offset)
        return self._data[offset:end].decode("utf-8", "replace")
