"""Exported C as a user takes it: built by make and CMake and every compiler, run on its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import plan
from fedtiny.compiler.reference import execute
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.image import SUPPORT, model_sources
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.devices.toolchains import Toolchain
from fedtiny.exporters.c import write
from tests.networks import autoencoder, dscnn, flattened, resnet8

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
CORES = [name for name, one in profiles.targets().items() if one.family == "cortex-m"]
UNICORN = [name for name in CORES if "unicorn" in profiles.target(name).emulators]
ARM = shutil.which("arm-none-eabi-gcc")
needs_arm = pytest.mark.skipif(ARM is None, reason="arm-none-eabi-gcc is not installed")
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"
)
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")

NETWORKS: dict[str, Callable[[], Graph]] = {
    "resnet8": lambda: resnet8("int8", 0.1, size=12, width=8),
    "dscnn": lambda: dscnn("int8", 12, 0.3),
    "autoencoder": autoencoder,
    "flattened": flattened,
    "float32": lambda: resnet8("float32", 0.3, size=8, width=4),
}


@dataclass(frozen=True)
class Compiler:
    """Up to the flags of the optimization."""

    name: str
    c: tuple[str, ...]
    cpp: tuple[str, ...]


def compilers(core: str) -> list[Compiler]:
    """Those that are installed and know the core, all with its machine flags."""
    target = profiles.target(core)
    float_abi = "eabihf" if "fpu" in target.isa else "eabi"
    libc = f"-I{SUPPORT / 'libc'}"
    zig = (sys.executable, "-m", "ziglang")
    found = [Compiler("zig", (*zig, "cc", *target.zig, libc), (*zig, "c++", *target.zig, libc))]
    if shutil.which("clang"):
        machine = (f"--target=thumb-none-{float_abi}", f"-mcpu={core}", libc)
        found.append(Compiler("clang", ("clang", *machine), ("clang++", *machine)))
    if ARM:
        machine = target.gcc[1:]
        found.append(Compiler("gcc", (ARM, *machine), ("arm-none-eabi-g++", *machine)))
    return found


def matrix(cores: list[str]) -> list[object]:
    """Core, compiler and optimization; the usual tests take one of each."""
    found = []
    for core in cores:
        for one in compilers(core):
            for level in ("-O2", "-Os"):
                usual = (core, level) == ("cortex-m4", "-Os") and one.name != "clang"
                marks = () if usual else pytest.mark.slow
                name = f"{core}-{one.name}{level}"
                found.append(pytest.param(core, one, level, marks=marks, id=name))
    return found


def exported(
    folder: Path, core: str, network: str, fed: bool = False
) -> tuple[ExecutionPlan, Path]:
    made = plan(NETWORKS[network](), profiles.target(core), "balanced", fed)
    return made, write(made, folder)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def zeros(graph: Graph) -> dict[str, np.ndarray]:
    return {name: np.zeros(graph[name].shape, graph[name].dtype) for name in graph.inputs}


def check_printed(text: str, made: ExecutionPlan) -> None:
    """What the example image prints: the outputs of zeros, then every layer's ticks."""
    graph = made.graph
    expected = execute(graph, zeros(graph))[graph.outputs[0]].reshape(-1)
    values = [float(v) for v in re.findall(r"^\S+\[\d+\] = (-?[0-9.]+)$", text, re.MULTILINE)]
    np.testing.assert_allclose(values, expected, atol=2e-6)
    listed = re.findall(r"^(.+): (\d+)$", text[text.index("ticks of every") :], re.MULTILINE)
    assert [name for name, _ in listed] == [layer.name for layer in made.layers]
    assert all(int(ticks) > 0 for _, ticks in listed)


@needs_arm
@needs_qemu
@pytest.mark.quick
def test_the_example_image_runs_as_it_is(tmp_path: Path) -> None:
    made, folder = exported(tmp_path, "cortex-m4", "resnet8")
    make = ["make", "-s", "-j2", "OPTIMIZE=-Os -Werror -pedantic"]
    run(make, folder / "bare_metal")
    check_printed(run(["make", "-s", "run"], folder / "bare_metal"), made)
    elf = Elf.load(folder / "bare_metal" / "image.elf")
    assert elf.section_bytes(".data") == 0
    for part in ("data", "bss"):
        assert elf.address(f"__model_{part}_start") == elf.address(f"__model_{part}_end")
    assert elf.symbols["arena"].size == made.arena_bytes
    assert elf.address("arena") % made.arena_alignment == 0


@needs_arm
@needs_qemu
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("network", [*NETWORKS, "fed"])
@pytest.mark.slow
def test_example_images_of_every_core(core: str, network: str, tmp_path: Path) -> None:
    fed = network == "fed"
    made, folder = exported(tmp_path, core, "resnet8" if fed else network, fed)
    run(["make", "-s", "-j2"], folder / "bare_metal")
    check_printed(run(["make", "-s", "run"], folder / "bare_metal"), made)


@needs_arm
@needs_qemu
@needs_cmake
def test_cmake_builds_the_image_and_the_library(tmp_path: Path) -> None:
    made, folder = exported(tmp_path, "cortex-m4", "resnet8", fed=True)
    cross = "-DCMAKE_TOOLCHAIN_FILE=bare_metal/toolchain.cmake"
    run(["cmake", "-S", ".", "-B", "cross", cross, "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON"], folder)
    text = run(["cmake", "--build", "cross", "--target", "run", "-j2"], folder)
    check_printed(text, made)
    application(tmp_path / "app")
    run(["cmake", "-S", str(tmp_path / "app"), "-B", "host", f"-DMODEL={folder}"], folder)
    run(["cmake", "--build", "host", "-j2"], folder)
    assert "12 rows pushed" in run(["host/app"], folder)


APPLICATION = """\
#include "model.h"
#include <cstdint>
#include <cstdio>

static MODEL_ARENA(arena);
static const int shape[] = MODEL_INPUT_SHAPE;
static const fedtiny_hooks hooks = {
    [](void *context, const fedtiny_call *) { ++*static_cast<unsigned *>(context); }, nullptr,
    nullptr};

int main() {
    static std::uint8_t input[MODEL_INPUT_BYTES], output[MODEL_OUTPUT_BYTES];
    unsigned steps = 0;
    fedtiny_hooks counting = hooks;
    counting.context = &steps;
    if (model_init(arena) != FEDTINY_OK ||
        model_invoke_hooked(arena, input, output, &counting) != FEDTINY_OK ||
        steps < MODEL_LAYERS) {
        return 1;
    }
#ifdef MODEL_INPUT_ROWS
    int rows = 0;
    model_init(arena);
    while (rows < MODEL_INPUT_ROWS && model_push_row(arena, input) == FEDTINY_OK) {
        rows++;
    }
    if (model_read_output(arena, output) != FEDTINY_OK || rows != MODEL_INPUT_ROWS) {
        return 2;
    }
#endif
    std::printf("%d rows pushed\\n", shape[1]);
    return model_invoke(arena, input, output);
}
"""


def application(folder: Path) -> None:
    """A C++17 project that has the export as a subdirectory."""
    folder.mkdir()
    (folder / "app.cpp").write_text(APPLICATION)
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app C CXX ASM)\n"
        "add_subdirectory(${MODEL} model)\nadd_executable(app app.cpp)\n"
        "set_target_properties(app PROPERTIES CXX_STANDARD 17 CXX_EXTENSIONS OFF)\n"
        "target_compile_options(app PRIVATE -Wall -Wextra -Werror -pedantic)\n"
        "target_link_libraries(app PRIVATE model)\n"
    )


INCLUDER = """\
#include "model.h"
static MODEL_ARENA(arena);
fedtiny_status use(const void *row, void *output);
fedtiny_status use(const void *row, void *output) {
    const fedtiny_status status = model_init(arena);
    return status != FEDTINY_OK ? status : model_invoke(arena, row, output);
}
"""


@pytest.mark.parametrize(("core", "compiler", "level"), matrix(CORES))
def test_every_compiler_without_a_warning(
    core: str, compiler: Compiler, level: str, tmp_path: Path
) -> None:
    network = "resnet8" if core != "cortex-m7" else "dscnn"
    _, folder = exported(tmp_path, core, network, fed=level == "-Os")
    user = tmp_path / "user"
    user.mkdir()
    (user / "user.c").write_text(INCLUDER)
    (user / "user.cpp").write_text(INCLUDER)
    found = [str(path) for path in model_sources(folder)]
    common = (*WARNINGS, level, f"-I{folder}", "-c", "-o", "made.o")
    commands = [[*compiler.cpp, "-std=c++17", *common, str(user / "user.cpp")]]
    for path in (*found, str(user / "user.c")):
        standard = () if path.endswith(".S") else ("-std=c99",)
        commands.append([*compiler.c, *standard, *common, path])
    for command in commands:
        (user / "made.o").unlink(missing_ok=True)
        run(command, user)
        assert (user / "made.o").stat().st_size > 0


class Recompiler(Toolchain):
    """Compiles as it says, links as usual: clang's by GCC, and zig would strip symbols at -Os."""

    linker: Toolchain

    def link(self, *arguments: Any, **options: Any) -> None:
        self.linker.link(*arguments, **options)


def toolchain(core: str, compiler: Compiler, level: str) -> Toolchain:
    usual = toolchains.find(profiles.target(core), "zig" if compiler.name == "zig" else "gcc")
    command, machine = usual.command, usual.flags
    if compiler.name == "clang":
        command = compiler.c[:1]
        machine = (*compiler.c[1:], *usual.flags[len(profiles.target(core).gcc) - 1 :])
    flags = tuple(level if flag == "-O2" else flag for flag in machine)
    made = Recompiler(**(vars(usual) | {"command": command, "flags": flags}))
    object.__setattr__(made, "linker", usual)
    return made


@pytest.mark.parametrize(("core", "compiler", "level"), matrix(UNICORN))
def test_outputs_are_those_of_the_reference_whatever_compiles(
    core: str, compiler: Compiler, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = core == "cortex-m4" and level == "-Os"
    chosen = toolchain(core, compiler, level)
    monkeypatch.setattr(toolchains, "find", lambda *_: chosen)
    for network in ("resnet8",) if usual else NETWORKS:
        made, folder = exported(tmp_path / network, core, network)
        graph = made.graph
        rng = np.random.default_rng(3)
        inputs = {
            name: rng.integers(-128, 128, graph[name].shape).astype(graph[name].dtype)
            for name in graph.inputs
        }
        expected = execute(graph, inputs)[graph.outputs[0]]
        ends = [
            tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
            for names in (graph.inputs, graph.outputs)
        ]
        with UnicornRunner(made.target) as runner:
            built = runner.build(folder, tmp_path / network / "work")
            assert built.static_ram_bytes == 0
            runner.load(built, Signature(ends[0], ends[1]))
            result = runner.run(tuple(inputs.values()))
        if graph[graph.outputs[0]].dtype == "int8":
            np.testing.assert_array_equal(result.outputs[0], expected)
        else:
            np.testing.assert_allclose(result.outputs[0], expected, rtol=1e-4, atol=1e-4)


MISALIGNED = """\
#include "model.h"
#include <stdlib.h>
#include <string.h>

static MODEL_ARENA(arena);

int main(void) {
    /* One byte past what malloc aligns, exactly as long as promised. */
    uint8_t *const input = (uint8_t *)malloc(MODEL_INPUT_BYTES + 1) + 1;
    uint8_t *const output = (uint8_t *)malloc(MODEL_OUTPUT_BYTES + 1) + 1;
    memset(input, 7, MODEL_INPUT_BYTES);
    int status = model_invoke(arena, input, output);
    status |= model_init(arena + 1) != FEDTINY_ERROR_ARENA;
#ifdef MODEL_INPUT_ROWS
    status |= model_init(arena);
    for (int row = 0; row < MODEL_INPUT_ROWS; row++) {
        status |= model_push_row(arena, input + row * MODEL_INPUT_ROW_BYTES);
    }
    status |= model_read_output(arena, output);
#endif
    return status;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize(
    "network", ["resnet8", *(pytest.param(n, marks=pytest.mark.slow) for n in list(NETWORKS)[1:])]
)
def test_nothing_is_misaligned_under_the_sanitizers(network: str, tmp_path: Path) -> None:
    """The kernels of a Cortex-M in plain C, with inputs and outputs at odd addresses."""
    _, folder = exported(tmp_path, "cortex-m4", network, fed=network != "autoencoder")
    (tmp_path / "use.c").write_text(MISALIGNED)
    sources = [str(path) for path in model_sources(folder)]
    checks = "-fsanitize=address,undefined,alignment"
    flags = ["-O1", "-w", checks, "-fno-sanitize-recover=all", f"-I{folder}", "-o", "use"]
    done = subprocess.run(["gcc", *flags, "use.c", *sources], cwd=tmp_path, check=False)
    if done.returncode != 0:
        pytest.skip("gcc has no sanitizers here")
    run(["env", "ASAN_OPTIONS=detect_leaks=0", "./use"], tmp_path)
