"""libfedtiny as users get it: built, installed, found by pkg-config and CMake, run by C and C++."""

from __future__ import annotations

import platform
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from fedtiny import pipeline
from fedtiny.compiler.planner import plan
from fedtiny.compiler.reference import execute
from fedtiny.deployment import deployed
from fedtiny.devices.profiles import target
from fedtiny.errors import UsageError
from fedtiny.exporters import packed
from fedtiny.library import Network
from fedtiny.runtime.host_plan import run_plan
from fedtiny.runtime.library import listing
from tests.graph_strategies import samples
from tests.networks import autoencoder, dscnn, resnet8

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "runtime" / "library"
NETWORKS = {
    "resnet8": lambda: resnet8(density=0.1),
    "resnet8-float32": lambda: resnet8("float32", density=0.3, size=16, width=8),
    "dscnn": lambda: dscnn(channels=16),
    "autoencoder": lambda: autoencoder(),
}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.quick
def test_the_generated_headers_are_those_of_the_table():
    for name, text in (
        ("kernel_list.h", listing.kernel_list()),
        ("avx2_names.h", listing.avx2_names()),
    ):
        committed = (SOURCES / name).read_text("utf-8")
        assert committed == text, "run: python -m fedtiny.runtime.library.listing"


@pytest.mark.parametrize("fed", [False, True], ids=["frame", "fed"])
@pytest.mark.parametrize("to", ["c", "x86-64", "cortex-a"])
@pytest.mark.parametrize("name", NETWORKS)
def test_packed_models_give_the_reference(name, to, fed):
    graph = NETWORKS[name]()
    made = plan(graph, target(to), "balanced", fed)
    inputs = samples(graph, 1, seed=7)
    if "float32" in name:
        (expected,) = run_plan(made, list(inputs.values()))
    else:
        expected = execute(graph, inputs)[graph.outputs[0]]
        assert len(np.unique(expected)) > 3  # saturated scales would prove nothing
    data = packed.pack(made)
    assert data == packed.pack(made)
    for portable in (False, True):
        network = Network(data, portable)
        (found,) = network.invoke(list(inputs.values()))
        np.testing.assert_array_equal(found, expected)
        assert network.arena_bytes == made.arena_bytes
        assert [info.text for info in network.layers] == [layer.name for layer in made.layers]
        spent = network.timed(list(inputs.values()))
        assert list(spent) == [layer.name for layer in made.layers]
        assert all(spent.values())


def test_different_networks_run_in_threads_of_their_own():
    graph = NETWORKS["resnet8"]()
    data = packed.pack(plan(graph, target("c")))
    inputs = samples(graph, 8, seed=3)["input"]
    expected = [execute(graph, {"input": x[None]})[graph.outputs[0]] for x in inputs]
    wrong = []

    def work(x, wanted):
        network = Network(data)
        for _ in range(20):
            if not np.array_equal(network.invoke([x[None]])[0], wanted):
                wrong.append(1)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_damaged_models_are_refused():
    data = packed.pack(plan(NETWORKS["dscnn"](), target("c")))
    for damaged in (b"", data[:50], data[:-1], data + b"\0", data[:300] + b"x" + data[301:]):
        with pytest.raises(UsageError, match="damaged"):
            Network(damaged)
    with pytest.raises(UsageError, match="another version"):
        Network(packed.seal(data[:8] + b"\2" + data[9:]))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An installation by the makefile, in a folder of its own."""
    folder = tmp_path_factory.mktemp("library")
    prefix = folder / "usr"
    command = ("make", "-s", "-j2", "-C", SOURCES, f"BUILD={folder / 'build'}", "CC=gcc")
    run(*command, f"PREFIX={prefix}", "install")
    return prefix


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A packed model, its input, and what it must give."""
    folder = tmp_path_factory.mktemp("model")
    graph = NETWORKS["resnet8"]()
    packed.write(plan(graph, target("x86-64")), folder / "model.fedtiny")
    inputs = samples(graph, 1, seed=5)
    (folder / "input").write_bytes(inputs["input"].tobytes())
    return folder, execute(graph, inputs)[graph.outputs[0]].tobytes()


def flags(prefix, *words):
    if shutil.which("pkg-config") is None:
        return [f"-I{prefix}/include", f"-L{prefix}/lib", "-lfedtiny"]
    path = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    return run(shutil.which("pkg-config"), *words, "fedtiny", env=path).split()


@needs_gcc
@pytest.mark.parametrize("language", ["c", "cpp", "static"])
def test_users_in_c_and_cpp(language, installed, example, tmp_path):
    folder, expected = example
    compiler = {"cpp": ("g++", "-std=c++17")}.get(language, ("gcc", "-std=gnu99"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"needs {compiler[0]}")
    linked = flags(installed, "--cflags", "--libs")
    if language == "static":
        linked = [f"-I{installed}/include", str(installed / "lib" / "libfedtiny.a"), "-lm"]
    source = ROOT / "examples" / "library" / ("run.cpp" if language == "cpp" else "run.c")
    strict = ("-Wall", "-Wextra", "-Werror", "-pedantic")
    run(*compiler, *strict, source, *linked, "-o", tmp_path / "user")
    where = {"LD_LIBRARY_PATH": str(installed / "lib")}
    files = (folder / "model.fedtiny", folder / "input", tmp_path / "output")
    printed = run(tmp_path / "user", *files, env=where)
    assert (tmp_path / "output").read_bytes() == expected
    assert language == "cpp" or "peak" in printed
    refused = subprocess.run(
        [tmp_path / "user", folder / "input", *files[1:]], env=where, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "damaged" in refused.stderr


@needs_gcc
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_the_shared_library_shows_its_abi_and_nothing_else(installed):
    listed = run("nm", "-D", "--defined-only", installed / "lib" / "libfedtiny.so")
    found = {line.split()[-1] for line in listed.splitlines()}
    header = (ROOT / "runtime" / "include" / "fedtiny" / "library.h").read_text("utf-8")
    declared = {
        line.split("(")[0].split()[-1].lstrip("*")
        for line in header.splitlines()
        if line.startswith("FEDTINY_API ")
    }
    assert found == declared
    written = run("nm", installed / "lib" / "libfedtiny.so")
    names = {line.split()[-1] for line in written.splitlines() if line.split()[-2] in "bBdD"}
    assert not {name for name in names if "fedtiny" in name}, "no globals"


CMAKE_USER = """
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(fedtiny 1 REQUIRED)
add_executable(user {source})
target_link_libraries(user PRIVATE fedtiny::shared)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_installs_a_package(example, tmp_path):
    folder, expected = example
    prefix = tmp_path / "usr"
    run("cmake", "-S", SOURCES, "-B", tmp_path / "b", f"-DCMAKE_INSTALL_PREFIX={prefix}")
    run("cmake", "--build", tmp_path / "b", "-j2", "--target", "install")
    user = tmp_path / "user"
    user.mkdir()
    source = ROOT / "examples" / "library" / "run.c"
    (user / "CMakeLists.txt").write_text(CMAKE_USER.format(source=source))
    run("cmake", "-S", user, "-B", user / "b", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", user / "b")
    run(user / "b" / "user", folder / "model.fedtiny", folder / "input", user / "output")
    assert (user / "output").read_bytes() == expected


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("aarch64-linux-gnu-gcc") or not shutil.which("qemu-aarch64"),
    reason="needs aarch64-linux-gnu-gcc and qemu-aarch64",
)
def test_aarch64_with_and_without_dot_products(tmp_path):
    graph = NETWORKS["resnet8"]()
    compiler = "aarch64-linux-gnu-gcc"
    command = ("make", "-s", "-j2", "-C", SOURCES, f"BUILD={tmp_path}", f"CC={compiler}")
    run(*command, "AR=aarch64-linux-gnu-ar", tmp_path / "libfedtiny.a")
    source = ROOT / "examples" / "library" / "run.c"
    include = ROOT / "runtime" / "include"
    archive = tmp_path / "libfedtiny.a"
    program = tmp_path / "user"
    run(compiler, "-std=gnu99", "-static", f"-I{include}", source, archive, "-lm", "-o", program)
    inputs = samples(graph, 1, seed=5)
    (tmp_path / "input").write_bytes(inputs["input"].tobytes())
    expected = execute(graph, inputs)[graph.outputs[0]].tobytes()
    for to in ("cortex-a", "cortex-a+dotprod"):
        packed.write(plan(graph, target(to)), tmp_path / "model.fedtiny")
        for cpu, vectors in (("cortex-a72", "neon,"), ("cortex-a76", "neon+dotprod,")):
            files = [tmp_path / name for name in ("model.fedtiny", "input", "output")]
            command = ["qemu-aarch64", "-cpu", cpu, program, *files]
            if (to, cpu) == ("cortex-a+dotprod", "cortex-a72"):
                refused = subprocess.run(command, capture_output=True, text=True)
                assert refused.returncode == 1
                assert "this processor" in refused.stderr
                continue
            printed = run(*command)
            assert (tmp_path / "output").read_bytes() == expected, (to, cpu)
            assert f"vectors {vectors}" in printed


@pytest.mark.skipif(
    not shutil.which("qemu-x86_64") or platform.machine() != "x86_64",
    reason="needs qemu-x86_64 on an x86-64",
)
def test_x86_without_avx2_runs_plain_c(installed, example, tmp_path):
    folder, expected = example
    archive = installed / "lib" / "libfedtiny.a"
    source, program = ROOT / "examples" / "library" / "run.c", tmp_path / "user"
    run("gcc", "-static", f"-I{installed}/include", source, archive, "-lm", "-o", program)
    files = (folder / "model.fedtiny", folder / "input", tmp_path / "output")
    printed = run("qemu-x86_64", "-cpu", "Nehalem", program, *files)
    assert (tmp_path / "output").read_bytes() == expected
    assert "vectors c," in printed


def test_deployed_runs_a_packed_export(tmp_path):
    from fedtiny.exporters import tflite
    from tests.fuzz.model_seeds import network

    tflite.write(network("int8"), tmp_path / "small.tflite")
    out = tmp_path / "out"
    pipeline.export(
        tmp_path / "small.tflite", target="c", out=out, dtype="int8", formats=("packed", "c")
    )
    report = pipeline.verify(out)
    seen = {entry.runner: entry for entry in report.verification if entry.artifact == "packed"}
    assert set(seen) == {"libfedtiny", "libfedtiny-portable"}
    assert all(entry.bit_exact for entry in seen.values())
    built, loaded = deployed(out), deployed(out / "model.fedtiny")
    shape = (4, *built.inputs[0].shape[1:])
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    np.testing.assert_array_equal(built.predict(x), loaded.predict(x))
    assert loaded.inputs == built.inputs
    assert loaded.outputs == built.outputs
    with pytest.raises(UsageError, match="no tap"):
        loaded.tap(x[:1])


def test_exports_that_the_library_cannot_run_are_refused(tmp_path):
    from fedtiny.exporters import tflite
    from tests.fuzz.model_seeds import network

    tflite.write(network("int8"), tmp_path / "small.tflite")
    with pytest.raises(UsageError, match="leave out --io float32"):
        pipeline.export(
            tmp_path / "small.tflite",
            target="c",
            out=tmp_path / "out",
            dtype="int8",
            formats=("packed",),
            io="float32",
        )
