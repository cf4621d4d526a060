"""A worker whose server is gone ends quietly."""

import os
import subprocess
import sys

import pytest

from fedtiny.federated.worker import ASK, SETUP, write_frame


@pytest.mark.quick
def test_no_traceback_when_the_server_is_gone() -> None:
    script = (
        "from fedtiny.federated import host, message, worker\n"
        "message.Message.from_bytes = staticmethod(lambda data: None)\n"
        "class Host:\n"
        "    def __init__(self, setup): pass\n"
        "    def run(self, client, data): return b'answer'\n"
        "host.Host = Host\n"
        "worker.main()\n"
    )
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    os.close(read)
    assert process.stdin is not None
    assert process.stderr is not None
    write_frame(process.stdin, SETUP, 0, b"")
    write_frame(process.stdin, ASK, 0, b"")
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
