"""Builds the runtime for this machine into one shared library, cached by its content."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from fedtiny.devices.cache import cache_folder
from fedtiny.errors import RunnerError
from fedtiny.runtime import table

ROOT = Path(__file__).parent

# -ffp-contract=off: float kernels round every product and sum, so that variants agree bit for bit.
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-g")
SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources() -> tuple[Path, ...]:
    """Every C file of the runtime: `src/` and the kernels of the table, sorted."""
    kernels = {ROOT / k.source for k in table.kernels() if k.source.endswith(".c")}
    return (*sorted((ROOT / "src").glob("*.c")), *sorted(kernels))


def headers() -> tuple[Path, ...]:
    """Every header of the runtime, sorted."""
    return tuple(sorted((*(ROOT / "include").rglob("*.h"), *(ROOT / "src").glob("*.h"))))


def host_compiler() -> tuple[str, ...]:
    """The command that compiles C for this machine.

    Raises:
        RunnerError: There is none.
    """
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc")
    raise RunnerError("no C compiler found: install cc, gcc, clang, or the Python package ziglang.")


@cache
def host_features() -> tuple[str, ...]:
    """What this machine offers beyond its baseline: ``("avx2",)`` with FMA, or nothing.

    It is read from the Linux kernel; elsewhere the baseline is used.
    """
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return ()
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return ("avx2",) if {"avx2", "fma"} <= set(flags) else ()


def vector_flags() -> tuple[str, ...]:
    """Compiler flags for the vectors that this machine has beyond its baseline."""
    return ("-mavx2", "-mfma") if "avx2" in host_features() else ()


@cache
def shared_library(sanitize: bool = False) -> Path:
    """Build the whole runtime, or find it built.

    Args:
        sanitize: Add the address and undefined-behaviour sanitizers; the process that loads the
            library must then have `sanitizer_library()` preloaded.

    Raises:
        RunnerError: There is no compiler, or it failed.
    """
    compiler = host_compiler()
    command = [*compiler, *FLAGS, *vector_flags(), *(SANITIZE if sanitize else ()), f"-I{ROOT}"]
    command += [f"-I{ROOT / 'include'}"]
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(version + "\0".join(command).encode())
    for path in (*sources(), *headers()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache_folder("runtime") / f"{digest.hexdigest()[:24]}.so"
    if target.is_file():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            command += [*map(str, sources()), "-lm", "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = done.stderr.strip() or done.stdout.strip()
                raise RunnerError(f"the C compiler failed on the runtime:\n{reason}")
            built.replace(target)
    except OSError as error:
        raise RunnerError(f"cannot build the runtime in {target.parent}: {error}.") from error
    return target


def sanitizer_library() -> Path | None:
    """The address sanitizer's runtime library, for LD_PRELOAD; None where there is none."""
    command = [*host_compiler(), "-print-file-name=libasan.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = Path(done.stdout.strip())
    return path if path.is_absolute() and path.is_file() else None
