"""`--config FILE.toml`: the options of a command from a file; the command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedtiny.errors import UsageError, unknown_name
from fedtiny.reading import read_toml

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "float": (int, float),
    "text": (str,),
    "alpha": (int, float, str),
}

_WORDS = {int: "a whole number", float: "a number", str: "a string"}


def config_option(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """Click callback (eager) that makes a file's values the defaults of the command.

    Raises:
        UsageError: The file cannot be read, has an unknown key or a value of the wrong type.
    """
    if value is None:
        return
    known = {_key(item): item for item in context.command.params if _settable(item, option)}
    defaults: dict[str, Any] = {}
    for written, content in _read(value).items():
        item = known.get(written.replace("_", "-"))
        if item is None or item.name is None:
            raise UsageError(f"{value}: {unknown_name('option', written, known)}")
        defaults[item.name] = _checked(content, item, f"{value}: {written}")
    context.default_map = defaults


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a TOML file: {error}.") from None


def _key(item: click.Parameter) -> str:
    return max(item.opts, key=len).lstrip("-")


def _settable(item: click.Parameter, config: click.Parameter) -> bool:
    return isinstance(item, click.Option) and item.expose_value and item is not config


def _checked(content: Any, item: click.Parameter, where: str) -> Any:
    if item.multiple:
        if isinstance(content, str):
            return [content]
        if isinstance(content, list) and all(isinstance(part, str) for part in content):
            return content
        raise UsageError(f"{where} is {content!r}; accepted is a list of strings.")
    if isinstance(item, click.Option) and item.is_flag:
        if not isinstance(content, bool):
            raise UsageError(f"{where} is {content!r}; accepted is true or false.")
        return content
    name = item.type.name.removesuffix(" range")
    accepted = _TYPES.get(name, (str,))
    if isinstance(content, bool) or not isinstance(content, accepted):
        kind = " or ".join(
            _WORDS[part] for part in accepted if part is not int or name == "integer"
        )
        raise UsageError(f"{where} is {content!r}; accepted is {kind}.")
    return content
