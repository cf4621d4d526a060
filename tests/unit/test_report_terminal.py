"""The terminal report: the same verdicts as the page, plain when it is not a terminal."""

import io
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from fedtiny.cli.app import fedtiny
from fedtiny.report import model, units
from fedtiny.report.terminal import make_console, print_report

pytestmark = pytest.mark.quick

TENSOR = model.TensorInfo((1, 4), "int8", 0.1, 0)


def make_report(**changes):
    content = {
        "fedtiny_version": "0.1.0",
        "model": model.ModelInfo(
            "net[1]", "ab", 0.1, 77_850, 12_501_632, 1_570_200, TENSOR, TENSOR
        ),
        "target": "cortex-m4",
        "device": model.DeviceInfo("board", 100_000, 50_000, 120_000_000, None),
        "layers": (model.LayerReport("conv1", "conv2d", "conv2d_s8[x]", "dense", 1.0, 10, 10),),
        "totals": model.Totals(
            flash_bytes=model.Figure(28_540, "measured", "gcc 12"),
            arena_bytes=model.Figure(33_280, "emulated", "unicorn"),
            static_ram_bytes=model.Figure(0, "measured", "gcc 12"),
            instructions=model.Figure(5_940_000, "emulated", "unicorn"),
        ),
        "budget": model.Budget(True),
        "verification": (model.Verification("unicorn", 8, True, 0.0, "int8 graph"),),
        "accuracy": model.Accuracy("mini/test", 0.82, 0.81, 0.81),
    }
    return model.DeploymentReport(**{**content, **changes})


def shown(report, **options):
    stream = io.StringIO()
    print_report(report, make_console(stream), **options)
    return stream.getvalue()


def test_one_screen_says_it_all_in_plain_text():
    text = shown(make_report())
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 120
    assert "net[1] → board (cortex-m4, 120 MHz)" in text
    for part in ("Fits board", "Equal to the reference", "81.0 % accuracy", "5.94 M"):
        assert part in text
    (sram,) = [line for line in text.splitlines() if "SRAM" in line and "KiB" in line]
    assert "32.5 KiB" in sram
    assert "66.6 %" in sram
    assert "emulated by unicorn, gcc 12" in sram
    assert "conv2d_s8" not in text
    assert "conv2d_s8[x]" in shown(make_report(), layers=True)


def test_sizes_of_files_are_beside_those_of_dense_ones():
    files = (
        model.Artifact("c", "c", 1_000_000, "0" * 64),
        model.Artifact("tflite", "model.tflite", 11_000_000, "0" * 64, 900_000),
        model.Artifact(
            "sparse-tflite", "model.sparse.tflite", 2_000, "0" * 64, 1_500, 11_000_000, 900_000
        ),
    )
    assert "model.tflite" not in shown(make_report(artifacts=files))
    text = shown(make_report(artifacts=files), files=True)
    (line,) = [line for line in text.splitlines() if "sparse" in line]
    assert line.split() == [
        "model.sparse.tflite", "2,000", "B", "1,500", "B", "10.49", "MiB", "878.9", "KiB"
    ]  # fmt: skip
    assert len([line for line in text.splitlines() if "model." in line]) == 2


def test_the_arena_is_beside_its_bound_and_the_stack_beside_its_own():
    totals = replace(
        make_report().totals,
        stack_bytes=model.Figure(440, "emulated", "unicorn"),
        stack_bound_bytes=model.Figure(456, "measured", "gcc 12"),
    )
    text = shown(make_report(totals=totals, arena=model.ArenaMap("rows", 33_280, 32_000, (), 0.04)))
    (least,) = [line for line in text.splitlines() if "arena, at least" in line]
    assert "31.2 KiB" in least
    assert "the arena is 4.0 % above" in least
    (most,) = [line for line in text.splitlines() if "stack, at most" in line]
    assert "456 B" in most
    assert "measured by gcc 12" in most
    (sram,) = [line for line in text.splitlines() if "SRAM" in line and "KiB" in line]
    assert "32.9 KiB" in sram  # what is reserved is the bound


def test_what_does_not_fit_is_named():
    over = model.BudgetFailure("sram_bytes", 50_000, 60_000, "conv1 scratch", "density 0.05 fits")
    text = shown(make_report(budget=model.Budget(False, (over,))))
    assert "Does not fit board" in text
    assert "10,000 B too much, most in conv1 scratch; density 0.05 fits" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (940, "940"), (9_999, "9,999"), (12_345, "12.3 k"), (999_400, "999 k"),
     (5_940_000, "5.94 M"), (12_501_632, "12.5 M"), (1.2e9, "1.20 G"), (None, units.UNKNOWN)],
)  # fmt: skip
def test_counts(value, text):
    assert units.count_text(value) == text


def test_the_command_shows_and_writes_the_page(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.json").write_text(make_report().to_json())
    page = tmp_path / "page.html"
    result = CliRunner().invoke(fedtiny, ["report", str(folder), "--html", str(page)])
    assert result.exit_code == 0, result.stderr
    assert "Fits board" in result.stdout
    assert "Fits board" in page.read_text()
    result = CliRunner().invoke(fedtiny, ["report", str(folder), str(folder), "--json"])
    assert json.loads(result.stdout) == 2 * [json.loads(make_report().to_json())]


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 1}', "\x00\x01"])
def test_a_damaged_report_is_bad_input(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    result = CliRunner().invoke(fedtiny, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert str(tmp_path / "report.json") in result.stderr
