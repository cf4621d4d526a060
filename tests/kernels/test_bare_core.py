"""Emulated cores without a program: what they count, and what they catch."""

import shutil
import struct
from collections.abc import Iterator

import pytest

from fedtiny.devices import profiles
from fedtiny.devices.bare_core import BareCore, open_core
from fedtiny.devices.elf import Elf
from fedtiny.errors import RunnerError

NAMES = ["cortex-m4", "cortex-m55"]


@pytest.fixture(params=NAMES)
def core(request: pytest.FixtureRequest) -> Iterator[BareCore]:
    target = profiles.target(request.param)
    if "unicorn" not in target.emulators and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    opened = open_core(target)
    yield opened
    opened.close()


def run(core: BareCore, *code: int) -> tuple[int, int, bool]:
    """Status, instructions, and whether registers were kept, of 16-bit instructions."""
    at, stack = core.memory.flash_origin + 0x100, core.memory.ram_origin + 0x1000
    core.write(at, struct.pack(f"<{len(code)}H", *code))
    done = core.call(at, 7, stack)
    return done.status, done.instructions, done.kept


MOVS_R1_200, SUBS_R1_1, BNE_BACK, BX_LR = 0x21C8, 0x3901, 0xD1FD, 0x4770
MOVS_R4_0, UDF = 0x2400, 0xDE00


def test_every_instruction_counts_once(core: BareCore) -> None:
    for _ in range(2):
        assert run(core, MOVS_R1_200, SUBS_R1_1, BNE_BACK, BX_LR) == (7, 2 + 2 * 200, True)


def test_a_register_that_is_not_restored(core: BareCore) -> None:
    assert run(core, MOVS_R4_0, BX_LR) == (7, 2, False)


def test_a_fault(core: BareCore) -> None:
    """An instruction that is never defined."""
    header = b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, *[0] * 10
    )
    core.load(Elf(header.ljust(64, b"\0")))
    with pytest.raises(RunnerError, match="the core faulted in 0x"):
        run(core, MOVS_R1_200, UDF, BX_LR)
