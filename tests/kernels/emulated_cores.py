"""Emulated cores for tests of kernels: what does not build fails its tests, never skips them.

Tests on QEMU are skipped where it is not installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime.contract import Kernel


def dsp_cores() -> list[tuple[str, str]]:
    """Target and compiler: every installed compiler on Cortex-M4; one on the others."""
    targets = profiles.targets()
    found = [("cortex-m4", kind) for kind in toolchains.available(targets["cortex-m4"])]
    return found + [(name, found[0][1]) for name in ("cortex-m7", "cortex-m33") if found]


def helium_cores() -> list[tuple[str, str]]:
    """Cortex-M55 with every installed compiler, where QEMU is installed."""
    target = profiles.targets()["cortex-m55"]
    if shutil.which(str(target.emulators["qemu"]["command"])) is None:
        return []
    return [(target.name, kind) for kind in toolchains.available(target)]


def opened(core: tuple[str, str], kernels: Sequence[Kernel]) -> Iterator[KernelCore]:
    """What a fixture over pairs of target and compiler yields."""
    name, kind = core
    with KernelCore(profiles.targets()[name], kernels, kind) as made:
        yield made
