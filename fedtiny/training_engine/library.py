"""The C step, built on first use for this machine's vectors."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from fedtiny.devices.cache import cache_folder
from fedtiny.errors import RunnerError
from fedtiny.runtime import build

ROOT = Path(__file__).parent / "c"

FLAGS = ("-std=c99", "-O2", "-ffp-contract=fast", "-fPIC", "-shared")


def _vector_flags() -> tuple[str, ...]:
    """AVX2 where there is some, with twice the registers where AVX-512VL is."""
    flags = build.vector_flags()
    if flags and "avx512vl" in Path("/proc/cpuinfo").read_text("utf-8").split():
        flags += ("-mavx512vl",)
    return flags


@cache
def shared_library() -> Path:
    """Build it, or find it built.

    Raises:
        RunnerError: There is no compiler, or it failed.
    """
    compiler = build.host_compiler()
    command = [*compiler, *FLAGS, *_vector_flags()]
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(version + "\0".join(command).encode())
    sources = sorted(ROOT.glob("*.c"))
    for path in (*sources, *sorted(ROOT.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache_folder("training") / f"{digest.hexdigest()[:24]}.so"
    if target.is_file():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            command += [*map(str, sources), "-lm", "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = done.stderr.strip() or done.stdout.strip()
                raise RunnerError(f"the C compiler failed on the training step:\n{reason}")
            built.replace(target)
    except OSError as error:
        raise RunnerError(f"cannot build in {target.parent}: {error}.") from error
    return target


@cache
def library() -> ctypes.CDLL:
    """The functions of `c/step.c`.

    Raises:
        RunnerError: It cannot be built or loaded.
    """
    path = shared_library()
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        raise RunnerError(f"cannot load {path}: {error}.") from error
    pointer, number = ctypes.c_void_p, ctypes.c_float
    found.fedtiny_training_lanes.restype = ctypes.c_int32
    found.fedtiny_training_gradients.restype = ctypes.c_double
    found.fedtiny_training_gradients.argtypes = (pointer, pointer, pointer, pointer)
    found.fedtiny_training_pack.restype = found.fedtiny_training_outputs.restype = None
    found.fedtiny_training_pack.argtypes = (pointer,)
    found.fedtiny_training_outputs.argtypes = (pointer, pointer, pointer)
    found.fedtiny_training_update.restype = None
    found.fedtiny_training_update.argtypes = (pointer, number, number, number)
    return found
