"""Flash in the report is what the linker places: sections and symbols of the real ELF file."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fedtiny.cli.app import fedtiny
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.elf import Elf
from fedtiny.devices.runner import make_runner
from fedtiny.exporters import tflite
from tests.networks import dscnn, resnet8

MODELS = {
    "resnet8, density 0.1": lambda: resnet8(density=0.1, size=16, width=8),
    "dscnn, density 0.2": lambda: dscnn(channels=32, density=0.2),
}


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("name", MODELS)
def test_the_report_is_what_the_linker_placed(name, optimize, tmp_path):
    target = profiles.target("cortex-m4")
    if not toolchains.available(target):
        pytest.skip("no compiler for Cortex-M")
    tflite.write(MODELS[name](), tmp_path / "model.tflite")
    words = ["export", str(tmp_path / "model.tflite"), "--target", target.name, "--format", "c"]
    done = CliRunner().invoke(
        fedtiny, [*words, "--optimize", optimize, "--json", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    proof = CliRunner().invoke(fedtiny, ["verify", str(tmp_path / "out"), "--on", "unicorn"])
    assert proof.exit_code == 0, proof.output
    with make_runner(target.runner, target) as runner:
        image = Elf.load(runner.build(tmp_path / "out" / "c", tmp_path / "build").image)
    totals = {key: item and item["value"] for key, item in report["totals"].items()}
    section = image.sections[".model_constants"]
    assert totals["weights_bytes"] == section.size
    library = image.section_bytes(".library")
    assert totals["code_bytes"] == image.section_bytes(".model_code") + library
    assert totals["flash_bytes"] == totals["weights_bytes"] + totals["code_bytes"]
    # Every byte of the section belongs to a symbol, but for alignment between them.
    end = section.address + section.size
    inside = {s.address: s for s in image.symbols.values() if section.address <= s.address < end}
    gaps = section.size - sum(symbol.size for symbol in inside.values())
    assert 0 <= gaps <= 8 * len(inside)
    # The block holds the layers' constants, equal arrays once, and padding.
    block = image.symbols["model_constants"].size
    layers = sum(layer["flash_bytes"]["value"] for layer in report["layers"])
    assert 0.95 * layers < block <= layers + 4 * len(report["layers"])
