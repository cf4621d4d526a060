"""One small hand-written model on every runner that can run here, and what happens when it errs.

The model (`tiny_model/`) has the interface of exported ones; `_reference` says what it computes.
"""

import os
import random
import shutil
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from fedtiny.compiler.planner import plan
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.model_tables import read_model
from fedtiny.devices.protocol import Client, Frame, encode
from fedtiny.devices.runner import RunResult, Signature, TensorType, make_runner, runners
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.devices.streams import ProcessStream
from fedtiny.errors import RunnerError, UsageError
from fedtiny.exporters.c import write
from fedtiny.golden import make_golden
from tests.networks import flattened

ROOT = Path(__file__).parents[2]
SIGNATURE = Signature((TensorType((1, 4, 8, 1), "int8"),), (TensorType((1, 8), "int8"),))
INPUT = np.arange(-5, 27, dtype=np.int8).reshape(1, 4, 8, 1)
BOARDS = [name for name, one in profiles.targets().items() if "qemu" in one.emulators]
CORES = [name for name, one in profiles.targets().items() if "unicorn" in one.emulators]
BUILDS = [
    (name, kind)
    for name, one in profiles.targets().items()
    if name in CORES
    for kind in toolchains.available(one)
]


def export(folder: Path, defect: int = 0, fed: bool = False) -> Path:
    """The tiny model as an export's `c/` folder."""
    shutil.copytree(ROOT / "tests/end_to_end/tiny_model", folder)
    text = f"#define DEFECT {defect}\n" + ("#define TINY_FED\n" if fed else "")
    (folder / "defect.h").write_text(text)
    (folder / "main.c").write_text("#error the example is not part of an image\n")
    shutil.copytree(ROOT / "runtime/include/fedtiny", folder / "fedtiny")
    (folder / "src").mkdir()
    for name in ("run.c", "memory.c", "memory.h"):
        shutil.copy(ROOT / "runtime/src" / name, folder / "src")
    return folder


def run(spec: str, target: str, source: Path, work: Path) -> RunResult:
    with make_runner(spec, profiles.target(target)) as runner:
        if reason := runner.unavailable():
            pytest.skip(reason)
        runner.load(runner.build(source, work), SIGNATURE)
        return runner.run((INPUT,))


def reference() -> tuple[np.ndarray, tuple[int, int]]:
    doubled = 2 * INPUT.reshape(4, 8).astype(np.int64) + 1
    total = doubled.sum(axis=0).astype(np.int8)
    digests = zlib.crc32(doubled.astype(np.int8).tobytes()), zlib.crc32(total.tobytes())
    return total.reshape(1, 8), digests


def check(result: RunResult) -> None:
    outputs, digests = reference()
    np.testing.assert_array_equal(result.outputs[0], outputs)
    assert result.outputs[0].dtype == np.int8
    assert result.digests == digests


@pytest.mark.quick
def test_runners_are_found():
    assert {"host", "qemu", "serial", "unicorn"} <= set(runners())
    with pytest.raises(UsageError, match="Did you mean 'unicorn'"):
        make_runner("unicron", profiles.target("cortex-m4"))
    with pytest.raises(UsageError, match="serial needs a port"):
        make_runner("serial", profiles.target("cortex-m4"))
    with pytest.raises(UsageError, match="baud rate 'fast'"):
        make_runner("serial:/dev/ttyACM0,fast", profiles.target("cortex-m4"))


@pytest.mark.parametrize(("target", "kind"), BUILDS)
def test_unicorn(target: str, kind: str, tmp_path: Path):
    source = export(tmp_path / "c")
    with make_runner(f"unicorn:{kind}", profiles.target(target)) as runner:
        build = runner.build(source, tmp_path / "work")
        assert build.static_ram_bytes == 0
        assert build.compiler.split()[0] == (
            "zig" if kind == "zig" else profiles.target(target).gcc[0]
        )
        assert not any("/" in flag for flag in build.flags)
        assert build.code_bytes is not None
        assert 500 < build.code_bytes < 5000
        assert build.constants_bytes is not None
        assert 150 < build.constants_bytes < 500
        assert build.sections["model_code.tiny_sum"] > 20
        runner.load(build, SIGNATURE)
        first, second = runner.run((INPUT,)), runner.run((INPUT,))
    check(first)
    assert first.arena_bytes == 88 + 2 * profiles.target(target).pointer_bytes
    assert first.instructions is not None
    assert first.layer_instructions is not None
    assert 200 < sum(first.layer_instructions) < first.instructions < 10000
    assert first.stack_bytes is not None
    assert 60 < first.stack_bytes < 1000
    assert (first.instructions, first.stack_bytes) == (second.instructions, second.stack_bytes)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0plus", "cortex-a"])
def test_unicorn_callbacks_in_python_and_c_agree(target: str, tmp_path: Path):
    source = export(tmp_path / "c", fed=True)
    results = []
    for compiled in (True, False):
        runner = UnicornRunner(profiles.target(target))
        runner.use_c_callbacks = compiled
        with runner:
            runner.load(runner.build(source, tmp_path / "work"), SIGNATURE)
            results.append(runner.run((INPUT,)))
    fast, slow = results
    check(fast)
    check(slow)
    names = ("instructions", "layer_instructions", "stack_bytes", "arena_bytes")
    for name in (*names, "layer_cycles", "layer_flash_lines"):
        assert getattr(fast, name) == getattr(slow, name), name
    assert (fast.layer_cycles is None) == (target != "cortex-m4")


def test_unicorn_counts_what_the_code_says(tmp_path: Path):
    """A kernel of known length: five instructions a round and four around them."""
    source = export(tmp_path / "c")
    model = source / "model.c"
    text = model.read_text()
    start = text.index("static fedtiny_status tiny_sum")
    end = text.index("static const fedtiny_kernel kernels")
    counted = """
__attribute__((naked)) static fedtiny_status tiny_sum(const fedtiny_call *call) {
    (void)call;
    __asm__ volatile("movs r0, #0\\n movs r1, #100\\n"
                     "1: cmp r1, #200\\n it gt\\n movgt r0, #9\\n subs r1, #1\\n bne 1b\\n"
                     "nop\\n bx lr\\n");
}
"""
    model.write_text(text[:start] + counted + text[end:])
    result = run("unicorn", "cortex-m4", source, tmp_path / "work")
    assert result.layer_instructions is not None
    assert result.layer_instructions[1] == 4 * (2 + 5 * 100 + 2)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("target", "defect", "message"),
    [
        ("cortex-m4", 1, r"wrote outside of its memory, 1 bytes at 0x\w+ \(arena \+96 of 96 bytes"),
        ("cortex-a", 1, r"wrote .*\(arena \+104 of 104 bytes\): in tiny_double .*layer 0, step 0"),
        ("cortex-m4", 2, r"did not return within 100000 instructions: in tiny_double"),
        ("cortex-m4", 3, r"read outside of its memory, 1 bytes at 0x00000010: in tiny_double"),
        ("cortex-m4", 4, r"model_invoke returned status 5 \(model\)"),
        ("cortex-m4", 5, r"wrote outside of its memory, 1 bytes at 0x\w+ \(image "),
        ("cortex-m4", 6, r"the processor faulted .*layer 0, step 0"),
        ("cortex-m0plus", 7, r"the processor faulted .*in tiny_double"),
    ],
)
def test_unicorn_catches(target: str, defect: int, message: str, compiled: bool, tmp_path: Path):
    source = export(tmp_path / "c", defect)
    runner = UnicornRunner(profiles.target(target), limit=100_000)
    runner.use_c_callbacks = compiled
    with runner:
        runner.load(runner.build(source, tmp_path / "work"), SIGNATURE)
        with pytest.raises(RunnerError, match=message):
            runner.run((INPUT,))


def test_digests_name_the_layer_that_differs(tmp_path: Path):
    result = run("unicorn", "cortex-m4", export(tmp_path / "c", defect=8), tmp_path / "work")
    _, digests = reference()
    assert result.digests is not None
    assert result.digests[0] != digests[0]


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("kind", toolchains.available(profiles.target("c")))
def test_host(kind: str, fed: bool, tmp_path: Path):
    result = run(f"host:{kind}", "c", export(tmp_path / "c", fed=fed), tmp_path / "work")
    check(result)
    assert result.latency_ms is not None
    assert 0 < result.latency_ms < 1000


def test_host_program_that_dies(tmp_path: Path):
    source = export(tmp_path / "c", defect=3)
    with pytest.raises(RunnerError, match="ended while it was asked"):
        run("host", "c", source, tmp_path / "work")


@pytest.mark.parametrize("target", [name for name in BOARDS if name in CORES])
def test_qemu_agrees_with_unicorn(target: str, tmp_path: Path):
    source = export(tmp_path / "c")
    board = run("qemu", target, source, tmp_path / "board")
    core = run("unicorn", target, source, tmp_path / "core")
    check(board)
    assert board.instructions is not None
    assert core.instructions is not None
    assert 0 <= board.instructions - core.instructions < 20  # those around the call
    assert board.layer_instructions is not None
    assert core.layer_instructions is not None
    for traced, exact in zip(board.layer_instructions, core.layer_instructions, strict=True):
        assert 0 <= traced - exact <= 4 * 30  # in each of four steps
    assert board.stack_bytes is not None
    assert core.stack_bytes is not None
    assert abs(board.stack_bytes - core.stack_bytes) <= 16


def test_qemu_reports_a_fault(tmp_path: Path):
    with pytest.raises(RunnerError, match="faulted at address 0x50000000 and must be reset"):
        run("qemu", "cortex-m4", export(tmp_path / "c", defect=6), tmp_path / "work")


@pytest.mark.parametrize("noise", [b"", b"boot: hello\r\n\x00\xff\x01", bytes(range(256)) * 8])
def test_firmware_answers_after_noise(noise: bytes, tmp_path: Path):
    """Garbage before, between and after requests; the firmware is the host build."""
    with make_runner("host", profiles.target("c")) as runner:
        build = runner.build(export(tmp_path / "c"), tmp_path / "work")
    stream = ProcessStream([str(build.image)])
    try:
        stream.write(noise)
        client = Client(stream)
        info = client.hello()
        assert (info.input_bytes, info.output_bytes, info.layers) == (32, 8, 2)
        stream.write(noise)
        client.load(INPUT.tobytes())
        stream.write(noise + b"\x05")
        client.invoke(trace=True, timeout_s=5)
        outputs, digests = reference()
        assert client.output(8) == outputs.tobytes()
        assert tuple(layer.digest for layer in client.layers(2)) == digests
        with pytest.raises(RunnerError, match="outside of its buffers, at 0"):
            client.output(9)
        for size in (*range(246, 256), 500, 512):  # full COBS groups, of both kinds of bytes
            for byte in (b"\0", b"\1"):
                with pytest.raises(RunnerError, match="does not know message 85"):
                    client._ask(0x55, byte * size)
    finally:
        stream.close()


def test_firmware_survives_damaged_frames(tmp_path: Path):
    """Random bytes, truncated frames and flipped bits never hang or crash the firmware."""
    with make_runner("host", profiles.target("c")) as runner:
        build = runner.build(export(tmp_path / "c"), tmp_path / "work")
    stream = ProcessStream([str(build.image)])
    generator = random.Random(7)
    try:
        client = Client(stream)
        for _ in range(300):
            kind, payload = generator.randrange(256), generator.randbytes(generator.randrange(520))
            data = bytearray(encode(Frame(kind, generator.randrange(256), payload)))
            choice = generator.randrange(4)
            if choice == 0:
                data = bytearray(generator.randbytes(generator.randrange(1500)))
            elif choice == 1:
                del data[generator.randrange(len(data)) :]
            elif choice == 2:
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
            stream.write(bytes(data))
            assert client.hello().layers == 2
        client.load(INPUT.tobytes())
        client.invoke(trace=False, timeout_s=5)
        assert client.output(8) == reference()[0].tobytes()
    finally:
        stream.close()


@pytest.mark.parametrize("fed", [False, True], ids=["frame", "fed"])
@pytest.mark.parametrize(
    ("spec", "to"),
    [
        ("host", "c"),
        ("unicorn", "cortex-m4"),
        ("unicorn", "cortex-a"),
        ("qemu", "cortex-m3"),
        ("qemu:zig", "cortex-m55"),
    ],
)
def test_int8_programs_with_real_ends(spec: str, to: str, fed: bool, tmp_path: Path):
    """Real numbers in and out, on an input where quantizing needs the program's own division."""
    chip = profiles.target(to)
    made = plan(flattened(), chip, fed=fed)
    source = write(made, tmp_path, io="float32")
    shape = made.graph[made.graph.inputs[0]].shape
    scale = made.graph[made.graph.inputs[0]].quantization.scale
    real = np.random.default_rng(4).uniform(-3, 3, shape).astype(np.float32)
    near = np.arange(-90, 90, dtype=np.float32) + np.float32(0.5)
    real.flat[: near.size] = np.nextafter(near * scale, np.float32(0))
    layers = tuple((layer.name, layer.node.output) for layer in made.layers)
    golden = make_golden(made.graph, layers, real, "float32")
    signature = Signature((TensorType(shape, "float32"),), (TensorType((1, 7), "float32"),))
    with make_runner(spec, chip) as runner:
        if reason := runner.unavailable():
            pytest.skip(reason)
        runner.load(runner.build(source, tmp_path / "work"), signature)
        result = runner.run((real,))
    assert result.outputs[0].dtype == np.float32
    np.testing.assert_array_equal(result.outputs[0].reshape(1, 7), golden.outputs)
    assert result.digests == tuple(golden.digests[0])
    assert len(np.unique(golden.outputs)) > 3


def test_identity_is_read_back(tmp_path: Path):
    """What the host reads from an image is what its firmware says."""
    source = export(tmp_path / "c")
    with make_runner("qemu", profiles.target("cortex-m4")) as runner:
        if reason := runner.unavailable():
            pytest.skip(reason)
        image = runner.build(source, tmp_path / "work").image
    tables = read_model(Elf.load(image))
    program = [(layer, 1) for _ in range(4) for layer in (0, 1)]
    rows = np.array([0, 1, 2, 3, 4, 4, 4, 4, 5], "<u2")
    entries = np.array([(count - 1) << 10 | layer for layer, count in program], "<u2")
    constants = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.uint8)
    parts = constants.tobytes() + entries.tobytes() + rows.tobytes()
    assert tables.identity == zlib.crc32(parts)
    assert tables.row_offsets == tuple(8 * int(row) for row in rows)
    assert [(one.rows, one.row_bytes, one.advance) for one in tables.layers] == [
        (4, 8, 1),
        (1, 8, 0),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_serial(tmp_path: Path):
    """The serial runner over a pseudo-terminal, with the firmware's host build as the board."""
    pytest.importorskip("serial")
    import pty
    import tty

    source = export(tmp_path / "c")
    with make_runner("host", profiles.target("c")) as host:
        board = ProcessStream([str(host.build(source, tmp_path / "board").image)])
    near, far = pty.openpty()
    tty.setraw(far)

    def from_host() -> None:
        try:
            while data := os.read(near, 4096):
                board.write(data)
        except (OSError, RunnerError):
            return

    def to_host() -> None:
        try:
            while True:
                os.write(near, board.read(0.2))
        except (OSError, RunnerError):
            return

    for pump in (from_host, to_host):
        threading.Thread(target=pump, daemon=True).start()
    try:
        spec = f"serial:{os.ttyname(far)}"
        check(run(spec, "cortex-m4", source, tmp_path / "work"))
        other = export(tmp_path / "other")
        text = (other / "model.c").read_text()
        (other / "model.c").write_text(text.replace("constants[8] = {1}", "constants[8] = {2}"))
        with pytest.raises(RunnerError, match="holds another model"):
            run(spec, "cortex-m4", other, tmp_path / "other_work")
    finally:
        board.close()
        os.close(near)
        os.close(far)


def test_wrong_inputs(tmp_path: Path):
    with make_runner("host", profiles.target("c")) as runner:
        runner.load(runner.build(export(tmp_path / "c"), tmp_path / "work"), SIGNATURE)
        with pytest.raises(UsageError, match=r"input 0 is int8\(32,\); the model takes int8\(1, 4"):
            runner.run((INPUT.reshape(32),))
        with pytest.raises(UsageError, match="takes 1 inputs, not 2"):
            runner.run((INPUT, INPUT))


@pytest.mark.parametrize("spec", ["unicorn", "qemu", "host"])
def test_build_errors_are_one_sentence(spec: str, tmp_path: Path):
    target = "c" if spec == "host" else "cortex-m4"
    source = export(tmp_path / "c")
    with make_runner(spec, profiles.target(target)) as runner:
        if reason := runner.unavailable():
            pytest.skip(reason)
        (source / "src" / "run.c").write_text("int broken(void) { return nothing; }\n")
        with pytest.raises(
            RunnerError, match=r"could not compile run\.c: run\.c:1.*nothing"
        ) as bad:
            runner.build(source, tmp_path / "work")
        assert "\n" not in str(bad.value)
        assert str(tmp_path) not in str(bad.value)
        (source / "src" / "run.c").write_text("")
        with pytest.raises(RunnerError, match=r"could not link .*fedtiny_r"):
            runner.build(source, tmp_path / "work")
        with pytest.raises(UsageError, match=r"has no model\.h"):
            runner.build(tmp_path, tmp_path / "work")
