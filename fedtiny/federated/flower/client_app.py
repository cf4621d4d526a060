"""The ClientApp of a deployment; `examples/flower/pyproject.toml` names it.

A node's configuration has `client`, its number from 0, and may have `data`, where the dataset lies
on that machine.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from flwr.app import Context

from fedtiny.federated.config import TrainConfig
from fedtiny.federated.flower.clients import client_app
from fedtiny.federated.flower.run_config import from_run_config
from fedtiny.federated.host import Host


def _play(client: int, context: Context) -> Host:
    config = from_run_config(context.run_config)
    place = context.node_config.get("data")
    return _host(client, replace(config, data=str(place)) if place else config)


@lru_cache(maxsize=1)
def _host(client: int, config: TrainConfig) -> Host:
    from fedtiny.federated.setting import Setting

    return Setting.of(config).host(client)


app = client_app(_play)
