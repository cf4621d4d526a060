"""The ServerApp of a deployment; `examples/flower/pyproject.toml` names it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedtiny.federated.flower.fleet import GridFleet
from fedtiny.federated.flower.run_config import from_run_config
from fedtiny.progress import Progress, Task

_LOG = logging.getLogger("flwr")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train over the grid's nodes and write the run's folder on this machine."""
    from fedtiny import pipeline

    config = from_run_config(context.run_config)
    out, resume = Path(str(context.run_config["out"])), bool(context.run_config["resume"])
    fleet = GridFleet(grid, config.clients, config.deadline)
    pipeline.train(config, out, resume=resume, progress=_Logged(), fleet=fleet)


class _Logged(Progress):
    """Lines in Flower's log."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        yield _LoggedTask(title, total)

    def log(self, message: str) -> None:
        _LOG.info(message)


class _LoggedTask(Task):
    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total, self._done = title, total, 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        _LOG.info("%s %d of %s %s", self._title, self._done, self._total or "?", note)
