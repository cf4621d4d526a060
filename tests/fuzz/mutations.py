"""Damage: bytes of any file, values of a tree (JSON, flatbuffer objects), fields of a protobuf."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1)
NUMBERS = (0, 1, -1, 2, 255, -128, 1 << 16, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, 10**30)
REALS = (0.0, -0.0, 0.5, 1e-45, 1e38, -1e308, float("inf"), float("nan"))
TEXTS = ("", "x" * 300, "\x1b[2J\n", "../../x", "\u0430\u202e", "int8", "float32", "0")


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three flips, overwrites, cuts, copies, insertions, or extreme numbers."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if len(damaged) >= 8:
            _damage_once(damaged, rng)
    return bytes(damaged)


def _damage_once(data: bytearray, rng: random.Random) -> None:
    at, kind, length = rng.randrange(len(data)), rng.randrange(7), rng.randint(1, 16)
    other = rng.randrange(len(data))
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.randrange(256)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at : at + length] = data[other : other + length]
    elif kind == 4:
        data[at:at] = rng.randbytes(length)
    elif kind == 5:
        del data[at : at + length]
    else:
        at -= at % 4
        data[at : at + 4] = rng.choice(EXTREMES).to_bytes(4, "little")


_FIRST = {FieldDescriptor.CPPTYPE_STRING: "", FieldDescriptor.CPPTYPE_FLOAT: 0.0}
"""What a repeated field that is empty may begin with, by its type; else 0."""

Place = tuple[Callable[[], Any], Callable[[Any], None], Callable[[], None]]
"""How to get, set and remove one value of a tree."""


def places(tree: Any) -> Iterator[Place]:
    """Every value inside a tree of lists, dictionaries and objects, outer ones first."""
    pending = [tree]
    while pending:
        parent = pending.pop()
        if isinstance(parent, list):
            keys: list[Any] = list(range(len(parent)))
        elif isinstance(parent, dict):
            keys = list(parent)
        elif hasattr(parent, "__dict__"):
            parent = parent.__dict__
            keys = list(parent)
        else:
            continue
        for key in keys:
            pending.append(parent[key])
            yield (
                lambda parent=parent, key=key: parent[key],
                lambda value, parent=parent, key=key: parent.__setitem__(key, value),
                lambda parent=parent, key=key: parent.__delitem__(key),
            )


def damage_tree(tree: Any, rng: random.Random) -> None:
    """Change, remove, exchange or retype one to three values of a tree, in place."""
    for _ in range(rng.randint(1, 3)):
        found = list(places(tree))
        if not found:
            return
        get, put, remove = rng.choice(found)
        value, kind = get(), rng.randrange(8)
        if kind == 0:
            remove()
        elif kind == 1:
            put(copy.deepcopy(rng.choice(found)[0]()))
        elif kind == 2 and isinstance(value, list) and value:
            value.insert(rng.randrange(len(value) + 1), rng.choice(value))
        elif kind == 3:
            put(rng.choice((None, True, [], {}, [[]], "1", 1.5, -1)))
        else:
            put(_another(value, rng))


def _another(value: Any, rng: random.Random) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return rng.choice((*REALS, -value, value * 1e9))
    if isinstance(value, str):
        return rng.choice((*TEXTS, value + "x", value[1:]))
    if isinstance(value, bytes):
        return rng.choice((b"", value[1:], value + b"\xff", b"\x1b\n"))
    if isinstance(value, (list, dict)):
        return rng.choice(([], {}, None))
    if isinstance(value, int):
        return rng.choice((*NUMBERS, value + 1, value - 1, -value, value * 1000))
    return None


def damage_message(message: Message, rng: random.Random) -> None:
    """Change one to three fields of a protobuf, somewhere in it, in place."""
    for _ in range(rng.randint(1, 3)):
        inside = message
        while True:
            below = list(_messages(inside))
            if not below or rng.random() < 0.25:
                break
            inside = rng.choice(below)
        _damage_field(inside, rng)


def _messages(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from value if field.is_repeated else (value,)


def _damage_field(message: Message, rng: random.Random) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    present = [known for known, _ in message.ListFields()]
    if present and rng.random() < 0.8:
        field = rng.choice(present)
    if rng.random() < 0.15:
        message.ClearField(field.name)
        return
    container = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if not field.is_repeated:
            container.SetInParent()
        elif len(container) and rng.random() < 0.5:
            del container[rng.randrange(len(container))]
        elif len(container):
            container.add().CopyFrom(rng.choice(container))
        else:
            container.add()
        return
    if field.is_repeated and len(container) and rng.random() < 0.3:
        del container[rng.randrange(len(container))]
        return
    if not field.is_repeated:
        value: Any = container
    elif len(container):
        value = container[0]
    else:
        value = _FIRST.get(field.cpp_type, 0)
    made = _another(value, rng)
    try:
        if not field.is_repeated:
            setattr(message, field.name, made)
        elif len(container) and rng.random() < 0.5:
            container[rng.randrange(len(container))] = made
        else:
            container.append(made)
    except (TypeError, ValueError, UnicodeError):
        message.ClearField(field.name)  # a number that its type does not hold
