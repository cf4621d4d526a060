"""The part of exported C that starts a Cortex-M: an example image, and the firmware for a board.

c/bare_metal/main.c Makefile toolchain.cmake     the example: one inference, ticks of every layer
c/bare_metal/image.ld startup_cortex_m.c cycle_counter.h        what it needs of a board
c/bare_metal/firmware.c firmware.h board_mps2.c PROTOCOL.md     answers `fedtiny verify` over a UART
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from fedtiny.devices.image import FOLDER, linker_script
from fedtiny.devices.profiles import Target
from fedtiny.devices.runner_qemu import memory_map

EMULATOR = (
    "-machine {machine} -icount shift=0 -display none -monitor none -serial null"
    " -chardev stdio,id=out -semihosting-config enable=on,target=native,chardev=out"
)

_TEMPLATES = ("main.c", "Makefile", "toolchain.cmake")
_SUPPORT = (
    "startup_cortex_m.c",
    "cycle_counter.h",
    "firmware.c",
    "firmware.h",
    "board_mps2.c",
    "PROTOCOL.md",
)


def has(target: Target) -> bool:
    """Whether there is an emulated board of this target, for whose memory images are linked."""
    return target.family == "cortex-m" and "qemu" in target.emulators


def texts(target: Target, render: Callable[[str, dict[str, Any]], str]) -> dict[str, str]:
    """Files of the folder, by their place in the export's `c/`.

    Args:
        target: One that `has` says yes to.
        render: Fills in a template, given its name and what it does not know of the target.
    """
    support = Path(str(resources.files("fedtiny.devices"))) / "support"
    board = target.emulators["qemu"]
    found = {name: (support / name).read_text("utf-8") for name in _SUPPORT}
    found["image.ld"] = linker_script(memory_map(target))
    values = {"machine": target.gcc[1:], "board": board, "emulator": EMULATOR.format(**board)}
    found |= {name: render(f"{FOLDER}/{name}", values) for name in _TEMPLATES}
    return {f"{FOLDER}/{name}": text for name, text in found.items()}
