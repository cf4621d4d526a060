"""Where compilers and helpers keep what they built: one folder of the user's cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fedtiny.errors import RunnerError


def cache_folder(name: str) -> Path:
    """A folder below the user's cache, made when it is missing.

    `FEDTINY_CACHE_DIR` names another place.

    Raises:
        RunnerError: The folder cannot be made.
    """
    if given := os.environ.get("FEDTINY_CACHE_DIR"):
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "fedtiny"
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches/fedtiny"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedtiny"
    folder = base / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunnerError(
            f"cannot make the cache folder {folder}: {error.strerror}; "
            "set FEDTINY_CACHE_DIR to a folder that can be written."
        ) from error
    return folder
