"""Plug-ins found by enumerating a folder: one file is one thing, named after its file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from fedtiny.errors import unknown_name


def names(package: str) -> tuple[str, ...]:
    """Names of the plug-ins of a package, sorted: `resnet8_stride2.py` is ``"resnet8-stride2"``.

    Only the package itself is imported, so that listing is quick.

    Args:
        package: Dotted name, for example ``"fedtiny.models.networks"``.
    """
    paths: Sequence[str] = importlib.import_module(package).__path__
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(paths)))


def load(package: str, kind: str, name: str, also: Sequence[str] = ()) -> ModuleType:
    """Import the plug-in of a name.

    Args:
        package: Dotted name of the package that holds it.
        kind: What it is, for the error, for example ``"model"``.
        name: Its name, with dashes.
        also: What else the user may write, for the error.

    Raises:
        UsageError: There is none of that name.
    """
    known = names(package)
    if name not in known:
        raise unknown_name(kind, name, (*known, *also))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")
