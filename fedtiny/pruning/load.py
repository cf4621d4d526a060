"""A pruning method by name."""

from __future__ import annotations

from typing import cast

from fedtiny import discovery
from fedtiny.federated.config import METHODS
from fedtiny.pruning.method import Method


def method_names() -> tuple[str, ...]:
    """The methods."""
    return discovery.names(METHODS)


def load_method(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UsageError: There is none of that name.
    """
    return cast(type[Method], discovery.load(METHODS, "method", name).Method)
