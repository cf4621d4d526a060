"""Frozen dataclasses to JSON values and back, checking every field on the way in.

Keys that a class does not know are ignored, so that an older FedTiny reads a file to which a newer
one only added.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fedtiny.errors import UsageError

T = TypeVar("T")

_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def encode(value: object) -> object:
    """Turn a dataclass, and everything in it, into what `json.dumps` takes; mappings are sorted."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: encode(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(value[key]) for key in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, int, float)):
        return value.item()  # a numpy scalar
    return value


def decode(kind: type[T], value: object, where: str) -> T:
    """Make a `kind` of a JSON value.

    Args:
        kind: A dataclass.
        value: What `json.loads` gave.
        where: Path to the value, for errors.

    Raises:
        UsageError: A field is missing or has the wrong type; the message names it.
    """
    result = _decode(kind, value, where)
    assert isinstance(result, kind)
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(kind, value, where)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(args, value, where)
    if origin is Literal:
        if value not in args:
            raise _wrong(where, " or ".join(map(repr, args)), value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, "a list", value)
        return tuple(_decode(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return {key: _decode(args[1], item, f"{where}.{key}") for key, item in value.items()}
    return _decode_plain(kind, value, where)


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    arguments = {}
    for item in fields(kind):
        if item.name in value:
            hint = _hints(kind)[item.name]
            arguments[item.name] = _decode(hint, value[item.name], f"{where}: {item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise UsageError(f"{where}: {item.name!r} is missing.")
    return kind(**arguments)


def _decode_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    kinds = [kind for kind in options if kind is not type(None)]
    if int in kinds and isinstance(value, int) and not isinstance(value, bool):
        return value
    return _decode(kinds[-1], value, where)


def _decode_plain(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(where, _NAMES.get(kind, str(kind)), value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return value


def _wrong(where: str, accepted: str, value: object) -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return UsageError(f"{where} is {shown}; accepted is {accepted}.")
