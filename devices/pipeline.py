"""Estimated cycles of executed Thumb code, from a model of the core's pipeline.

Every basic block is issued in order, instruction after instruction, as the target's `[pipeline]`
table says (devices/targets/*.toml): how many issue together, what loads and branches take, how long
results are waited for. Executed counts of blocks and of branches that were taken come from the
emulator. Caches of code are taken to hit; what reading constants from flash costs is added by
`wait_cycles`. These are estimates: no core is measured, and Arm documents cycles of Cortex-M4 only.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINE_BYTES = 8
"""What the emulator counts reads of flash by."""


@dataclass(frozen=True)
class Pipeline:
    """A core's pipeline, in cycles (the table `[pipeline]` of a target).

    Attributes:
        width: Instructions that may issue together; at most one of them multiplies, one branches.
        memory_ports: Loads and stores that may issue together.
        load: Until the result of a load can be used.
        load_issue: A load that does not follow another load or store keeps the pipeline this long.
        words: Words that a load of several moves a cycle, after a first cycle of `several`.
        several: Of a load or store of several words.
        multiply: Until a product can be used, but by a following accumulation.
        divide: A division, typical.
        float_divide: A division or root of floats.
        taken: What a taken branch adds.
        mispredicted: What the rarer direction of a conditional branch adds, where branches are
            predicted; 0 where `taken` says all.
    """

    width: int
    memory_ports: int
    load: int
    load_issue: int
    words: int
    several: int
    multiply: int
    divide: int
    float_divide: int
    taken: int
    mispredicted: int


@dataclass(frozen=True)
class _Instruction:
    """What the model needs to know of an instruction."""

    kind: str  # load, store, several, multiply, divide, float_divide, branch or plain
    words: int
    reads: frozenset[int]
    writes: frozenset[int]
    chained: bool  # adds to what it reads


@dataclass(frozen=True)
class Block:
    """A basic block that was executed.

    Attributes:
        address: Where it begins.
        code: Its bytes.
    """

    address: int
    code: bytes


class Estimator:
    """Cycles of blocks on one core."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Make an estimator from a target's table.

        Raises:
            TypeError: The table has other keys than `Pipeline`.
        """
        self.pipeline = Pipeline(**numbers)
        capstone: Any = importlib.import_module("capstone")
        self._capstone = capstone
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        self._decoder = capstone.Cs(capstone.CS_ARCH_ARM, mode)
        self._decoder.detail = True
        self._decoder.skipdata = True
        self._known: dict[Block, tuple[int, bool]] = {}

    def cycles(self, block: Block, runs: int, taken: int) -> float:
        """Of all runs of a block, at whose end a branch was taken so often."""
        if block not in self._known:
            instructions = self._instructions(block)
            conditional = bool(instructions) and instructions[-1].kind == "branch"
            self._known[block] = self._issue(instructions), conditional
        once, conditional = self._known[block]
        rarer = min(taken, runs - taken) if conditional else 0
        p = self.pipeline
        return float(once * runs + p.taken * taken + p.mispredicted * rarer)

    def _issue(self, instructions: Sequence[_Instruction]) -> int:
        """Cycles from the first instruction's issue to the issue after the last."""
        p = self.pipeline
        ready: dict[int, tuple[int, bool]] = {}  # by register: from when on, and of a product
        cycle, group = 0, list[_Instruction]()
        before_memory = False
        for one in instructions:
            start = max((self._ready(one, r, ready) for r in one.reads), default=0)
            if start > cycle or not self._joins(one, group):
                cycle = max(cycle + (1 if group else 0), start)
                group = []
            group.append(one)
            result = cycle + 1
            length = 1
            if one.kind == "load":
                length = 1 if before_memory else p.load_issue
                result = cycle + max(length, p.load)
            elif one.kind == "several":
                length = p.several + -(-one.words // p.words)
                result = cycle + max(length, p.load)
            elif one.kind == "multiply":
                result = cycle + p.multiply
            elif one.kind in ("divide", "float_divide"):
                length = p.divide if one.kind == "divide" else p.float_divide
                result = cycle + length
            if length > 1:
                cycle, group = cycle + length, []
            before_memory = one.kind in ("load", "store")
            ready |= dict.fromkeys(one.writes, (result, one.kind == "multiply"))
        return cycle + (1 if group else 0)

    def _ready(
        self, one: _Instruction, register: int, ready: Mapping[int, tuple[int, bool]]
    ) -> int:
        when, product = ready.get(register, (0, False))
        chained = product and one.kind == "multiply" and one.chained and register in one.writes
        return when - self.pipeline.multiply + 1 if chained else when

    def _joins(self, one: _Instruction, group: Sequence[_Instruction]) -> bool:
        """Whether an instruction may issue with those of this cycle."""
        p = self.pipeline
        if not group or len(group) >= p.width or "branch" in {other.kind for other in group}:
            return False
        if one.kind == "several" or any(
            one.reads & o.writes or one.writes & o.writes for o in group
        ):
            return False
        kinds = [other.kind for other in group]
        if one.kind in ("load", "store"):
            return sum(kind in ("load", "store") for kind in kinds) < p.memory_ports
        return one.kind == "branch" or one.kind not in kinds or one.kind == "plain"

    def _instructions(self, block: Block) -> list[_Instruction]:
        found = self._decoder.disasm(block.code, block.address)
        return [self._describe(one) for one in found]

    def _describe(self, one: Any) -> _Instruction:
        if one.id == 0:  # data, or an instruction that the decoder does not know
            return _Instruction("plain", 0, frozenset(), frozenset(), False)
        reads, writes = (frozenset(registers) for registers in one.regs_access())
        name = str(one.mnemonic).partition(".")[0]
        ignored = {self._capstone.arm.ARM_REG_PC, self._capstone.arm.ARM_REG_CPSR}
        kind, words = _kind(name), 0
        if kind == "several":
            words = _words(name, one.op_str, len(reads | writes))
        branches = self._capstone.arm.ARM_REG_PC in writes or name in _BRANCHES
        if branches and kind == "plain":
            kind = "branch"
        chained = kind == "multiply" and bool(reads & writes)
        return _Instruction(kind, words, reads - ignored, writes - ignored, chained)


_BRANCHES = ("b", "bl", "bx", "blx", "cbz", "cbnz")
_SEVERAL = ("ldm", "stm", "push", "pop", "ldrd", "strd", "vpush", "vpop", "vldm", "vstm", "tb")
_MULTIPLIES = (
    "mul",
    "mla",
    "mls",
    "sml",
    "smm",
    "smu",
    "uml",
    "umu",
    "uma",
    "vmul",
    "vmla",
    "vfma",
)


def _kind(name: str) -> str:
    if name.startswith(_SEVERAL):
        return "several"
    if name.startswith(("ldr", "vldr")):
        return "load"
    if name.startswith(("str", "vstr")):
        return "store"
    if name.startswith(_MULTIPLIES):
        return "multiply"
    if name.startswith(("vdiv", "vsqrt")):
        return "float_divide"
    return "divide" if name.startswith(("sdiv", "udiv")) else "plain"


def _words(name: str, operands: str, registers: int) -> int:
    """Words that an instruction moves."""
    if name.startswith(("ldrd", "strd")):
        return 2
    if name.startswith("tb"):
        return 1
    return operands.partition("{")[2].count(",") + 1 if "{" in operands else registers


def wait_cycles(lines: int, wait_states: int, read_bytes: int) -> float:
    """What reading constants from flash adds.

    Args:
        lines: Reads of another `LINE_BYTES` bytes than the read before.
        wait_states: Of one access at the core's clock.
        read_bytes: That the flash gives at once.
    """
    return lines * wait_states * min(LINE_BYTES / read_bytes, 1.0)
