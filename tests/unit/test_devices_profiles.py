"""Targets and boards: what ships is valid, and a damaged profile is named clearly."""

from pathlib import Path

import pytest

from fedtiny.devices import profiles
from fedtiny.errors import UsageError

BOARD = """\
description = "A board"
target = "cortex-m4"
cpu = "1 x Arm Cortex-M4F"
clock_hz = 64_000_000
flash_bytes = 1_048_576
sram_bytes = 262_144

[sources]
clock_hz = "datasheet"
flash_bytes = "datasheet"
sram_bytes = "datasheet"
"""


@pytest.mark.quick
def test_shipped_targets():
    known = profiles.targets()
    assert {"c", "cortex-a", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7"} <= set(known)
    assert list(known) == sorted(known)
    assert known["cortex-m4"].isa == ("dsp", "fpu")
    assert known["cortex-m3"].isa == ()
    assert known["cortex-a"].pointer_bytes == 8
    for target in known.values():
        if target.family != "c":
            assert target.zig, "every emulated target can be built from pip alone"


@pytest.mark.quick
def test_shipped_boards():
    board = profiles.board("nucleo-l4r5zi")
    assert (board.clock_hz, board.flash_bytes, board.sram_bytes) == (120_000_000, 2**21, 640 * 1024)
    for board in profiles.boards().values():
        assert board.target in profiles.targets()
        assert board.sources["clock_hz"]
    assert profiles.board("raspberry-pi-zero-2w").flash_bytes is None


@pytest.mark.quick
def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UsageError, match=r"'cortexm4'.*Did you mean 'cortex-m4'"):
        profiles.target("cortexm4")
    with pytest.raises(UsageError, match=r"Did you mean 'nucleo-l4r5zi'\?"):
        profiles.board("nucleo-l4r5z")


@pytest.mark.quick
def test_own_board_file(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    board = profiles.board(str(path))
    assert (board.name, board.target, board.max_latency_ms) == ("mine", "cortex-m4", None)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_hz = 64", "clok_hz = 64", "clock_hz is missing"),
        ("cpu =", "max_latency = 5\ncpu =", "unknown key 'max_latency'.*'max_latency_ms'"),
        ("clock_hz = 64_000_000", 'clock_hz = "64 MHz"', "clock_hz is '64 MHz'; accepted"),
        ("sram_bytes = 262_144", "sram_bytes = -1", "sram_bytes is -1"),
        ("sram_bytes = 262_144", "sram_bytes = true", "sram_bytes is True"),
        ("cpu =", "max_latency_ms = 5\ncpu =", "max_latency_ms has no source"),
        ("cpu =", "max_latency_ms = nan\ncpu =", "max_latency_ms is nan"),
        ("flash_bytes = 1_048_576\n", "", "cites flash_bytes, which is not given"),
        ('sram_bytes = "datasheet"', "", "sram_bytes has no source"),
        ('sram_bytes = "datasheet"', 'sram_bytes = ""', "sources.sram_bytes is ''"),
        ('clock_hz = "datasheet"', 'clock_hz = "d"\ncpu = "d"', "number under .sources. 'cpu'"),
        ('target = "cortex-m4"', 'target = "m4"', "unknown target 'm4'"),
        ("[sources]", "[sources", "cannot read the profile"),
    ],
)
def test_damaged_board_file(tmp_path: Path, old: str, new: str, message: str):
    path = tmp_path / "mine.toml"
    assert old in BOARD
    path.write_text(BOARD.replace(old, new))
    with pytest.raises(UsageError, match=message) as caught:
        profiles.board(str(path))
    assert "mine.toml" in str(caught.value)


@pytest.mark.quick
def test_missing_board_file(tmp_path: Path):
    with pytest.raises(UsageError, match=r"none\.toml: No such file"):
        profiles.board(str(tmp_path / "none.toml"))
