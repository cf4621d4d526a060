"""Flower's simulation engine: Ray processes on this machine play the nodes."""

from __future__ import annotations

import functools
import logging
import queue
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from fedtiny.errors import RunnerError
from fedtiny.federated.fleet import Fleet, Lost
from fedtiny.federated.flower.clients import client_app
from fedtiny.federated.flower.fleet import GridFleet
from fedtiny.federated.host import Host
from fedtiny.federated.message import Message

_SETUP = "setup"


class SimulatedFleet(Fleet):
    """A fleet whose clients are the virtual nodes of one simulation."""

    def __init__(
        self,
        setup: Message,
        clients: Mapping[int, Message],
        processes: int,
        deadline: float | None = None,
    ) -> None:
        """Start the simulation.

        Args:
            setup: From `fedtiny.federated.host.setup_message`.
            clients: By number from 0, from `fedtiny.federated.host.client_message`.
            processes: That play the clients.
            deadline: Seconds that all clients asked together have to answer; None is any.

        Raises:
            RunnerError: The simulation did not start.
        """
        super().__init__()
        self._done = threading.Event()
        self._grids: queue.Queue[Grid | BaseException] = queue.Queue()
        self._folder = Path(tempfile.mkdtemp(prefix="fedtiny-flower-"))
        for name, message in ((_SETUP, setup), *clients.items()):
            (self._folder / str(name)).write_bytes(message.to_bytes())
        self._thread = threading.Thread(
            target=self._simulate, args=(len(clients), processes), daemon=True
        )
        self._thread.start()
        try:
            grid = self._grids.get()
            if isinstance(grid, BaseException):
                raise RunnerError(f"Flower's simulation did not start: {grid}.") from grid
            self._fleet = GridFleet(grid, len(clients), deadline)
        except BaseException:
            self.close()
            raise

    def exchange(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | Lost]:
        """See `Fleet.exchange`."""
        return self._fleet.exchange(requests)

    def close(self) -> None:
        """End the simulation."""
        self._done.set()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _simulate(self, clients: int, processes: int) -> None:
        logging.getLogger("flwr").setLevel(logging.ERROR)
        server = ServerApp()

        @server.main()
        def main(grid: Grid, context: Context) -> None:
            self._grids.put(grid)
            self._done.wait()

        try:
            run_simulation(
                server,
                client_app(functools.partial(_play, str(self._folder))),
                clients,
                backend_config={
                    "init_args": {"num_cpus": processes, "include_dashboard": False},
                    "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                },
            )
        except BaseException as error:
            self._grids.put(error)


def _play(folder: str, client: int, context: Context) -> Host:
    host, known = _host(folder)
    if client not in known:
        host.add(client, Message.from_bytes((Path(folder) / str(client)).read_bytes()))
        known.add(client)
    return host


@functools.lru_cache(maxsize=1)
def _host(folder: str) -> tuple[Host, set[int]]:
    """The host of this process, and the clients that it has so far."""
    return Host(Message.from_bytes((Path(folder) / _SETUP).read_bytes())), set()
