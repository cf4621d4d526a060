"""The runtime compiles without a warning everywhere, and is clean under the sanitizers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedtiny.runtime import build

ROOT = Path(__file__).parents[2]
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c")
INCLUDE = (f"-I{build.ROOT}", f"-I{build.ROOT / 'include'}")
ZIG = (sys.executable, "-m", "ziglang", "cc")
COMPILERS = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    "cortex-m4 gcc": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"),
    "cortex-m55 gcc": ("arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
    "cortex-m0 gcc": ("arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb"),
    "aarch64 gcc": ("aarch64-linux-gnu-gcc",),
    "avx2 gcc": ("gcc", "-mavx2", "-mfma"),
    "avx2 zig": (*ZIG, "-mcpu=x86_64_v3"),
    "zig": ZIG,
    "zig wasm": (*ZIG, "-target", "wasm32-wasi"),
}


@pytest.mark.parametrize("name", COMPILERS)
def test_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    command = COMPILERS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    files = [str(path) for path in build.sources()]
    done = subprocess.run(
        [*command, *STRICT, *INCLUDE, *files], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_headers_are_also_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    source = tmp_path / "headers.cpp"
    source.write_text('#include "fedtiny/kernels.h"\nint main() { return 0; }\n')
    flags = ("-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c")
    done = subprocess.run(
        [compiler, *flags, *INCLUDE, str(source)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_no_heap_and_no_writable_globals(tmp_path: Path) -> None:
    if shutil.which("nm") is None or shutil.which("gcc") is None:
        pytest.skip("gcc and nm are not installed")
    files = [str(path) for path in build.sources()]
    subprocess.run(["gcc", *STRICT, *INCLUDE, *files], cwd=tmp_path, check=True)
    objects = sorted(map(str, tmp_path.glob("*.o")))
    listed = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines() if len(line.split()) >= 2]
    assert [name for kind, name in symbols if kind in "DdBbCcGgSs"] == []
    defined = {name for kind, name in symbols if kind != "U"}
    undefined = {name for kind, name in symbols if kind == "U"} - defined
    # fmaf: what vectors of one lane are made of where the compiler is given no vectors (simd.h).
    assert undefined <= {"memcpy", "memset", "fmaf", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.timeout(1200)
def test_kernels_and_executor_are_clean_under_the_sanitizers() -> None:
    under_sanitizers("tests/kernels/test_kernels.py", "tests/unit/test_runtime_executor.py")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_vector_kernels_are_clean_under_the_sanitizers() -> None:
    shapes = "equals_the_reference_on_many_shapes or large_layers"
    under_sanitizers("tests/kernels/test_planes.py", "-k", shapes)


def under_sanitizers(*arguments: str) -> None:
    """Run tests with the runtime built with the address and undefined-behaviour sanitizers."""
    sanitizer = build.sanitizer_library()
    if sanitizer is None:
        pytest.skip("the compiler has no address sanitizer")
    environment = {
        **os.environ,
        "FEDTINY_SANITIZE": "1",
        "LD_PRELOAD": str(sanitizer),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    command = [sys.executable, "-m", "pytest", "-qxs", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
