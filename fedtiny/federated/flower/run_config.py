"""A run's options as Flower's run configuration: flat, and without a null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fedtiny.errors import UsageError
from fedtiny.federated.config import PLAYS, TrainConfig

Value = str | int | float | bool


OWN = ("out", "resume")
"""Keys that are no options of the training: see `fedtiny.federated.training.train`."""


def to_run_config(config: TrainConfig) -> dict[str, Value]:
    """The options that are not of this machine; an empty text stands for None."""
    values: dict[str, Value] = {}
    for item in fields(TrainConfig):
        value: Any = getattr(config, item.name)
        if item.name in PLAYS:
            continue
        if isinstance(value, tuple):
            value = ",".join(value)
        values[item.name.replace("_", "-")] = "" if value is None else value
    return values


def from_run_config(values: Mapping[str, Value]) -> TrainConfig:
    """The inverse of `to_run_config`.

    Raises:
        UsageError: A key is missing or unknown, or a value is out of range.
    """
    options: dict[str, Any] = {}
    names = {item.name.replace("_", "-"): item for item in fields(TrainConfig)}
    for key, value in values.items():
        if key in OWN:
            continue
        if key not in names or names[key].name in PLAYS:
            raise UsageError(f"Flower's run configuration has an unknown key {key!r}.")
        item = names[key]
        if isinstance(item.default, tuple):
            options[item.name] = tuple(part for part in str(value).split(",") if part)
        else:
            options[item.name] = None if value == "" else value
    if options.get("alpha") == "iid":
        options["alpha"] = None
    for name in ("data", "model", "density"):
        if options.get(name) is None:
            raise UsageError(f"Flower's run configuration has no {name!r}.")
    return TrainConfig(**options)
