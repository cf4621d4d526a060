"""C compilers for the targets: an installed GNU toolchain, else zig from its Python package.

A toolchain compiles C or assembly sources to objects and links them, bare metal, by a linker script
for Cortex-M and AArch64, or into a program of this machine for target ``c``. Which compiler made an
image, and with which flags, is part of its `BuildInfo`: instruction counts differ by compiler.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedtiny.devices.cache import cache_folder
from fedtiny.devices.profiles import Target
from fedtiny.errors import RunnerError, unknown_name

KINDS = ("gcc", "zig")
ENVIRONMENT = "FEDTINY_TOOLCHAIN"

BARE_FAMILIES = ("cortex-a", "cortex-m")
"""Whose programs are built without an operating system."""

_COMPILE = ("-std=c99", "-O2", "-g0", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections")
_BARE = (
    "-ffreestanding",
    "-fno-pie",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
_TIMEOUT_S = 600  # zig builds its compiler-rt at the first link for a target


@dataclass(frozen=True)
class Toolchain:
    """A compiler with the flags of one target.

    Attributes:
        kind: ``"gcc"`` or ``"zig"``.
        command: The command up to its first flag.
        compiler: Name and version, for example ``"arm-none-eabi-gcc 12.2.1"``.
        flags: Compiler flags, in order, without paths.
        bare: Whether programs run without an operating system.
        headers: Whether it brings `string.h` for the target.
        memory: Whether it brings `memcpy` and its kin for the target.
    """

    kind: str
    command: tuple[str, ...]
    compiler: str
    flags: tuple[str, ...]
    bare: bool
    headers: bool
    memory: bool

    def compile(
        self,
        source: Path,
        target: Path,
        include: Sequence[Path] = (),
        define: Sequence[str] = (),
    ) -> None:
        """Compile one C or assembly source to an object file.

        Raises:
            RunnerError: The compiler refused it; the message holds the first error.
        """
        flags = [*self.flags, *(f"-D{name}" for name in define)]
        if source.suffix == ".S":
            flags = [flag for flag in flags if not flag.startswith("-std=")]
        paths = [f"-I{folder}" for folder in include]
        self._run([*flags, *paths, "-c", str(source), "-o", str(target)], f"compile {source.name}")

    def link(
        self,
        objects: Sequence[Path],
        image: Path,
        script: Path | None = None,
        entry: str | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        """Link objects; what is reachable neither from `entry` nor from `keep` is dropped.

        Args:
            objects: Object files.
            image: The program to write.
            script: Linker script, for bare-metal programs.
            entry: Entry symbol, for bare-metal programs.
            keep: Further symbols that must stay.

        Raises:
            RunnerError: Linking failed.
        """
        flags = [flag for flag in self.flags if not flag.startswith("-std=")]
        if script is not None:
            flags += [f"-Wl,-T,{script}", f"-Wl,-e,{entry}", "-Wl,--gc-sections"]
            flags += [f"-Wl,-u,{symbol}" for symbol in keep]
            if self.kind == "gcc":
                flags += ["-static", "-no-pie", "-nostartfiles", "-Wl,--build-id=none"]
                flags += [] if self.memory else ["-nodefaultlibs"]
        files = [str(path) for path in objects]
        library = ["-lgcc"] if self.kind == "gcc" and self.bare and not self.memory else []
        library += [] if self.bare else ["-lm"]
        self._run([*flags, *files, *library, "-o", str(image)], f"link {image.name}")

    def shared(self, source: Path, library: Path) -> None:
        """Build one C source into a shared library of this machine.

        Raises:
            RunnerError: The build failed.
        """
        arguments = [*self.flags, "-shared", "-fPIC", str(source), "-o", str(library)]
        self._run(arguments, f"build {source.name}")

    def _run(self, arguments: list[str], action: str) -> None:
        result = _execute([*self.command, *arguments], _TIMEOUT_S)
        if result.returncode != 0:
            raise RunnerError(f"{self.compiler} could not {action}: {_first_error(result)}")


def find(target: Target, choice: str | None = None) -> Toolchain:
    """The toolchain for a target.

    Args:
        target: What programs are built for.
        choice: ``"gcc"`` or ``"zig"``; None takes the environment variable FEDTINY_TOOLCHAIN, and
            without it an installed GNU toolchain before zig.

    Raises:
        UsageError: `choice` is not a known toolchain.
        RunnerError: It is not installed; the message says how to get it.
    """
    choice = choice or os.environ.get(ENVIRONMENT) or None
    if choice is not None and choice not in KINDS:
        raise unknown_name("toolchain", choice, KINDS)
    gcc = shutil.which(target.gcc[0]) if target.gcc else None
    if choice == "gcc" and gcc is None:
        wanted = target.gcc[0] if target.gcc else "a GNU toolchain"
        raise RunnerError(
            f"{wanted} is not on the PATH; install it, or use zig: pip install ziglang."
        )
    if gcc is not None and choice != "zig":
        return _gcc(target, gcc)
    if importlib.util.find_spec("ziglang") is None:
        wanted = f" or {target.gcc[0]}" if target.gcc and choice is None else ""
        raise RunnerError(f"no compiler for {target.name}: pip install ziglang{wanted}.")
    return _zig(target)


def available(target: Target) -> tuple[str, ...]:
    """The kinds of toolchain that are installed for a target."""
    found = ("gcc",) if target.gcc and shutil.which(target.gcc[0]) else ()
    return (*found, "zig") if importlib.util.find_spec("ziglang") else found


def _gcc(target: Target, path: str) -> Toolchain:
    bare = target.family in BARE_FAMILIES
    name = target.gcc[0]
    return Toolchain(
        kind="gcc",
        command=(path,),
        compiler=f"{name} {_version((path, '-dumpfullversion', '-dumpversion'))}",
        flags=(*target.gcc[1:], *_COMPILE, *(_BARE if bare else ())),
        bare=bare,
        headers=True,
        memory=not bare or name.startswith("arm-none-eabi"),
    )


def _zig(target: Target) -> Toolchain:
    bare = target.family in BARE_FAMILIES
    command = (sys.executable, "-m", "ziglang")
    return Toolchain(
        kind="zig",
        command=(*command, "cc"),
        compiler=f"zig cc {_version((*command, 'version'))}",
        flags=(*target.zig, *_COMPILE, *(_BARE if bare else ()), "-fno-sanitize=all"),
        bare=bare,
        headers=not bare,
        memory=True,
    )


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    result = _execute(list(command), 60)
    if result.returncode != 0 or not result.stdout.strip():
        raise RunnerError(f"{Path(command[0]).name} does not work: {_first_error(result)}")
    return result.stdout.split()[0]


def _execute(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    cache = str(cache_folder("zig"))
    environment = {**os.environ, "LC_ALL": "C"}
    environment.setdefault("ZIG_GLOBAL_CACHE_DIR", cache)
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", cache)
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        name = Path(command[0]).name
        raise RunnerError(f"{name} did not finish within {timeout_s:.0f} s.") from error
    except OSError as error:
        raise RunnerError(f"cannot start {command[0]}: {error.strerror}.") from error


def _first_error(result: subprocess.CompletedProcess[str]) -> str:
    """The first line that says what is wrong, without the folders of the files it names."""
    lines = [line.strip() for line in (result.stderr + result.stdout).splitlines() if line.strip()]
    wrong = [line for line in lines if re.search(r"\berror\b|undefined|overflowed|No module", line)]
    chosen = (wrong or lines or [f"exit status {result.returncode}"])[0]
    return re.sub(r"(?:[A-Za-z]:)?[^\s:'\"(`]*[/\\]([^\s/\\]+)", r"\1", chosen)
