"""What a command talks to while it runs: progress on stderr, one result on stdout."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from fedtiny.cli.boundary import Settings
from fedtiny.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from fedtiny.report.model import DeploymentReport


class Session:
    """One running command.

    Attributes:
        settings: `--json`, `-q`, `-v`.
        progress: Where long work reports.
    """

    def __init__(self, settings: Settings, stdout: TextIO, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress
        self._stdout = stdout

    def show(self, document: object, text: Callable[[Console], None]) -> None:
        """Print the result: the document with `--json`, else what `text` prints for people.

        Args:
            document: Anything that `json.dumps` takes.
            text: Prints to a rich console, which is plain when stdout is no terminal.
        """
        if self.settings.json:
            print(json.dumps(document, indent=1, ensure_ascii=False), file=self._stdout)
        else:
            from fedtiny.report.terminal import make_console

            text(make_console(self._stdout))
        self._stdout.flush()

    def tell(self, line: str) -> None:
        """Print one line for people below the result; nothing with `--json`."""
        if not self.settings.json:
            print(line, file=self._stdout, flush=True)

    def finish(self, *reports: DeploymentReport) -> int:
        """Show finished reports and answer with the exit code they mean.

        With `--json` one report is one object and several are a list. A report that failed has
        two keys more than its `report.json`: `error` and `exit_code`.
        """
        from fedtiny.report.terminal import print_report

        documents, failures = [], []
        for report in reports:
            document = json.loads(report.to_json())
            failure = report.failure()
            if failure:
                failures.append(failure)
                document |= {"error": str(failure), "exit_code": failure.exit_code}
            documents.append(document)

        def text(console: Console) -> None:
            for report in reports:
                print_report(report, console)

        self.show(documents[0] if len(documents) == 1 else documents, text)
        for failure in failures:
            click.echo(f"fedtiny: {failure}", err=True)
        return max((failure.exit_code for failure in failures), default=0)


@contextmanager
def session() -> Iterator[Session]:
    """Start the current command's session.

    Whatever else is printed on stdout meanwhile, by a library or by a child process, goes to
    stderr; warnings of libraries are shown with `-v` only.
    """
    from fedtiny.cli.bars import make_progress

    settings = click.get_current_context().obj
    assert isinstance(settings, Settings)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # for `--model package.module:factory`, as `python -m` would have it
    with warnings.catch_warnings(), _own_stdout() as stdout:
        if not settings.verbose:
            warnings.simplefilter("ignore")
        with make_progress(settings) as progress:
            yield Session(settings, stdout, progress)


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    real = sys.stdout
    real.flush()
    try:
        descriptor = real.fileno()
    except (io.UnsupportedOperation, ValueError):
        with redirect_stdout(sys.stderr):
            yield real
        return
    kept = os.dup(descriptor)
    os.dup2(2, descriptor)
    try:
        with (
            redirect_stdout(sys.stderr),
            os.fdopen(os.dup(kept), "w", encoding=real.encoding, errors=real.errors) as stdout,
        ):
            yield stdout
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
