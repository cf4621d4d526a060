"""MLPerf Tiny's int8 models, whole: from the published file to the emulated core, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fedtiny import export_folder, pipeline
from fedtiny.compiler import planner, reference
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.compiler.passes import lower
from fedtiny.compiler.planner import RAM_MODES
from fedtiny.devices import profiles
from fedtiny.exporters import litert, tflite
from fedtiny.runtime.host_plan import run_plan_tensors

MODELS = Path(os.environ.get("FEDTINY_MODELS", Path(__file__).parents[3] / "shared/models"))
FILES = ("pretrainedResnet_quant.tflite", "kws_ref_model.tflite", "ad01_int8.tflite")


def model(name: str) -> Path:
    path = MODELS / "mlperf_tiny" / name
    if not path.is_file():
        pytest.skip(f"{path} is absent; set FEDTINY_MODELS to the folder of the models")
    return path


def agree(path: Path, folder: Path, count: int) -> None:
    """LiteRT on the file read and on the file written, our reference, and the rows the C makes."""
    read = from_tflite(path.read_bytes(), "model")
    graph = lower(read)
    tflite.write(graph, folder / "written.tflite")
    (source,) = graph.inputs
    x = np.random.default_rng(0).integers(-128, 128, (count, *graph[source].shape[1:]))
    inputs = {source: x.astype(np.int8)}
    theirs = litert.run(path, inputs, reference=True, keep_all=True)
    ours = reference.execute(read, inputs, keep_all=True)
    assert {name for node in read.nodes for name in node.outputs} <= set(theirs) & set(ours)
    for name in set(ours) & set(theirs):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    written = litert.run(folder / "written.tflite", inputs, reference=True, keep_all=True)
    for name in graph.outputs:
        np.testing.assert_array_equal(written[name], theirs[name], err_msg=name)
    for ram in RAM_MODES:
        plan = planner.plan(graph, profiles.target("c"), ram)
        for index in range(count):
            made = run_plan_tensors(plan, [inputs[source][index : index + 1]])
            assert set(graph.outputs) <= set(made)
            for name, value in made.items():
                assert value.size == written[name][index].size
                np.testing.assert_array_equal(
                    value.reshape(-1), written[name][index].reshape(-1), err_msg=f"{ram} {name}"
                )


@pytest.mark.parametrize("name", FILES)
def test_every_tensor(name: str, tmp_path: Path) -> None:
    agree(model(name), tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_tensor_of_many_inputs(name: str, tmp_path: Path) -> None:
    agree(model(name), tmp_path, 100)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("density", [None, 0.1])
@pytest.mark.parametrize("name", FILES)
def test_every_layer_of_many_inputs_on_an_emulated_core(
    name: str, density: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_folder, "GOLDEN_VECTORS", 100)
    pipeline.export(
        model(name), target="cortex-m4", out=tmp_path, formats=("c", "tflite"), density=density
    )
    seen = pipeline.verify(tmp_path, ["host", "unicorn"])
    found = {entry.runner: (entry.vectors, entry.bit_exact) for entry in seen.verification}
    assert {found[runner] for runner in ("litert", "host", "unicorn")} == {(100, True)}


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
