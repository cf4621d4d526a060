"""The host's side of the device protocol (`support/PROTOCOL.md`), over any byte stream.

Frames are COBS between zero bytes with a CRC-32, so that both sides are in step again after any
garbage; a request is repeated when its answer does not come.

Source: S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from fedtiny.errors import RunnerError

VERSION = 1
MAX_PAYLOAD_BYTES = 512
HELLO, LOAD, INVOKE, OUTPUT, LAYERS = range(1, 6)
REPLY, ERROR = 0x80, 0xFF
UNKNOWN = 0xFFFF_FFFF

_HELLO = struct.Struct("<BBHIIIIHI")
_INVOKED = struct.Struct("<QI")
_LAYER = struct.Struct("<IQ")
_ERROR = struct.Struct("<BI")
_OVERHEAD_BYTES = 6  # type, sequence, CRC-32

_ERRORS = {
    1: "does not know message {detail}",
    2: "got a message of {detail} payload bytes, which is the wrong length",
    3: "was asked for something outside of its buffers, at {detail}",
    4: "could not run the model (fedtiny_status {detail})",
    5: "was asked for layers before a traced inference",
    6: "faulted at address 0x{detail:08x} and must be reset",
}


class Stream(Protocol):
    """A byte stream to a device."""

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            RunnerError: The stream is closed.
        """

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte; empty after `timeout_s` without any.

        Raises:
            RunnerError: The stream is closed.
        """


@dataclass(frozen=True)
class Frame:
    """One intact message."""

    kind: int
    sequence: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the stream."""
    body = bytes([frame.kind, frame.sequence]) + frame.payload
    body += struct.pack("<I", zlib.crc32(body))
    out = bytearray(b"\0")
    at = 0
    while at <= len(body):
        end = body.find(b"\0", at, at + 254)
        full = end < 0 and len(body) - at >= 254
        end = at + 254 if full else len(body) if end < 0 else end
        out.append(end - at + 1)
        out += body[at:end]
        at = end if full else end + 1
        if full and at == len(body):
            break
    out.append(0)
    return bytes(out)


def decode(encoded: bytes) -> Frame | None:
    """The frame between two zero bytes; None when it is damaged."""
    body = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        group = encoded[at + 1 : at + code]
        if code == 0 or len(group) != code - 1:
            return None
        body += group
        at += code
        if code != 255 and at < len(encoded):
            body.append(0)
    if not _OVERHEAD_BYTES <= len(body) <= MAX_PAYLOAD_BYTES + _OVERHEAD_BYTES:
        return None
    if struct.pack("<I", zlib.crc32(body[:-4])) != body[-4:]:
        return None
    return Frame(body[0], body[1], bytes(body[2:-4]))


class Decoder:
    """Takes bytes as they arrive and gives the intact frames; drops everything else."""

    _LIMIT_BYTES = 2 * (MAX_PAYLOAD_BYTES + _OVERHEAD_BYTES)

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take some bytes; the frames that they complete."""
        frames = []
        self._pending += data
        while (end := self._pending.find(0)) >= 0:
            frame = decode(bytes(self._pending[:end]))
            del self._pending[: end + 1]
            if frame is not None:
                frames.append(frame)
        # Longer than any frame is garbage; keeping its tail is enough to drop the rest of it.
        del self._pending[: -self._LIMIT_BYTES]
        return frames


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says about itself and its model.

    Attributes:
        pointer_bytes: 4 or 8.
        identity: CRC-32 of the model's tables, as in `ModelTables.identity`.
        arena_bytes: Size of the arena.
        input_bytes: All inputs together.
        output_bytes: All outputs together.
        layers: How many.
        ticks_hz: Counts of its counter in a second.
    """

    pointer_bytes: int
    identity: int
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    layers: int
    ticks_hz: int


@dataclass(frozen=True)
class Invocation:
    """What an inference took; `stack_bytes` is None where the device cannot know."""

    ticks: int
    stack_bytes: int | None


@dataclass(frozen=True)
class LayerRecord:
    """What a traced inference saw of a layer."""

    digest: int
    ticks: int


class Client:
    """Asks one device. Every method raises `RunnerError` when it does not answer as it should."""

    def __init__(self, stream: Stream, timeout_s: float = 2.0, attempts: int = 3) -> None:
        """Make a client.

        Args:
            stream: To the device.
            timeout_s: Wait for an answer before the question is repeated.
            attempts: How often a question is asked.
        """
        self._stream = stream
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()
        self._sequence = 0

    def hello(self) -> DeviceInfo:
        """Ask who is there."""
        fields = self._unpack(_HELLO, self._ask(HELLO, b""))
        version, pointer_bytes, _, identity, arena, inputs, outputs, layers, hertz = fields
        if version != VERSION:
            raise RunnerError(f"the device speaks protocol {version}; FedTiny speaks {VERSION}.")
        return DeviceInfo(pointer_bytes, identity, arena, inputs, outputs, layers, hertz)

    def load(self, data: bytes) -> None:
        """Send the bytes of the inputs."""
        step = MAX_PAYLOAD_BYTES - 4
        for offset in range(0, len(data), step):
            self._ask(LOAD, struct.pack("<I", offset) + data[offset : offset + step])

    def invoke(self, trace: bool, timeout_s: float) -> Invocation:
        """Run one inference, at most `timeout_s` long."""
        reply: bytes | None = self._ask(INVOKE, bytes([trace]))
        if not reply:  # it has begun
            reply = self._receive(INVOKE, timeout_s)
        if reply is None:
            raise RunnerError(f"the inference did not end within {timeout_s:g} s.")
        ticks, stack = self._unpack(_INVOKED, reply)
        return Invocation(ticks, None if stack == UNKNOWN else stack)

    def output(self, size: int) -> bytes:
        """Read `size` bytes of the outputs."""
        data = b""
        while len(data) < size:
            count = min(MAX_PAYLOAD_BYTES, size - len(data))
            part = self._ask(OUTPUT, struct.pack("<IH", len(data), count))
            if len(part) != count:
                raise RunnerError(f"the device sent {len(part)} output bytes instead of {count}.")
            data += part
        return data

    def layers(self, count: int) -> list[LayerRecord]:
        """What the last traced inference saw of `count` layers."""
        records: list[LayerRecord] = []
        while len(records) < count:
            some = min(MAX_PAYLOAD_BYTES // _LAYER.size, count - len(records))
            part = self._ask(LAYERS, struct.pack("<HH", len(records), some))
            if len(part) != some * _LAYER.size:
                raise RunnerError(f"the device sent {len(part)} bytes for {some} layers.")
            records += [LayerRecord(*fields) for fields in _LAYER.iter_unpack(part)]
        return records

    def _ask(self, kind: int, payload: bytes) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFF
        for _ in range(self._attempts):
            self._stream.write(encode(Frame(kind, self._sequence, payload)))
            reply = self._receive(kind, self._timeout_s)
            if reply is not None:
                return reply
        raise RunnerError(
            f"the device did not answer message {kind} within {self._timeout_s:g} s, "
            f"asked {self._attempts} times."
        )

    def _receive(self, kind: int, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if not self._frames:
                self._frames.extend(self._decoder.feed(self._stream.read(left)))
            while self._frames:
                frame = self._frames.popleft()
                if frame.sequence != self._sequence:
                    continue
                if frame.kind == ERROR:
                    code, detail = self._unpack(_ERROR, frame.payload)
                    text = _ERRORS.get(code, f"reported error {code}, detail {{detail}}")
                    raise RunnerError(f"the device {text.format(detail=detail)}.")
                if frame.kind == kind | REPLY:
                    return frame.payload
        return None

    @staticmethod
    def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
        if len(payload) != layout.size:
            raise RunnerError(
                f"the device answered with {len(payload)} bytes instead of {layout.size}."
            )
        return layout.unpack(payload)
