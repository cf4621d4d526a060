"""How long work tells a person where it is; the CLI shows it, a library call stays silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Task:
    """One piece of work of known or unknown length; this base class shows nothing."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Say that `steps` more are done; `note` replaces the text beside the bar."""

    def start_at(self, steps: int) -> None:
        """Say that so many were done before, which says nothing of how long the rest takes."""


class Progress:
    """Where long functions report; this base class shows nothing."""

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        """Show a piece of work while the `with` block runs."""
        yield Task()

    def log(self, message: str) -> None:
        """One line that stays on screen."""


SILENT = Progress()
