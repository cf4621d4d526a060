"""Versions that a run's results depend on."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """By package name; Python's own too."""
    found = {name: metadata.version(name) for name in ("fedtiny", "torch", "numpy")}
    return found | {"python": platform.python_version()}
