"""The most stack that an inference can take on a Cortex-M, from the linked program alone.

Frames are what a function's instructions take from the stack pointer, all of them added, branches
or not; callees are what its calls and jumps name. The executor's calls through the kernel table may
go to any of the model's kernels; a kernel's calls through other pointers, to any function whose
address the kernel or anything that it calls holds. So hand-written assembly and every compiler are
treated alike. Hooks are the caller's and not counted.

Source: Armv7-M and Armv8-M Architecture Reference Manuals, the Thumb encodings; ELF for the Arm
Architecture, mapping symbols.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from fedtiny.devices.elf import Elf
from fedtiny.devices.model_tables import read_model
from fedtiny.errors import FedTinyError

ENTRY = "model_invoke"


class UnknownStackError(FedTinyError):
    """The program is not one whose stack these rules bound."""


@dataclass
class _Function:
    """What a function does to the stack.

    Attributes:
        name: Its symbol.
        start: Address of its first byte.
        end: Address after its last byte.
        frame_bytes: Taken from the stack pointer.
        calls: Addresses in other functions that it calls or jumps to.
        indirect: It calls through a pointer.
        holds: Words and pairs of half words that may be addresses.
        literals: By register, the word that was last loaded into it, while the code is read.
    """

    name: str
    start: int
    end: int
    frame_bytes: int = 0
    calls: set[int] = field(default_factory=set)
    indirect: bool = False
    holds: set[int] = field(default_factory=set)
    literals: dict[int, int] = field(default_factory=dict)


class StackBound:
    """Bounds of one linked program.

    Attributes:
        total_bytes: Of an inference, from the call of `ENTRY` on.
        kernels: By a kernel's entry address, of one of its steps.
    """

    def __init__(self, elf: Elf) -> None:
        """Read the program.

        Raises:
            UnknownStackError: It moves the stack pointer by amounts that its code does not state,
                recurses, or jumps out of its functions.
            RunnerError: It holds no model.
        """
        self._elf = elf
        self._functions = _functions(elf)
        self._starts = sorted(self._functions)
        self._known: dict[int, _Function] = {}
        kernels = {self._at(address).start for address in read_model(elf).kernels}
        self.kernels: dict[int, int] = {}
        for kernel in kernels:
            self.kernels[kernel] = self._deepest(kernel, self._pointed(kernel, kernels), {})
        self.total_bytes = self._deepest(elf.address(ENTRY), kernels, self.kernels)

    def _pointed(self, kernel: int, kernels: set[int]) -> set[int]:
        """Functions that a kernel's calls through pointers may go to."""
        found: set[int] = set()
        while True:
            held = set[int]().union(*(f.holds for f in self._reached(kernel, found)))
            more = {w & ~1 for w in held if w & 1 and w & ~1 in self._functions} - kernels
            if more <= found:
                return found
            found |= more

    def _reached(self, start: int, pointed: set[int]) -> list[_Function]:
        """A function and all that it calls."""
        seen: dict[int, _Function] = {}
        left = [start]
        while left:
            function = self._at(left.pop())
            if function.start not in seen:
                seen[function.start] = function
                left += function.calls
                left += pointed if function.indirect else ()
        return list(seen.values())

    def _deepest(self, start: int, pointed: Iterable[int], known: dict[int, int]) -> int:
        """The most that a call takes; functions that are known have pointers of their own."""
        depth = dict(known)

        def visit(address: int, above: tuple[int, ...]) -> int:
            function = self._at(address)
            if function.start in above:
                raise UnknownStackError(f"{function.name} calls itself.")
            if function.start not in depth:
                inside = (*above, function.start)
                callees = (*function.calls, *(pointed if function.indirect else ()))
                most = max((visit(callee, inside) for callee in callees), default=0)
                depth[function.start] = function.frame_bytes + most
            return depth[function.start]

        return visit(start, ())

    def _at(self, address: int) -> _Function:
        """The function that holds an address, read."""
        place = bisect.bisect_right(self._starts, address) - 1
        start = self._starts[place] if place >= 0 else -1
        function = self._functions.get(start)
        if function is None or address >= function.end:
            raise UnknownStackError(f"code at 0x{address:08x} belongs to no function.")
        if start not in self._known:
            _read(self._elf, function)
            self._known[start] = function
        return function


def _functions(elf: Elf) -> dict[int, _Function]:
    """By start; one without a size ends where the next begins."""
    starts = sorted({symbol.address for symbol in elf.functions})
    following = dict(pairwise(starts))
    found: dict[int, _Function] = {}
    for symbol in elf.functions:
        start = symbol.address
        function = found.setdefault(start, _Function(symbol.name, start, start))
        function.end = max(function.end, start + symbol.size)
    for function in found.values():
        if function.end == function.start:
            function.end = following.get(function.start, function.start)
    return found


def _read(elf: Elf, function: _Function) -> None:
    """Decode a function's code."""
    low: set[int] = set()
    high: set[int] = set()
    for address, first, second in _instructions(elf, function):
        if second is None:
            _read_short(elf, function, address, first)
        else:
            _read_long(function, address, first, second)
            value = _half_word(first, second)
            if first & 0xFBF0 == 0xF240:
                low.add(value)
            elif first & 0xFBF0 == 0xF2C0:
                high.add(value)
    function.holds |= {b << 16 | a for a in low for b in high}


def _instructions(elf: Elf, function: _Function) -> Iterator[tuple[int, int, int | None]]:
    """Addresses and half words of instructions; data in between is put into `holds`."""
    code = elf.read(function.start, function.end - function.start)
    data = elf.data_between(function.start, function.end)
    at = 0
    while at + 2 <= len(code):
        address = function.start + at
        stop = next((end for begin, end in data if begin <= address < end), None)
        if stop is not None:
            words = range((address + 3) & ~3, stop - 3, 4)
            function.holds |= {
                struct.unpack_from("<I", code, word - function.start)[0] for word in words
            }
            at = stop - function.start
            continue
        (first,) = struct.unpack_from("<H", code, at)
        if first >> 11 >= 0b11101 and at + 4 <= len(code):
            yield address, first, struct.unpack_from("<H", code, at + 2)[0]
            at += 4
        else:
            yield address, first, None
            at += 2


def _read_short(elf: Elf, function: _Function, address: int, code: int) -> None:
    """A 16-bit instruction."""
    if code & 0xFE00 == 0xB400:  # PUSH
        function.frame_bytes += 4 * (code & 0x1FF).bit_count()
    elif code & 0xFF80 == 0xB080:  # SUB SP, #
        function.frame_bytes += 4 * (code & 0x7F)
    elif code & 0xF800 == 0x4800:  # LDR Rt, [PC, #]
        place = (address + 4 & ~3) + 4 * (code & 0xFF)
        function.literals[code >> 8 & 7] = struct.unpack("<i", elf.read(place, 4))[0]
    elif code & 0xFF87 == 0x4485 and code >> 3 & 15 in function.literals:  # ADD SP, Rm
        function.frame_bytes += max(0, -function.literals[code >> 3 & 15])
    elif code & 0xFF87 in (0x4485, 0x4685):  # ADD SP, Rm; MOV SP, Rm
        raise UnknownStackError(f"{function.name} moves the stack pointer by a register.")
    elif code & 0xFF87 == 0x4780:  # BLX Rm
        function.indirect = True
    elif code & 0xFF87 == 0x4700:  # BX Rm
        function.indirect |= code >> 3 & 15 != 14
    elif code & 0xF800 == 0xE000:  # B
        _jump(function, address + 4 + 2 * _signed(code & 0x7FF, 11))
    elif code & 0xF000 == 0xD000 and code >> 8 & 15 < 14:  # B<c>
        _jump(function, address + 4 + 2 * _signed(code & 0xFF, 8))


def _read_long(function: _Function, address: int, first: int, second: int) -> None:
    """A 32-bit instruction."""
    if first == 0xE92D:  # PUSH.W
        function.frame_bytes += 4 * second.bit_count()
    elif first == 0xF84D and second & 0x0FFF & ~0xFF == 0x0D00:  # STR Rt, [SP, #-n]!
        function.frame_bytes += second & 0xFF
    elif first & 0xFFF0 | 0xF == 0xE96F and first & 15 == 13:  # STRD Rt, Rt2, [SP, #-n]!
        function.frame_bytes += 4 * (second & 0xFF)
    elif first & 0xFBFF == 0xF1AD and second & 0x8F00 == 0x0D00:  # SUB.W SP, SP, #
        function.frame_bytes += _expanded(_half_word(first, second) & 0xFFF)
    elif first & 0xFBFF == 0xF2AD and second & 0x8F00 == 0x0D00:  # SUBW SP, SP, #
        function.frame_bytes += _half_word(first, second) & 0xFFF
    elif first & 0xFFBF == 0xED2D and second & 0x0E00 == 0x0A00:  # VPUSH
        function.frame_bytes += 4 * (second & 0xFF)
    elif first & 0xFBEF == 0xF1AD or (first & 0xFFEF == 0xEBAD and second & 0x0F00 == 0x0D00):
        if second & 0x0F00 == 0x0D00:
            raise UnknownStackError(f"{function.name} moves the stack pointer by a register.")
    elif first & 0xF800 == 0xF000 and second & 0x8000:
        sign = first >> 10 & 1
        j1, j2 = second >> 13 & 1, second >> 11 & 1
        if second & 0x5000 in (0x5000, 0x1000):  # BL, B.W
            middle = (1 - (j1 ^ sign)) << 1 | (1 - (j2 ^ sign))
            offset = sign << 23 | middle << 21 | (first & 0x3FF) << 11 | second & 0x7FF
            target = address + 4 + 2 * _signed(offset, 24)
            if second & 0x4000:
                function.calls.add(target)
            else:
                _jump(function, target)
        elif second & 0x5000 == 0 and first >> 6 & 15 < 14:  # B<c>.W
            offset = sign << 19 | j2 << 18 | j1 << 17 | (first & 0x3F) << 11 | second & 0x7FF
            _jump(function, address + 4 + 2 * _signed(offset, 20))


def _jump(function: _Function, target: int) -> None:
    if not function.start <= target < function.end:
        function.calls.add(target)


def _half_word(first: int, second: int) -> int:
    """Immediate of MOVW, MOVT and, in its low 12 bits, of SUB."""
    return (first & 15) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF


def _expanded(value: int) -> int:
    """A modified immediate constant."""
    byte = value & 0xFF
    if value >> 10 == 0:
        return (byte, byte * 0x00010001, byte * 0x01000100, byte * 0x01010101)[value >> 8]
    turn = value >> 7
    byte |= 0x80
    return (byte >> turn | byte << (32 - turn)) & 0xFFFFFFFF


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
