"""The local engine: worker processes play the clients."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, cast

import torch

from fedtiny.federated.fleet import Fleet, Lost
from fedtiny.federated.host import Host
from fedtiny.federated.message import Message
from fedtiny.federated.worker import ADD, ASK, SETUP, read_frame, write_frame

_GONE = (BrokenPipeError, ValueError)
"""What using a pipe raises when the other end is gone, or this end was closed meanwhile."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside the block, so that results depend on no core count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_LATE = Lost("no answer before the deadline")


class LocalFleet(Fleet):
    """Clients divided among worker processes once, the largest first to the least loaded.

    Each client's computation is seeded and single-threaded, so that replies do not depend on the
    number of workers.
    """

    def __init__(
        self,
        setup: Message,
        clients: Mapping[int, Message],
        workers: int,
        deadline: float | None = None,
    ) -> None:
        """Start the workers.

        Args:
            setup: From `fedtiny.federated.host.setup_message`.
            clients: By number, from `fedtiny.federated.host.client_message`.
            workers: Processes; 0 plays the clients in this one.
            deadline: Seconds that all clients asked together have to answer; None is any.
        """
        super().__init__()
        self._deadline = math.inf if deadline is None else deadline
        self._assignment: dict[int, int] = {}
        load = [0] * max(1, workers)
        for index in sorted(clients, key=lambda i: (-len(clients[i].arrays["labels"]), i)):
            worker = load.index(min(load))
            self._assignment[index] = worker
            load[worker] += len(clients[index].arrays["labels"])
        shares = [
            {i: m for i, m in clients.items() if self._assignment[i] == w} for w in range(len(load))
        ]
        self._workers: list[_Process | _InProcess] = []
        try:
            for share in shares:
                kind = _Process if workers else _InProcess
                self._workers.append(kind(setup, share))
        except BaseException:
            self.close()
            raise

    def exchange(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | Lost]:
        """Let every worker answer its clients' requests, one after the other."""
        answers: list[bytes | Lost] = [Lost("not asked")] * len(requests)
        end = time.monotonic() + self._deadline

        def serve(worker: int) -> None:
            for at, (client, data) in enumerate(requests):
                if self._assignment[client] == worker:
                    on_time = time.monotonic() < end
                    answer = self._workers[worker].ask(client, data) if on_time else _LATE
                    answers[at] = answer if time.monotonic() < end else _LATE

        if len(self._workers) == 1 and self._deadline == math.inf:
            serve(0)
            return answers
        threads = [
            threading.Thread(target=serve, args=(worker,), daemon=True)
            for worker in range(len(self._workers))
        ]
        for thread in threads:
            thread.start()
        for worker, thread in enumerate(threads):
            left = end - time.monotonic()
            thread.join(None if left == math.inf else max(0.0, left))
            if thread.is_alive():
                self._workers[worker].interrupt()
                thread.join()
        return answers

    def close(self) -> None:
        """End the workers, in the middle of their work if need be."""
        for worker in self._workers:
            worker.close()


class _InProcess:
    def __init__(self, setup: Message, clients: Mapping[int, Message]) -> None:
        self._host = Host(setup)
        for index, message in clients.items():
            self._host.add(index, message)

    def ask(self, client: int, data: bytes) -> bytes | Lost:
        with one_thread():
            return self._host.run(client, data)

    def interrupt(self) -> None:
        """A task in this process cannot be stopped; its answer comes late and is not taken."""

    def close(self) -> None:
        pass


class _Process:
    """A worker process, started anew when it died: its clients have then forgotten their masks."""

    def __init__(self, setup: Message, clients: Mapping[int, Message]) -> None:
        self._setup, self._clients = setup, clients
        self._closed = False
        self._start(clients)

    def _start(self, clients: Mapping[int, Message]) -> None:
        # A session of its own: Ctrl-C reaches the server only, which then ends its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fedtiny.federated.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._input = cast(BinaryIO, self._process.stdin)
        self._output = cast(BinaryIO, self._process.stdout)
        self._feeder = threading.Thread(target=self._feed, args=(clients,), daemon=True)
        self._feeder.start()

    def _feed(self, clients: Mapping[int, Message]) -> None:
        """Set the worker up; beside the server's own work, as importing torch takes a while."""
        with contextlib.suppress(*_GONE):
            write_frame(self._input, SETUP, 0, self._setup.to_bytes())
            for index, message in clients.items():
                write_frame(self._input, ADD, index, message.to_bytes())

    def ask(self, client: int, data: bytes) -> bytes | Lost:
        self._feeder.join()
        with contextlib.suppress(*_GONE):
            write_frame(self._input, ASK, client, data)
            frame = read_frame(self._output)
            if frame is not None:
                return frame[2]
        if not self._closed:
            self._end()
            self._start({i: _without_masks(m) for i, m in self._clients.items()})
        return Lost("the client's process ended")

    def interrupt(self) -> None:
        """End the task under way; `ask` then starts the process anew."""
        self._process.kill()

    def close(self) -> None:
        self._closed = True
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        for stream in (self._input, self._output):
            with contextlib.suppress(*_GONE):
                stream.close()


def _without_masks(message: Message) -> Message:
    arrays = {name: array for name, array in message.arrays.items() if name != "masks"}
    return Message("client", {"masks": "none"}, arrays)
