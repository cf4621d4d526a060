"""The static bound of the stack, against what emulated cores see of it, and by encodings."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from fedtiny.compiler import planner
from fedtiny.devices import profiles, stack_bound, toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.devices.stack_bound import StackBound, UnknownStackError
from fedtiny.exporters import c
from tests import networks
from tests.graph_strategies import samples

KERNEL_BYTES = 512
NETWORKS = {
    "residual": lambda: networks.resnet8(size=8, width=8, density=0.2),
    "separable": lambda: networks.dscnn(channels=8),
    "autoencoder": networks.autoencoder,
}


@pytest.mark.parametrize(
    ("target", "ram"),
    [
        ("cortex-m0plus", "balanced"),
        ("cortex-m4", "speed"),
        *(
            pytest.param(f"cortex-{core}", ram, marks=pytest.mark.slow)
            for core, ram in [
                ("m0plus", "speed"),
                ("m3", "balanced"),
                ("m3", "speed"),
                ("m4", "balanced"),
                ("m7", "balanced"),
                ("m7", "speed"),
                ("m33", "balanced"),
                ("m33", "speed"),
            ]
        ),
    ],
)
def test_no_inference_takes_more(target: str, ram: planner.RamMode, tmp_path: Path) -> None:
    chip = profiles.target(target)
    if "gcc" not in toolchains.available(chip):
        pytest.skip(f"no arm-none-eabi-gcc for {target}")
    for name, network in NETWORKS.items():
        graph = network()
        types = [
            tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
            for names in (graph.inputs, graph.outputs)
        ]
        with UnicornRunner(chip, "gcc") as runner:
            source = c.write(planner.plan(graph, chip, ram), tmp_path / name)
            build = runner.build(source, tmp_path / name / "build")
            runner.load(build, Signature(*types))
            seen = runner.run(tuple(samples(graph, 1).values())).stack_bytes
        assert seen is not None
        assert build.stack_bound_bytes is not None
        assert seen <= build.stack_bound_bytes <= seen + 64, name
        kernels = StackBound(Elf.load(build.image)).kernels
        assert max(kernels.values()) <= KERNEL_BYTES, name


@dataclass(frozen=True)
class Code:
    """Half words at address 0x100, as an ELF file gives them."""

    halves: tuple[int, ...]

    def read(self, address: int, size: int) -> bytes:
        code = b"".join(half.to_bytes(2, "little") for half in self.halves)
        return code[address - 0x100 :][:size]

    def data_between(self, start: int, end: int) -> list[tuple[int, int]]:
        return []


def read(*halves: int) -> stack_bound._Function:
    function = stack_bound._Function("f", 0x100, 0x100 + 2 * len(halves))
    stack_bound._read(Code(halves), function)  # type: ignore[arg-type]
    return function


@pytest.mark.quick
@pytest.mark.parametrize(
    ("halves", "frame"),
    [
        ((0xB5F8,), 24),  # push {r3-r7, lr}
        ((0xB410,), 4),  # push {r4}
        ((0xE92D, 0x4FF0), 36),  # push.w {r4-r11, lr}
        ((0xB084,), 16),  # sub sp, #16
        ((0xB004,), 0),  # add sp, #16
        ((0xF1AD, 0x0D68), 104),  # sub.w sp, sp, #104
        ((0xF5AD, 0x7D02), 520),  # sub.w sp, sp, #520
        ((0xF6AD, 0x0D08), 2056),  # subw sp, sp, #2056
        ((0xED2D, 0x8B04), 16),  # vpush {d8-d9}
        ((0xF84D, 0xED08), 8),  # str lr, [sp, #-8]!
        ((0xE96D, 0x4502), 8),  # strd r4, r5, [sp, #-8]!
        ((0x4B00, 0x449D, 0xFDE4, 0xFFFF), 540),  # ldr r3, =-540; add sp, r3
    ],
)
def test_what_instructions_take(halves: tuple[int, ...], frame: int) -> None:
    assert read(*halves).frame_bytes == frame


@pytest.mark.quick
def test_calls_and_jumps() -> None:
    assert read(0xF000, 0xF87E).calls == {0x200}  # bl
    assert read(0xF7FF, 0xFF7E).calls == {0x0}  # bl, backwards
    assert read(0xF000, 0xB87E).calls == {0x200}  # b.w
    assert read(0xE07E).calls == {0x200}  # b
    assert read(0xD07E).calls == {0x200}  # beq
    assert read(0xF000, 0x807E).calls == {0x200}  # beq.w
    assert read(0xE7FE).calls == set()  # b to itself
    assert read(0x4798).indirect  # blx r3
    assert read(0x4718).indirect  # bx r3
    assert not read(0x4770).indirect  # bx lr
    assert 0x20000101 in read(0xF240, 0x1301, 0xF2C2, 0x0300).holds  # movw, movt


@pytest.mark.quick
@pytest.mark.parametrize("halves", [(0x449D,), (0x469D,), (0xEBAD, 0x0D03)])
def test_a_stack_pointer_moved_by_a_register_is_refused(halves: tuple[int, ...]) -> None:
    with pytest.raises(UnknownStackError, match="f moves the stack pointer"):
        read(*halves)
