"""Targets (instruction-set classes) and device profiles (boards with budgets), from TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """An instruction-set class that code is generated for (`devices/targets/NAME.toml`).

    Attributes:
        name: For example ``"cortex-m4"``.
        description: One line.
        family: ``"cortex-m"``, ``"cortex-a"``, ``"x86-64"`` or ``"c"``.
        isa: Features that kernels may require, for example ``("dsp",)``.
        pointer_bytes: 4 or 8.
        alignment: Least alignment of arena rows in bytes.
        dtype: Default of `--dtype`.
        runner: Default runner for verification.
        cost: Name of the cost-coefficient set in the kernel table.
        gcc: Command and machine flags of the GNU toolchain, or empty when there is none.
        zig: Machine flags for `zig cc`.
        emulators: By runner name, what that runner needs (CPU model, memory map, machine).
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
    gcc: tuple[str, ...] = ()
    zig: tuple[str, ...] = ()
    emulators: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)


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
    train_memory_bytes: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
