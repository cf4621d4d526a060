"""Targets (instruction-set classes) and device profiles (boards with budgets), from TOML files.

A target is one file of `devices/targets/`, a board one file of `devices/boards/`; both are found by
enumeration. A board may also be the user's own TOML file. Files are validated strictly: an unknown
key, a wrong type, a missing number, or a number without its source is a `UsageError`.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fedtiny.devices.pipeline import Pipeline
from fedtiny.errors import UsageError, unknown_name
from fedtiny.reading import read_toml

FAMILIES = ("c", "cortex-a", "cortex-m", "wasm")


@dataclass(frozen=True)
class Target:
    """An instruction-set class that code is generated for (`devices/targets/NAME.toml`).

    Attributes:
        name: For example ``"cortex-m4"``.
        description: One line.
        family: ``"cortex-m"``, ``"cortex-a"``, ``"wasm"`` or ``"c"`` (the machine that FedTiny runs
            on).
        isa: Features that kernels may require, for example ``("dsp",)``.
        pointer_bytes: 4 or 8.
        alignment: Least alignment of arena rows in bytes.
        dtype: Default of `--dtype`.
        runner: Default runner for verification.
        cost: Name of the cost-coefficient set in the kernel table.
        counted: Whether that set predicts instructions; else it only ranks kernels.
        gcc: Command and machine flags of the GNU toolchain, or empty when there is none.
        zig: Machine flags for `zig cc`.
        emulators: By runner name, what that runner needs (CPU model, memory map, machine).
        pipeline: Numbers of `fedtiny.devices.pipeline.Pipeline`; empty where there is no model.
        cycles_per_instruction: By that model, of a slow network; for programs that have not run.
    """

    name: str
    description: str
    family: str
    isa: tuple[str, ...]
    pointer_bytes: int
    alignment: int
    dtype: str
    runner: str
    cost: str
    counted: bool = True
    gcc: tuple[str, ...] = ()
    zig: tuple[str, ...] = ()
    emulators: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    pipeline: Mapping[str, int] = field(default_factory=dict)
    cycles_per_instruction: float = 1.0


@dataclass(frozen=True)
class DeviceProfile:
    """A board, with its budgets and where every number comes from (`devices/boards/NAME.toml`).

    Attributes:
        name: For example ``"nucleo-l4r5zi"``.
        description: One line.
        target: Name of its target.
        cpu: The core and its count, for people.
        clock_hz: Core clock.
        flash_bytes: Storage for code and constants; None where it is no constraint.
        sram_bytes: Memory for arena, stack and static data.
        max_latency_ms: Budget of one inference, or None.
        max_macs: Budget of one inference, or None.
        flash_wait_states: Cycles that an access to the flash adds at `clock_hz`, or None.
        flash_read_bytes: What one access gives, or None.
        train_memory_bytes: Memory that local training may use, or None.
        sources: By field, the citation of the number.
    """

    name: str
    description: str
    target: str
    cpu: str
    clock_hz: int
    flash_bytes: int | None
    sram_bytes: int
    max_latency_ms: float | None = None
    max_macs: int | None = None
    flash_wait_states: int | None = None
    flash_read_bytes: int | None = None
    train_memory_bytes: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def targets() -> dict[str, Target]:
    """Every target, by name, in alphabetical order."""
    return {path.stem: _read_target(path) for path in _files("targets")}


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        UsageError: There is none; the message lists the known ones.
    """
    if name not in targets():
        raise unknown_name("target", name, targets())
    return targets()[name]


@functools.cache
def boards() -> dict[str, DeviceProfile]:
    """Every board that ships with FedTiny, by name, in alphabetical order."""
    return {path.stem: _read_board(path) for path in _files("boards")}


def board(name: str) -> DeviceProfile:
    """The board of that name, or the one described by the user's TOML file.

    Args:
        name: A name of `boards()`, or a path that ends in ``.toml``.

    Raises:
        UsageError: There is no such board or file, or the file is not a valid profile.
    """
    if name.endswith(".toml"):
        return _read_board(Path(name))
    if name not in boards():
        raise unknown_name("device", name, boards())
    return boards()[name]


def _files(folder: str) -> list[Path]:
    root = Path(str(importlib.resources.files("fedtiny.devices"))) / folder
    return sorted(root.glob("*.toml"), key=lambda path: path.stem)


def _read_target(path: Path) -> Target:
    table = _Table(path, _load(path))
    result = Target(
        name=path.stem,
        description=table.text("description"),
        family=table.choice("family", FAMILIES),
        isa=table.texts("isa"),
        pointer_bytes=table.integer("pointer_bytes"),
        alignment=table.integer("alignment"),
        dtype=table.choice("dtype", ("float32", "int8")),
        runner=table.text("runner"),
        cost=table.text("cost"),
        counted=table.optional_boolean("counted", True),
        gcc=table.texts("gcc"),
        zig=table.texts("zig"),
        emulators=table.emulators("emulators"),
        pipeline=table.numbers("pipeline", [field.name for field in fields(Pipeline)]),
        cycles_per_instruction=table.optional_number("cycles_per_instruction") or 1.0,
    )
    table.finish()
    if result.pointer_bytes not in (4, 8):
        raise UsageError(f"{path}: pointer_bytes is {result.pointer_bytes}; accepted: 4, 8.")
    if result.alignment & (result.alignment - 1):
        raise UsageError(f"{path}: alignment is {result.alignment}, not a power of two.")
    return result


def _read_board(path: Path) -> DeviceProfile:
    table = _Table(path, _load(path))
    result = DeviceProfile(
        name=path.stem,
        description=table.text("description"),
        target=table.text("target"),
        cpu=table.text("cpu"),
        clock_hz=table.integer("clock_hz"),
        flash_bytes=table.optional_integer("flash_bytes"),
        sram_bytes=table.integer("sram_bytes"),
        max_latency_ms=table.optional_number("max_latency_ms"),
        max_macs=table.optional_integer("max_macs"),
        flash_wait_states=table.optional_integer("flash_wait_states"),
        flash_read_bytes=table.optional_integer("flash_read_bytes"),
        train_memory_bytes=table.optional_integer("train_memory_bytes"),
        sources=table.sources("sources"),
    )
    table.finish()
    if (result.flash_wait_states is None) != (result.flash_read_bytes is None):
        raise UsageError(f"{path}: flash_wait_states and flash_read_bytes go together.")
    if result.target not in targets():
        raise UsageError(f"{path}: {unknown_name('target', result.target, targets())}")
    numbers = (
        "clock_hz",
        "flash_bytes",
        "sram_bytes",
        "max_latency_ms",
        "max_macs",
        "flash_wait_states",
        "flash_read_bytes",
        "train_memory_bytes",
    )
    for name in numbers:
        given = getattr(result, name) is not None
        if given and name not in result.sources:
            raise UsageError(
                f"{path}: {name} has no source; say under [sources] where the number comes from."
            )
        if not given and name in result.sources:
            raise UsageError(f"{path}: [sources] cites {name}, which is not given.")
    for name in result.sources:
        if name not in numbers:
            raise UsageError(f"{path}: {unknown_name('number under [sources]', name, numbers)}")
    return result


def _load(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read the profile {path}: {reason}.") from error


class _Table:
    """Typed reading of one TOML table; every method takes the key and names it when it is wrong."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path = path
        self.values = values
        self.known: set[str] = set()

    def finish(self) -> None:
        for key in self.values:
            if key not in self.known:
                raise UsageError(f"{self.path}: {unknown_name('key', key, self.known)}")

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, value, "a text")
        return value

    def choice(self, key: str, accepted: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in accepted:
            raise UsageError(f"{self.path}: {unknown_name(key, value, accepted)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, "a list of texts")
        return tuple(value)

    def integer(self, key: str) -> int:
        value = self._take(key)
        if type(value) is not int or value <= 0:
            raise self._wrong(key, value, "a positive whole number")
        return value

    def optional_integer(self, key: str) -> int | None:
        self.known.add(key)
        return self.integer(key) if key in self.values else None

    def optional_boolean(self, key: str, default: bool) -> bool:
        self.known.add(key)
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def optional_number(self, key: str) -> float | None:
        self.known.add(key)
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise self._wrong(key, value, "a positive number")
        return float(value)

    def sources(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        for name, citation in value.items():
            if not isinstance(citation, str) or not citation.strip():
                raise self._wrong(f"{key}.{name}", citation, "a text")
        return value

    def numbers(self, key: str, names: Sequence[str]) -> dict[str, int]:
        """A table that is absent, or has exactly these keys."""
        self.known.add(key)
        value = self.values.get(key, {})
        right = isinstance(value, dict) and sorted(value) in ([], sorted(names))
        if not right or any(type(one) is not int or one < 0 for one in value.values()):
            raise self._wrong(key, value, f"a table of whole numbers: {', '.join(names)}")
        return dict(value)

    def emulators(self, key: str) -> dict[str, dict[str, str | int]]:
        self.known.add(key)
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table of tables")
        for name, settings in value.items():
            if not isinstance(settings, dict):
                raise self._wrong(f"{key}.{name}", settings, "a table")
            for setting, item in settings.items():
                if type(item) not in (str, int):
                    raise self._wrong(f"{key}.{name}.{setting}", item, "a text or a whole number")
        return value

    def _take(self, key: str) -> Any:
        self.known.add(key)
        if key not in self.values:
            raise UsageError(f"{self.path}: {key} is missing.")
        return self.values[key]

    def _wrong(self, key: str, value: object, accepted: str) -> UsageError:
        return UsageError(f"{self.path}: {key} is {value!r}; accepted: {accepted}.")
