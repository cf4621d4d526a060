"""`fedtiny train`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from fedtiny.cli.boundary import Command, output_options
from fedtiny.cli.config_file import config_option
from fedtiny.cli.session import session
from fedtiny.federated.config import TrainConfig

F = TypeVar("F", bound=Callable[..., Any])


_DEFAULTS = {item.name: item.default for item in fields(TrainConfig)}


class Alpha(click.ParamType):  # type: ignore[type-arg]  # generic in new releases only
    """A positive number, or `iid`, which is None in the configuration."""

    name = "alpha"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Say what is accepted."""
        return "A|iid"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Check a value; `iid` stays a word, because None means that nothing was given."""
        if value == "iid":
            return "iid"
        return click.FloatRange(0, min_open=True).convert(value, param, ctx)


def _setting(name: str, *, help: str, none: str = "", **more: Any) -> Callable[[F], F]:
    """An option whose default is TrainConfig's; `none` says in words what its None means."""
    default = _DEFAULTS[name.lstrip("-").replace("-", "_")]
    shown = none if default is None else default
    if isinstance(more.get("type"), click.IntRange):
        more["metavar"] = "N"
    return click.option(name, help=f"{help} [default: {shown}]", **more)


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
@_setting("--method", metavar="NAME", help="Pruning method.")
@_setting(
    "--pattern",
    metavar="P",
    help="Which weights stay or go together: unstructured, or block1x4, four neighbouring input "
    "channels.",
)
@_setting("--clients", type=click.IntRange(1), help="Number of clients.")
@_setting("--cohort", type=click.IntRange(1), none="all", help="Clients asked in a round.")
@_setting(
    "--alpha",
    type=Alpha(),
    help="Dirichlet concentration of the clients' labels: small is uneven, `iid` is even.",
)
@_setting(
    "--shards",
    type=click.IntRange(1),
    none="none",
    help="Instead: shards of equal labels a client.",
)
@_setting("--by-user", is_flag=True, default=None, help="Instead: every user at one client.")
@_setting("--rounds", type=click.IntRange(1), help="Federated rounds.")
@_setting("--local-epochs", type=click.IntRange(1), help="A client's passes over its data.")
@_setting("--lr", metavar="LR", type=float, help="Learning rate of the first round.")
@_setting("--momentum", metavar="M", type=float, help="Of a client's SGD.")
@_setting("--weight-decay", metavar="W", type=float, help="Of a client's SGD.")
@_setting("--batch", type=click.IntRange(2), help="Batch size.")
@_setting("--pretrain-epochs", type=click.IntRange(0), help="The server's passes over public data.")
@_setting("--candidates", type=click.IntRange(1), none="from the density", help="Size of the pool.")
@_setting(
    "--adjust-every", type=click.IntRange(1), none="scaled", help="Rounds between mask changes."
)
@_setting(
    "--adjust-until", type=click.IntRange(0), none="scaled", help="Last round of mask changes."
)
@_setting("--aggregate", metavar="HOW", help="Of updates: mean, trimmed-mean or median.")
@_setting("--clip-norm", metavar="L", type=float, none="any", help="Longest update of a client.")
@_setting(
    "--dp-noise",
    metavar="S",
    type=float,
    none="none",
    help="Noise of clients on all they send, in units of --clip-norm.",
)
@_setting("--dp-delta", metavar="D", type=float, help="The δ of differential privacy's ε.")
@_setting(
    "--min-cohort", type=click.IntRange(1), help="Fewest sound answers that change the model."
)
@_setting("--deadline", metavar="S", type=float, none="none", help="Seconds to answer a question.")
@_setting("--seed", type=click.IntRange(0), help="Of everything random.")
@_setting(
    "--engine",
    metavar="NAME",
    help="Who carries messages to the clients: local or flower; the result is the same.",
)
@_setting(
    "--training-engine",
    metavar="NAME",
    help="What computes updates: sparse (a step in C, active weights only), torch, or auto.",
)
@_setting(
    "--workers",
    type=click.IntRange(0),
    none="one a core",
    help="Processes that play the clients; the result does not depend on it.",
)
@_setting(
    "--tensorboard", is_flag=True, default=None, help="Write TensorBoard's event files as well."
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in RUN.")
@output_options
def train(out: Path, resume: bool, **options: Any) -> int:
    """Train one sparse model on many clients' private data.

    The clients are simulated on this machine; every message between them and the server is
    serialized, and counted.
    """
    with session() as run:
        from fedtiny import pipeline

        given = {name: value for name, value in options.items() if value is not None}
        if given.get("alpha") == "iid":
            given["alpha"] = None
        config = TrainConfig(**given)
        try:
            pipeline.train(config, out, resume=resume, progress=run.progress)
        except KeyboardInterrupt:
            if (out / "checkpoints").is_dir():
                run.progress.log("the rounds that were finished are kept; --resume goes on there")
            raise

        from fedtiny.report.run import read_run
        from fedtiny.report.terminal import print_run

        record = read_run(out)
        document = json.loads((out / "run.json").read_text("utf-8"))
        run.show(document, lambda console: print_run(record, console))
    return 0
