"""`fedtiny train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.config_file import config_option
from fedtiny.cli.session import session


@click.command(cls=Command, short_help="Train one sparse model on many clients' data.")
@click.option(
    "--config",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=config_option,
    help="Any of these options from a file; the command line wins.",
)
@click.option("--data", metavar="NAME|PATH", required=True, help="Dataset (`fedtiny data`).")
@click.option("--model", metavar="NAME|pkg.mod:factory", required=True, help="Network to train.")
@click.option("--method", metavar="NAME", help="Pruning method. [default: fedtiny]")
@click.option(
    "--density",
    metavar="D",
    type=click.FloatRange(0, 1, min_open=True),
    required=True,
    help="Share of the prunable weights that stay.",
)
@click.option(
    "--out",
    metavar="RUN",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the run; an earlier run there is replaced unless --resume.",
)
@click.option(
    "--device",
    "devices",
    metavar="PROFILE",
    multiple=True,
    help="The model must fit this board; repeatable.",
)
@click.option("--clients", type=click.IntRange(1), help="Clients. [default: 10]")
@click.option("--cohort", type=click.IntRange(1), help="Clients asked in a round. [default: all]")
@click.option(
    "--alpha",
    type=click.FloatRange(0, min_open=True),
    help="Dirichlet concentration of the clients' labels; small is uneven. [default: 0.5]",
)
@click.option("--rounds", type=click.IntRange(1), help="Federated rounds.")
@click.option("--local-epochs", type=click.IntRange(1), help="Epochs of a client in a round.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate.")
@click.option("--batch", type=click.IntRange(1), help="Batch size. [default: 64]")
@click.option(
    "--adjust-every", type=click.IntRange(1), help="Rounds between mask changes. [default: 10]"
)
@click.option("--adjust-until", type=click.IntRange(0), help="Last round that changes the mask.")
@click.option("--seed", type=click.IntRange(0), help="Seed of everything. [default: 0]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in RUN.")
@output_options
def train(out: Path, resume: bool, **options: Any) -> int:
    """Train one sparse model on many clients' private data.

    The clients are simulated on this machine; every message between them and the server is
    serialized, and counted.
    """
    with session() as run:
        from fedtiny import pipeline
        from fedtiny.federated.config import TrainConfig

        given = {name: value for name, value in options.items() if value is not None}
        config = TrainConfig(**given)
        pipeline.train(config, out, resume=resume, progress=run.progress)
    return 0
