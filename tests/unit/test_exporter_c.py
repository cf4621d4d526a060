"""Generated C: complete, warning-free, equal to the tables, small, and the same every time."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedtiny.compiler.planner import plan
from fedtiny.compiler.quantization import dequantize_values
from fedtiny.compiler.reference import execute
from fedtiny.compiler.serialize import tables
from fedtiny.devices.image import model_sources
from fedtiny.devices.profiles import target
from fedtiny.errors import UsageError
from fedtiny.exporters import c as exporter
from fedtiny.exporters.c import c_comment, c_float, c_string, wrapped, write
from tests.graph_strategies import samples
from tests.networks import Builder, flattened, resnet8

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wno-sign-conversion")
GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="gcc is not installed")


def small(dtype="int8", density=1.0):
    return resnet8(dtype, density, size=8, width=4)


def two_ended():
    """Two inputs, and two outputs one of which another layer reads."""
    b = Builder("two ended")
    x = b.conv(b.input(1, 6, 5, 2), 3)
    y = b.add(x, b.input(1, 6, 5, 3, name="second"))
    return b.graph(b.dense(b.reshape(y, 1, 90), 4), y)


CASES = {
    "int8": (small, {}, None, False),
    "int8-fed": (small, {}, None, True),
    "int8-as-float": (small, {}, "float32", False),
    "int8-as-float-fed": (small, {}, "float32", True),
    "float32": (small, {"dtype": "float32"}, None, False),
    "float32-fed": (small, {"dtype": "float32"}, "float32", True),
    "sparse": (small, {"density": 0.1}, None, False),
    "flattened": (flattened, {}, None, False),
    "two-ended": (two_ended, {}, None, False),
    "two-ended-as-float": (two_ended, {}, "float32", False),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Every case, written once: (plan, folder)."""
    made = {}
    for name, (network, options, io, fed) in CASES.items():
        built = plan(network(**options), target("c"), "balanced", fed)
        made[name] = built, write(built, tmp_path_factory.mktemp(name), io)
    return made


def compile_c(compiler: list[str], folder: Path, files: list[str], *flags: str) -> None:
    command = [*compiler, "-std=c99", "-O1", *flags, "-I.", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_gcc
@pytest.mark.parametrize("case", CASES)
def test_the_model_compiles_without_a_warning(exported, case, tmp_path):
    _, folder = exported[case]
    for file in ("model.c", "weights.c", "main.c"):
        compile_c([GCC], folder, [file], *STRICT, "-c", "-o", str(tmp_path / "out.o"))
    runtime = sorted(p.relative_to(folder).as_posix() for p in folder.glob("*/*.c"))
    for file in runtime:
        compile_c([GCC], folder, [file], *STRICT[:4], "-c", "-o", str(tmp_path / "out.o"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize("case", ["int8", "int8-as-float-fed", "two-ended"])
def test_the_header_is_cpp(exported, case, tmp_path):
    _, folder = exported[case]
    source = tmp_path / "use.cpp"
    source.write_text(
        '#include "model.h"\nstatic MODEL_ARENA(arena);\n'
        "static const int shape[] = MODEL_INPUT_SHAPE;\n"
        "#define NAME(name, ...) name,\n"
        "static const char *const layers[] = {MODEL_LAYER_LIST(NAME)};\n"
        "static_assert(sizeof(layers) / sizeof(layers[0]) == MODEL_LAYERS);\n"
        "int main() { return shape[0] - 1 + model_init(arena); }\n"
    )
    command = ["g++", "-std=c++17", *STRICT[:4], f"-I{folder}", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
def test_it_compiles_for_a_cortex_m(tmp_path):
    folder = write(plan(small(density=0.1), target("cortex-m4")), tmp_path)
    compiler = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"]
    for path in model_sources(folder):
        file = path.relative_to(folder).as_posix()
        compile_c(compiler, folder, [file], *STRICT[:4], "-c", "-o", str(tmp_path / "out.o"))


def shared_library(folder: Path, place: Path) -> ctypes.CDLL:
    sources = [str(path) for path in model_sources(folder)]
    compile_c([GCC], folder, sources, "-shared", "-fPIC", "-ffp-contract=off", "-o", str(place))
    return ctypes.CDLL(str(place))


@needs_gcc
@pytest.mark.parametrize("case", ["int8", "float32", "sparse", "two-ended"])
def test_the_compiled_weights_are_the_tables_bytes(exported, case, tmp_path):
    built, folder = exported[case]
    library = shared_library(folder, tmp_path / "model.so")
    expected = tables(built).constants
    assert bytes((ctypes.c_char * len(expected)).in_dll(library, "model_constants")) == expected


@needs_gcc
@pytest.mark.parametrize("case", CASES)
def test_invoke_computes_what_the_reference_does(exported, case, tmp_path):
    built, folder = exported[case]
    library = shared_library(folder, tmp_path / "model.so")
    graph, io = built.graph, CASES[case][2]
    inputs = samples(graph, 1)
    expected = execute(graph, inputs)

    def seen(name, value):
        q = graph[name].quantization
        return dequantize_values(value, q) if q and io == "float32" else value

    data = np.concatenate([seen(n, v).reshape(-1) for n, v in inputs.items()])
    wanted = np.concatenate([seen(n, expected[n]).reshape(-1) for n in graph.outputs])
    output = np.zeros_like(wanted)
    arena = np.zeros(built.arena_bytes + 64, np.uint8)
    start = -arena.ctypes.data % built.arena_alignment
    for _ in range(2):  # again over what the first inference left
        status = library.model_invoke(
            ctypes.c_void_p(arena.ctypes.data + start),
            ctypes.c_void_p(data.ctypes.data),
            ctypes.c_void_p(output.ctypes.data),
        )
        assert status == 0
    if graph[graph.outputs[0]].dtype == "int8":
        np.testing.assert_array_equal(output, wanted)
    else:
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


@needs_gcc
def test_wrong_calls_are_refused(exported, tmp_path):
    built, folder = exported["int8-fed"]
    library = shared_library(folder, tmp_path / "model.so")
    arena = np.zeros(built.arena_bytes + 64, np.uint8)
    aligned = arena.ctypes.data + -arena.ctypes.data % built.arena_alignment
    row, output = (np.zeros(4096, np.uint8) for _ in range(2))
    pointer = ctypes.c_void_p
    assert library.model_init(pointer(aligned + 1)) == 2
    assert library.model_init(None) == 1
    assert library.model_invoke(pointer(aligned), None, pointer(output.ctypes.data)) == 1
    assert library.model_init(pointer(aligned)) == 0
    for _ in range(8):
        assert library.model_push_row(pointer(aligned), pointer(row.ctypes.data)) == 0
    assert library.model_push_row(pointer(aligned), pointer(row.ctypes.data)) == 4
    assert library.model_read_output(pointer(aligned), pointer(output.ctypes.data)) == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@needs_gcc
def test_make_builds_an_example_that_runs(exported, tmp_path):
    built, folder = exported["int8"]
    work = tmp_path / "c"
    shutil.copytree(folder, work)
    inputs = samples(built.graph, 1)
    (work / "input.bin").write_bytes(inputs["input"].tobytes())
    subprocess.run(["make", "-s", "CFLAGS=-Werror"], cwd=work, check=True)
    done = subprocess.run(["./example", "input.bin"], cwd=work, capture_output=True, text=True)
    values = [int(v) for v in re.findall(r"\] = (-?\d+) \(", done.stdout)]
    assert values == execute(built.graph, inputs)[built.graph.outputs[0]].reshape(-1).tolist()
    wrong = subprocess.run(["./example", "absent"], cwd=work, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "absent: cannot read 192 bytes\n")


@pytest.mark.quick
def test_equal_plans_give_equal_bytes_and_nothing_of_this_machine(tmp_path):
    folders = [write(plan(small(), target("c")), tmp_path / str(i)) for i in range(2)]
    texts = [
        {p.relative_to(f).as_posix(): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()}
        for f in folders
    ]
    assert texts[0] == texts[1]
    assert not any(str(tmp_path).encode() in text for text in texts[0].values())


@pytest.mark.quick
def test_only_what_the_model_uses_is_there(tmp_path):
    built = plan(small(), target("c"))
    folder = write(built, tmp_path)
    kernels = {p.stem for p in folder.glob("kernels/*")}
    assert kernels == {layer.kernel.name for layer in built.layers}
    assert {p.name for p in folder.iterdir()} == {
        *("model.h", "model.c", "weights.c", "main.c", "sources.mk", "Makefile", "CMakeLists.txt"),
        *("fedtiny", "src", "kernels"),
    }
    listed = (folder / "sources.mk").read_text()
    cmake = (folder / "CMakeLists.txt").read_text()
    for path in model_sources(folder):
        assert path.relative_to(folder).as_posix() in listed
        assert path.relative_to(folder).as_posix() in cmake


@pytest.mark.quick
def test_the_header_says_how_large_everything_is(tmp_path):
    built = plan(small(), target("cortex-m4"))
    text = (write(built, tmp_path) / "model.h").read_text()
    fixed, pointers = re.search(r"ARENA_BYTES \((\d+)u \+ (\d+)u \* sizeof", text).groups()
    assert int(fixed) + 4 * int(pointers) == built.arena_bytes
    assert "#define MODEL_INPUT_BYTES 192\n" in text
    assert "#define MODEL_OUTPUT_BYTES 10\n" in text
    assert "#define MODEL_LAYERS 14\n" in text
    scale = float(re.search(r"MODEL_INPUT_SCALE (\S+)f", text).group(1))
    assert np.float32(scale) == built.graph["input"].quantization.scale


@needs_gcc
@pytest.mark.skipif(shutil.which("objcopy") is None, reason="objcopy is not installed")
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_large_arrays_as_strings_are_the_same_bytes(tmp_path, monkeypatch, dtype):
    built, images = plan(small(dtype), target("c")), []
    for name, large in (("numbers", 1 << 30), ("strings", 16)):
        monkeypatch.setattr(exporter, "LARGE_BYTES", large)
        folder = write(built, tmp_path / name)
        assert ("little-endian" in (folder / "weights.c").read_text()) == (name == "strings")
        compile_c([GCC], folder, ["weights.c"], "-Wall", "-Wextra", "-Werror", "-c")
        zig = [sys.executable, "-m", "ziglang", "cc"]
        strict = ["-Wall", "-Wextra", "-Werror", "-c", "-o", "zig.o"]
        compile_c(zig, folder, ["weights.c"], *strict)
        command = ["objcopy", "-O", "binary", "-j", ".rodata", "weights.o", "weights.bin"]
        subprocess.run(command, cwd=folder, check=True)
        images.append((folder / "weights.bin").read_bytes())
    assert images[0] == images[1]
    assert len(images[0]) > 1000


@pytest.mark.quick
def test_names_cannot_break_the_code(tmp_path):
    b = Builder('evil "\\ */ ??/ \n é')
    x = b.conv(b.input(1, 3, 3, 1), 1)
    clean = b.graph(x)
    node = clean.nodes[0]
    renamed = node.__class__('9 "x*/\n', node.attributes, node.inputs, node.outputs)
    graph = clean.rewrite([renamed])
    folder = write(plan(graph, target("c")), tmp_path)
    if GCC:
        for file in ("model.c", "weights.c", "main.c"):
            compile_c([GCC], folder, [file], *STRICT, "-c", "-o", str(tmp_path / "out.o"))


@pytest.mark.quick
def test_a_type_that_the_model_does_not_have_is_refused(tmp_path):
    with pytest.raises(
        UsageError, match="'input' is float32: its input/output type cannot be int8"
    ):
        write(plan(small("float32"), target("c")), tmp_path, "int8")
    assert not (tmp_path / "c").exists()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1f"),
        (1.0, "1.0f"),
        (3.4028235e38, "3.4028235e+38f"),
        (1e-9, "1e-09f"),
        (1 / 3, "0.33333334f"),
        (-2.5, "-2.5f"),
    ],
)
def test_floats_read_back_exactly(value, text):
    assert np.float32(c_float(np.float32(value))[:-1]) == np.float32(value)
    assert c_float(np.float32(value)) == text


@pytest.mark.quick
def test_text_is_escaped():
    assert c_string('a"b\\?é') == '"a\\042b\\134\\077\\303\\251"'
    assert c_comment("a */ /* é\n") == "a * / / * ??"
    assert max(map(len, wrapped(range(1000)).split("\n"))) <= 100
