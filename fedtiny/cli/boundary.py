"""Where every command ends: one sentence, the documented exit code, no traceback.

`Command` and `Group` replace click's own ending, so that the console scripts, `python -m fedtiny`
and tests all go through it.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from fedtiny.cli import INTERRUPTED
from fedtiny.errors import FedTinyError

F = TypeVar("F", bound=Callable[..., Any])

DEFECT = 1
USAGE = 2

_INPUT_ERRNOS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Errors of the file system that the user can do something about."""


@dataclass
class Settings:
    """What `--json`, `-q` and `-v` say, wherever on the line they stand."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False


class _Ending(click.Command):
    """Ends a command as this package does instead of as click does."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        words = list(sys.argv[1:] if args is None else args)
        settings = Settings()
        run = super().main
        code = _end(
            lambda: run(words, prog_name, complete_var, False, obj=settings, **extra),
            settings,
            words,
        )
        sys.exit(code)


class Command(_Ending):
    """A command that ends with the documented exit codes."""


class Group(_Ending, click.Group):
    """A group of such commands; an unknown command is answered with the nearest one."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones there are."""
        from fedtiny.errors import unknown_name

        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown_name("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def output_options(function: F) -> F:
    """Add `--json`, `-q` and `-v`; they may stand before or after the command's name."""
    for names, key, help_text in (
        (("-v", "--verbose"), "verbose", "Say more on stderr; show the traceback of a defect."),
        (("-q", "--quiet"), "quiet", "Nothing on stderr but errors."),
        (("--json",), "json", "Print exactly one JSON document on stdout."),
    ):
        function = click.option(
            *names,
            key,
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help=help_text,
        )(function)
    return function


def _remember(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and option.name and isinstance(context.obj, Settings):
        setattr(context.obj, option.name, True)


def _end(run: Callable[[], Any], settings: Settings, words: Sequence[str]) -> int:
    """Run a command and say how it ended.

    Returns:
        The exit code: what the command returned, or the one of its error.
    """
    try:
        code = run()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort):
        message, code = "interrupted.", INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return USAGE
    except click.ClickException as error:
        message, code = _sentence(error.format_message()), USAGE
        if isinstance(error, click.UsageError) and error.ctx:
            message += f" See `{error.ctx.command_path} --help`."
    except FedTinyError as error:
        message, code = _sentence(str(error)), error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0  # whoever read the output has seen enough
    except Exception as error:
        message, code = _unforeseen(error, settings)
    click.echo(f"fedtiny: {message}", err=True)
    if settings.json or "--json" in words:
        click.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    return code


def _unforeseen(error: Exception, settings: Settings) -> tuple[str, int]:
    if isinstance(error, OSError) and error.errno in _INPUT_ERRNOS and error.filename:
        return f"{error.filename}: {error.strerror}.", USAGE
    if settings.verbose:
        traceback.print_exception(error, file=sys.stderr)
        advice = "please report it with the traceback above"
    else:
        advice = "please report it with the output of the same command and -v"
    text = f"{type(error).__name__}: {error}".rstrip(".").replace("\n", " ")
    return f"this is a defect of FedTiny ({text}); {advice}.", DEFECT


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
