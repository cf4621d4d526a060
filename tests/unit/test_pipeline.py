"""Cycles of short pieces of Thumb code, as the documents that the tables cite say."""

from dataclasses import replace

import pytest

from fedtiny.devices import profiles
from fedtiny.devices.pipeline import Block, Estimator, wait_cycles
from fedtiny.devices.runner import RunResult
from fedtiny.report.build import describe_device, with_latency, with_run
from fedtiny.report.model import Figure, Totals
from tests.unit.test_report_model import make_report

LOADS = "0868 1a68"  # ldr r0, [r1]; ldr r2, [r3]
USE = "0868 0130"  # ldr r0, [r1]; adds r0, #1
SMLAL = "c2fb0301"  # smlal r0, r1, r2, r3
LDRD, LDM, SDIV = "d2e90001", "1ec8", "91fbf2f0"
ADDS = "0130 0131"  # adds r0, #1; adds r1, #1
CHAIN = "0130 0130"
LOOP = "0138 fdd1"  # subs r0, #1; bne to it


def cycles(core: str, code: str, runs: int = 1, taken: int = 0) -> float:
    estimator = Estimator(profiles.target(core).pipeline)
    return estimator.cycles(Block(0x0800_0000, bytes.fromhex(code)), runs, taken)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("core", "code", "expected"),
    [
        ("cortex-m4", LOADS, 3),
        ("cortex-m4", USE, 3),
        ("cortex-m4", SMLAL + SMLAL, 2),
        ("cortex-m4", LDRD, 3),
        ("cortex-m4", LDM, 5),
        ("cortex-m4", SDIV, 7),
        ("cortex-m4", ADDS, 2),
        ("cortex-m33", LOADS, 2),
        ("cortex-m33", USE, 3),
        ("cortex-m7", ADDS, 1),
        ("cortex-m7", CHAIN, 2),
        ("cortex-m7", LOADS, 1),
        ("cortex-m7", USE, 3),
        ("cortex-m7", SMLAL + SMLAL, 2),
    ],
)
def test_short_code(core: str, code: str, expected: int) -> None:
    assert cycles(core, code) == expected


@pytest.mark.quick
def test_branches() -> None:
    assert cycles("cortex-m4", LOOP, runs=10, taken=9) == 10 * 2 + 9 * 2
    flat = cycles("cortex-m7", LOOP, runs=10, taken=0)
    assert cycles("cortex-m7", LOOP, runs=10, taken=9) == flat + 7  # the end is mispredicted
    assert cycles("cortex-m7", LOOP, runs=10, taken=5) == flat + 5 * 7


@pytest.mark.quick
def test_targets_without_a_model_have_none() -> None:
    assert not profiles.target("cortex-m3").pipeline
    with pytest.raises(TypeError):
        Estimator({"width": 1})


@pytest.mark.quick
def test_reports_add_what_flash_makes_wait() -> None:
    assert wait_cycles(10, 5, 8) == 50
    assert wait_cycles(10, 4, 16) == 20
    board = profiles.board("nucleo-l4r5zi")
    report = make_report(device=describe_device(board))
    layers = len(report.layers)
    run = RunResult((), layer_cycles=(7.0, *[100.4] * layers), layer_flash_lines=(10,) * layers)
    seen = with_latency(with_run(report, [run], "emulated", "unicorn"))
    assert [layer.cycles.value for layer in seen.layers if layer.cycles] == [150] * layers
    assert seen.totals.cycles is not None
    assert seen.totals.cycles.value == 7 + 150 * layers
    assert seen.totals.cycles.evidence == "estimated"


@pytest.mark.quick
def test_programs_that_have_not_run_take_the_cycles_of_a_slow_network() -> None:
    board = profiles.board("nucleo-l4r5zi")
    totals = Totals(instructions=Figure(3_000_000, "estimated", "cost model"))
    report = make_report(device=describe_device(board), totals=totals)
    latency = with_latency(report).totals.latency_ms
    assert latency == Figure(40.0, "estimated", "1.6 cycles an instruction")
    latency = with_latency(replace(report, target="cortex-m3")).totals.latency_ms
    assert latency == Figure(25.0, "estimated", "one instruction a cycle")
