"""Builds an export's `c/` folder into an image: bare metal for emulators, or a host program."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fedtiny.devices.elf import Elf
from fedtiny.devices.model_tables import SYMBOL
from fedtiny.devices.runner import BuildInfo
from fedtiny.devices.stack_bound import ENTRY, StackBound, UnknownStackError
from fedtiny.devices.toolchains import Toolchain
from fedtiny.errors import RunnerError, UsageError

EXAMPLE = "main.c"
"""The export's example program; it is not part of an image."""

FOLDER = "bare_metal"
"""The export's example image; neither is its folder part of one."""

SUPPORT = Path(str(importlib.resources.files("fedtiny.devices"))) / "support"


@dataclass(frozen=True)
class MemoryMap:
    """Where an image is linked to; addresses and sizes in bytes."""

    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int


def build_bare(
    toolchain: Toolchain,
    source: Path,
    work: Path,
    memory: MemoryMap,
    entry: str,
    keep: Sequence[str] = (),
    harness: Sequence[str] = (),
    define: Sequence[str] = (),
) -> BuildInfo:
    """Build a bare-metal image.

    Args:
        toolchain: What compiles it.
        source: An export's `c/` folder.
        work: Where objects and the image go; made when it is missing.
        memory: The machine's memory.
        entry: Entry symbol.
        keep: Further symbols that must stay in the image.
        harness: Files of `devices/support/` to link with; not counted as the model's.
        define: Preprocessor definitions for the harness.

    Raises:
        RunnerError: The build failed.
    """
    objects = _compile(toolchain, source, work, harness, define)
    script = work / "image.ld"
    script.write_text(linker_script(memory), encoding="utf-8")
    image = work / "image.elf"
    toolchain.link(objects, image, script, entry, keep)
    return _measure(toolchain, image)


def linker_script(memory: MemoryMap) -> str:
    """The text of a linker script for a machine's memory."""
    text = (SUPPORT / "image.ld").read_text(encoding="utf-8")
    for name, value in vars(memory).items():
        text = text.replace(f"@{name.upper()}@", f"0x{value:x}")
    return text


def build_host(toolchain: Toolchain, source: Path, work: Path, harness: Sequence[str]) -> BuildInfo:
    """Build a program of this machine; the arguments are those of `build_bare`.

    Raises:
        RunnerError: The build failed.
    """
    objects = _compile(toolchain, source, work, harness, ())
    image = work / ("image.exe" if os.name == "nt" else "image")
    toolchain.link(objects, image)
    return BuildInfo(
        image=image,
        compiler=toolchain.compiler,
        flags=toolchain.flags,
        code_bytes=None,
        constants_bytes=None,
        static_ram_bytes=None,
    )


def model_sources(source: Path) -> list[Path]:
    """The files of an export that are part of its program, in a fixed order.

    Raises:
        UsageError: The folder is not an export's `c/` folder.
    """
    if not (source / "model.h").is_file():
        raise UsageError(f"{source} is not an exported C program: it has no model.h.")
    files = [path for path in source.rglob("*") if path.suffix in (".c", ".S") and path.is_file()]
    others = source / EXAMPLE, source / FOLDER
    return sorted(p for p in files if p not in others and p.parent not in others)


def _compile(
    toolchain: Toolchain, source: Path, work: Path, harness: Sequence[str], define: Sequence[str]
) -> list[Path]:
    include = [source]
    if (source / "include").is_dir():
        include.append(source / "include")
    if not toolchain.headers:
        include.append(SUPPORT / "libc")
    jobs: list[tuple[Path, Path, Sequence[Path], Sequence[str]]] = []
    for path in model_sources(source):
        name = "_".join(path.relative_to(source).parts)
        jobs.append((path, work / f"model_{name}.o", include, ()))
    for name in harness:
        jobs.append((SUPPORT / name, work / f"harness_{name}.o", [*include, SUPPORT], define))
    if not toolchain.memory:
        path = SUPPORT / "libc" / "memory.c"
        jobs.append((path, work / "library_memory.c.o", include, ()))
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunnerError(f"cannot make the build folder {work}: {error.strerror}.") from error
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(lambda job: toolchain.compile(*job), jobs):
            pass
    return [job[1] for job in jobs]


def _measure(toolchain: Toolchain, image: Path) -> BuildInfo:
    elf = Elf.load(image)
    sizes = {
        name: elf.section_bytes(f".{name}") for name in ("model_code", "model_constants", "library")
    }
    static = sum(
        elf.address(f"__model_{part}_end") - elf.address(f"__model_{part}_start")
        for part in ("data", "bss")
    )
    code = elf.sections.get(".model_code")
    functions: dict[str, int] = {}
    if code is not None:
        for symbol in elf.functions:
            if code.address <= symbol.address < code.address + code.size:
                name = f"model_code.{symbol.name}"
                functions[name] = functions.get(name, 0) + symbol.size
    return BuildInfo(
        image=image,
        compiler=toolchain.compiler,
        flags=toolchain.flags,
        code_bytes=sizes["model_code"] + sizes["library"],
        constants_bytes=sizes["model_constants"],
        static_ram_bytes=static,
        sections={**sizes, **functions},
        stack_bound_bytes=_stack_bound(elf),
    )


def _stack_bound(elf: Elf) -> int | None:
    if not elf.thumb or not {SYMBOL, ENTRY} <= elf.symbols.keys():
        return None
    try:
        return StackBound(elf).total_bytes
    except UnknownStackError:
        return None
