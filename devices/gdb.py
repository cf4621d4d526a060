"""The remote protocol of gdb, as far as an emulator's memory, registers and breakpoints need it.

Source: Debugging with GDB, appendix E, "GDB Remote Serial Protocol".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from fedtiny.devices.protocol import Stream
from fedtiny.errors import RunnerError

_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1024
"""Of memory in one packet, twice as many characters."""


class Gdb:
    """A stopped Arm machine. Every method raises `RunnerError` when it does not answer."""

    def __init__(self, stream: Stream) -> None:
        """Take the machine over; it must have been started stopped."""
        self._stream = stream
        self._pending = bytearray()
        # QEMU takes single registers only from those who have asked for their description.
        self._send("qXfer:features:read:target.xml:0,ffb")
        self._receive()

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""
        for at in range(0, len(data), _CHUNK_BYTES):
            part = data[at : at + _CHUNK_BYTES]
            self._send(f"M{address + at:x},{len(part):x}:{part.hex()}")
        for _ in range(0, len(data), _CHUNK_BYTES):
            self._expect("OK")

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        sizes = [min(_CHUNK_BYTES, size - at) for at in range(0, size, _CHUNK_BYTES)]
        for index, part in enumerate(sizes):
            self._send(f"m{address + index * _CHUNK_BYTES:x},{part:x}")
        return b"".join(bytes.fromhex(self._receive()) for _ in sizes)

    def set_registers(self, values: dict[int, int]) -> None:
        """Write registers by their number: 0 to 15, and 25 for the status register."""
        for number, value in values.items():
            self._send(f"P{number:x}={struct.pack('<I', value).hex()}")
        for _ in values:
            self._expect("OK")

    def registers(self, numbers: Sequence[int]) -> list[int]:
        """Read registers."""
        for number in numbers:
            self._send(f"p{number:x}")
        return [int.from_bytes(bytes.fromhex(self._receive()), "little") for _ in numbers]

    def break_at(self, address: int) -> None:
        """Stop before the Thumb instruction at an address is executed."""
        self._send(f"Z0,{address:x},2")
        self._expect("OK")

    def run(self, timeout_s: float) -> bool:
        """Run to a breakpoint; False where none was met in time, and the machine is lost."""
        self._send("c")
        return self._receive(timeout_s).startswith(("T05", "S05"))

    def _send(self, text: str) -> None:
        body = text.encode("ascii")
        self._stream.write(b"$%b#%02x" % (body, sum(body) & 0xFF))

    def _expect(self, wanted: str) -> None:
        answer = self._receive()
        if answer != wanted:
            raise RunnerError(f"the emulator's debugger answered {answer!r}, not {wanted!r}.")

    def _receive(self, timeout_s: float = _TIMEOUT_S) -> str:
        while True:
            start = self._pending.find(b"$")
            end = self._pending.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._pending) >= end + 3:
                text = self._pending[start + 1 : end].decode("ascii")
                del self._pending[: end + 3]
                return text
            data = self._stream.read(timeout_s)
            if not data:
                return ""
            self._pending += data
