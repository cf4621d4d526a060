"""Finding compilers, reading what they made, and layouts that two languages must agree on."""

import ctypes
import re
import struct
import subprocess
from pathlib import Path

import pytest

from fedtiny.devices import emulation, image, model_tables, profiles, toolchains
from fedtiny.devices.cache import cache_folder
from fedtiny.devices.elf import Elf
from fedtiny.errors import RunnerError, UsageError

ROOT = Path(__file__).parents[2]
HOST = profiles.target("c")
M4 = profiles.target("cortex-m4")


@pytest.mark.quick
def test_choice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(toolchains.ENVIRONMENT, raising=False)
    assert toolchains.find(M4).kind == toolchains.available(M4)[0]
    monkeypatch.setenv(toolchains.ENVIRONMENT, "zig")
    found = toolchains.find(M4)
    assert found.compiler.startswith("zig cc 0.")
    assert found.flags[:3] == ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4")
    monkeypatch.setenv(toolchains.ENVIRONMENT, "ggc")
    with pytest.raises(UsageError, match=r"unknown toolchain 'ggc'\. Did you mean 'gcc'"):
        toolchains.find(M4)


@pytest.mark.quick
def test_nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(toolchains.ENVIRONMENT, raising=False)
    assert toolchains.find(M4).kind == "zig"
    with pytest.raises(RunnerError, match="arm-none-eabi-gcc is not on the PATH; install it"):
        toolchains.find(M4, "gcc")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunnerError, match="no compiler for cortex-m4: pip install ziglang"):
        toolchains.find(M4)
    assert toolchains.available(M4) == ()


@pytest.mark.quick
def test_cache_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEDTINY_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(RunnerError, match="set FEDTINY_CACHE_DIR"):
        cache_folder("zig")


def test_layouts_are_the_compilers(tmp_path: Path):
    """Offsets that Python uses to read a model's tables, and those of the emulator's callbacks."""
    source = tmp_path / "layout.c"
    source.write_text(
        '#include "fedtiny/fedtiny.h"\n#include "unicorn_trace.c"\n#include <stdio.h>\n'
        "int main(void) {\n"
        'printf("%zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu", sizeof(fedtiny_layer),'
        "sizeof(fedtiny_tensor), offsetof(fedtiny_layer, steps), offsetof(fedtiny_layer, output),"
        "offsetof(fedtiny_access, start), offsetof(fedtiny_model, arena_bytes),"
        "offsetof(fedtiny_model, constants_bytes), offsetof(fedtiny_model, n_kernels),"
        "offsetof(fedtiny_model, address_shift), offsetof(fedtiny_call, step),"
        "offsetof(fedtiny_call, layer), sizeof(trace_region), sizeof(trace_layer), sizeof(trace));"
        "return 0; }\n"
    )
    toolchain = toolchains.find(HOST)
    toolchain.compile(
        source, tmp_path / "layout.o", [ROOT / "runtime/include", ROOT / "devices/support"]
    )
    toolchain.link([tmp_path / "layout.o"], tmp_path / "layout")
    run = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True)
    pointer = struct.calcsize("P")
    numbers = model_tables.MODEL_POINTERS * pointer
    call = model_tables.CALL_POINTERS * pointer
    assert [int(word) for word in run.stdout.split()] == [
        struct.calcsize(model_tables.LAYER_LAYOUT),
        struct.calcsize(model_tables.TENSOR_LAYOUT),
        struct.calcsize("<IIIH"),
        struct.calcsize("<IIIHHHH"),
        struct.calcsize("<HHH"),
        numbers,
        numbers + struct.calcsize("<4I"),
        numbers + struct.calcsize("<5I"),
        numbers + struct.calcsize("<5I8H"),
        call,
        call + 2,
        ctypes.sizeof(emulation.Region),
        ctypes.sizeof(emulation.LayerTrace),
        ctypes.sizeof(emulation.Trace),
    ]


@pytest.mark.quick
def test_fields_of_the_callbacks_have_the_same_order():
    text = (ROOT / "devices/support/unicorn_trace.c").read_text()
    found = re.findall(r"typedef struct \{(.*?)\} (\w+);", text, re.S)
    structs = {name: body for body, name in found}
    for name, mirror in (
        ("trace_region", emulation.Region),
        ("trace_layer", emulation.LayerTrace),
        ("trace", emulation.Trace),
    ):
        body = re.sub(r"/\*.*?\*/", "", structs[name], flags=re.S)
        body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)
        names = re.findall(r"(\w+)\s*[,;]", body)
        assert names == [field[0] for field in mirror._fields_], name


@pytest.mark.quick
@pytest.mark.parametrize("kind", toolchains.available(M4))
def test_elf_of_both_toolchains(kind: str, tmp_path: Path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c/model.h").write_text("")
    (tmp_path / "c/model.c").write_text(
        "const int table[4] = {1, 2, 3, 4};\nint counter = 5, zeros[3];\n"
        "int entry(int i) { return table[i & 3] + counter++ + zeros[0]++; }\n"
        "int unused(void) { return 1; }\n"
    )
    memory = image.MemoryMap(0x1000, 0x10000, 0x20000000, 0x1000)
    toolchain = toolchains.find(M4, kind)
    info = image.build_bare(toolchain, tmp_path / "c", tmp_path / "work", memory, "entry")
    elf = Elf.load(info.image)
    assert elf.pointer_bytes == 4
    assert 0x1000 <= elf.address("entry") < 0x11000
    assert elf.address("entry") % 2 == 0
    assert elf.function_at(elf.address("entry") + 2) == "entry"
    assert elf.function_at(0x5000_0000) == "0x50000000"
    assert "unused" not in elf.symbols
    assert elf.read(elf.address("table"), 16) == struct.pack("<4I", 1, 2, 3, 4)
    assert elf.read(elf.address("counter"), 4) == struct.pack("<I", 5)
    assert info.static_ram_bytes == 16
    assert info.constants_bytes == 16
    with pytest.raises(RunnerError, match=r"does not define missing"):
        elf.address("missing")
    with pytest.raises(RunnerError, match="holds nothing at 0x50000000"):
        elf.read(0x5000_0000, 4)
    small = image.MemoryMap(0x1000, 0x10, 0x20000000, 0x1000)
    with pytest.raises(RunnerError, match=r"could not link image\.elf: .*FLASH"):
        image.build_bare(toolchain, tmp_path / "c", tmp_path / "small", small, "entry")


@pytest.mark.quick
def test_damaged_elf(tmp_path: Path):
    with pytest.raises(RunnerError, match="is not a little-endian ELF file"):
        Elf(b"#!/bin/sh\n" * 20)
    header = b"\x7fELF\x01\x01\x01" + b"\xff" * 200
    with pytest.raises(RunnerError, match="is a damaged ELF file"):
        Elf(header)
    with pytest.raises(RunnerError, match="cannot read"):
        Elf.load(tmp_path / "none")
