"""Progress on stderr: rich bars on a terminal, sparse plain lines elsewhere, nothing with `-q`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedtiny.cli.boundary import Settings
from fedtiny.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_EVERY_S = 10.0
"""Without a terminal, one task prints at most one line in this time."""


@contextmanager
def make_progress(settings: Settings) -> Iterator[Progress]:
    """Choose how progress is shown, and clear the bars at the end."""
    if settings.quiet:
        yield SILENT
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            yield BarProgress(bars, settings.verbose)
    else:
        yield LineProgress(settings.verbose)


class _BarTask(Task):
    def __init__(self, bars: Bars, identity: TaskID) -> None:
        self._bars = bars
        self._identity = identity

    def advance(self, steps: int = 1, note: str = "") -> None:
        if note:
            self._bars.update(self._identity, advance=steps, note=note)
        else:
            self._bars.update(self._identity, advance=steps)

    def start_at(self, steps: int) -> None:
        self._bars.reset(self._identity, completed=steps)


class BarProgress(Progress):
    """One rich bar a task; with `-v` a finished task leaves a line with its time."""

    def __init__(self, bars: Bars, verbose: bool) -> None:
        self._bars = bars
        self._verbose = verbose

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        """Show a bar while the block runs."""
        start = time.monotonic()
        identity = self._bars.add_task(title, total=total, note="")
        try:
            yield _BarTask(self._bars, identity)
        finally:
            self._bars.remove_task(identity)
        if self._verbose:
            self.log(f"{title}: {time.monotonic() - start:.1f} s")

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(message, markup=False, highlight=False)


class _LineTask(Task):
    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self._done = self._before = 0
        self._start = time.monotonic()
        self._next = self._start + LINE_EVERY_S

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_EVERY_S
        count = f"{self._done}/{self._total}" if self._total else f"{self._done}"
        words = " ".join(part for part in (f"{self._title}:", count, note) if part)
        _line(", ".join(part for part in (words, self._left(now)) if part))

    def start_at(self, steps: int) -> None:
        self._done = self._before = steps

    def _left(self, now: float) -> str:
        """The time that the rest takes at the pace so far."""
        done = self._done - self._before
        rest = (self._total or 0) - self._done
        if not done or rest <= 0:
            return ""
        seconds = round((now - self._start) / done * rest)
        if seconds < 60:
            return f"{seconds} s left"
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


class LineProgress(Progress):
    """A line when a task starts, one now and then while it runs; with `-v` its time at the end."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    @contextmanager
    def task(self, title: str, total: int | None = None) -> Iterator[Task]:
        """Say that the task starts."""
        start = time.monotonic()
        _line(title)
        yield _LineTask(title, total)
        if self._verbose:
            _line(f"{title}: {time.monotonic() - start:.1f} s")

    def log(self, message: str) -> None:
        """Print a line."""
        _line(message)


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
