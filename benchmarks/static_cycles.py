"""Estimated cycles: what llvm-mca says of every executed block, times how often it ran.

Every block is taken as a loop that repeats: dependencies and the core's ports count, caches and
branches do not. An estimate of what the instructions cost, not of a machine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

MCA = "llvm-mca"
OBJDUMP = "aarch64-linux-gnu-objdump"
CORES = {"A53": "cortex-a55", "A55": "cortex-a55", "A72": "cortex-a72", "A76": "neoverse-n1"}
"""By the name in the tables, the model of the scheduler (that of the A53 is unusable)."""

SHARE = 0.995
"""Of the executed instructions that are estimated; the rest is taken to be alike."""

_ITERATIONS = 100

Blocks = Counter[tuple[int, int]]
"""By address and bytes of a block, how often it ran."""


def available() -> bool:
    """Whether the tools are there."""
    return all(shutil.which(tool) for tool in (MCA, OBJDUMP))


def estimate(image: Path, blocks: Blocks, core: str) -> float:
    """Cycles of one inference.

    Args:
        image: The ELF file.
        blocks: What was executed.
        core: One of `CORES`.
    """
    text = _disassembled(image)
    executed = sorted(blocks.items(), key=lambda item: -item[0][1] * item[1])
    total = sum(size * count for (_, size), count in executed)
    regions: list[str] = []
    counts: list[int] = []
    seen = 0
    for (address, size), count in executed:
        lines = [text[at] for at in range(address, address + size, 4) if at in text]
        regions.append("\n".join([f"# LLVM-MCA-BEGIN b{len(counts)}", *lines, "# LLVM-MCA-END"]))
        counts.append(count)
        seen += size * count
        if seen >= SHARE * total:
            break
    found = subprocess.run(
        [MCA, "-mtriple=aarch64", f"-mcpu={CORES[core]}", f"-iterations={_ITERATIONS}"],
        input="\n".join(regions) + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cycles = [int(n) / _ITERATIONS for n in re.findall(r"Total Cycles:\s+(\d+)", found)]
    weighted = sum(one * count for one, count in zip(cycles, counts, strict=True))
    return weighted * total / seen


def _disassembled(image: Path) -> dict[int, str]:
    """By address, an instruction that an assembler takes: branches go nowhere."""
    listing = subprocess.run(
        [OBJDUMP, "-d", "--no-show-raw-insn", str(image)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for line in listing.splitlines():
        match = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if match is None or match[2].startswith("."):
            continue
        operands = re.sub(r"\s*(//|<).*$", "", match[3])
        if match[2].startswith(("b.", "cb", "tb")) or match[2] in ("b", "bl", "adr", "adrp"):
            operands = re.sub(r"(^|, )[0-9a-f]+$", r"\1.", operands)
        found[int(match[1], 16)] = f"{match[2]} {operands}"
    return found
