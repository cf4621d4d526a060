"""A worker process of the local engine: `python -m fedtiny.federated.worker`.

Frames on standard input: what to do (`SETUP`, `ADD` or `ASK`), a client's number (int64), the
length of what follows (uint64), little-endian, then a serialized message. Each `ASK` is answered by
such a frame on standard output. The process ends when its input does, so that it never outlives
the server.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO

SETUP, ADD, ASK = range(3)
_HEADER = struct.Struct("<BqQ")


def read_frame(stream: BinaryIO) -> tuple[int, int, bytes] | None:
    """The next frame (what, client, message); None at the end of the stream."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    what, client, size = _HEADER.unpack(header)
    data = stream.read(size)
    return (what, client, data) if len(data) == size else None


def write_frame(stream: BinaryIO, what: int, client: int, data: bytes) -> None:
    """Send one frame."""
    stream.write(_HEADER.pack(what, client, len(data)))
    stream.write(data)
    stream.flush()


def main() -> None:
    """Serve frames until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what users' code prints must not end up between frames
    import torch

    from fedtiny.federated.host import Host
    from fedtiny.federated.message import Message

    torch.set_num_threads(1)
    host: Host | None = None
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        what, client, data = frame
        if what == SETUP:
            host = Host(Message.from_bytes(data))
        elif host is not None and what == ADD:
            host.add(client, Message.from_bytes(data))
        elif host is not None:
            try:
                write_frame(answers, ASK, client, host.run(client, data))
            except BrokenPipeError:  # the server was interrupted; nobody waits for the answer
                os._exit(0)


if __name__ == "__main__":
    main()
