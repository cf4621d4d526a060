"""MLPerf Tiny's int8 models, whole: from the published file to the emulated core, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedtiny import pipeline

MODELS = Path(
    os.environ.get("FEDTINY_MODELS", Path(__file__).parents[3] / "shared/models/mlperf_tiny")
)
FILES = ("pretrainedResnet_quant.tflite", "kws_ref_model.tflite", "ad01_int8.tflite")


def model(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"{path} is absent; set FEDTINY_MODELS to the folder of MLPerf Tiny's models")
    return path


@pytest.mark.parametrize("name", FILES)
def test_every_runner_gives_the_same_integers(name: str, tmp_path: Path) -> None:
    source = model(name)
    planned = pipeline.export(source, target="cortex-m4", out=tmp_path / "x")
    seen = pipeline.verify(tmp_path / "x")
    exact = {entry.runner: entry.bit_exact for entry in seen.verification}
    assert exact["litert"]
    assert exact["host"]
    assert exact["unicorn"]
    assert planned.totals.arena_bytes is not None
    assert seen.totals.arena_bytes is not None
    assert seen.totals.arena_bytes.value == planned.totals.arena_bytes.value


@pytest.mark.parametrize("name", FILES)
def test_an_int8_model_can_be_pruned(name: str, tmp_path: Path) -> None:
    source = model(name)
    whole = pipeline.export(source, target="cortex-m4", out=tmp_path / "whole", formats=("c",))
    pruned = pipeline.export(
        source, target="cortex-m4", out=tmp_path / "pruned", formats=("c",), density=0.1
    )
    before, after = whole.totals.weights_bytes, pruned.totals.weights_bytes
    assert before is not None
    assert after is not None
    assert after.value < 0.7 * before.value
    seen = pipeline.verify(tmp_path / "pruned", ["host"])
    assert all(entry.bit_exact for entry in seen.verification)
