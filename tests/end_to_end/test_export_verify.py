"""From a trained file to a verified export, through the same functions that the CLI calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import fedtiny
from fedtiny import pipeline
from fedtiny.compiler.calibration import observe
from fedtiny.errors import DoesNotFitError, MismatchError, UsageError
from fedtiny.exporters import tflite
from fedtiny.golden import Golden
from fedtiny.models import create
from fedtiny.report.model import DeploymentReport, read_report
from fedtiny.sparse_model import Provenance, SparseModel
from tests.networks import resnet8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-8 with random weights, statistics, ranges and a mask of density 0.1."""
    torch.manual_seed(3)
    torch.set_num_threads(1)
    module = create("resnet8-stride2", (1, 28, 28), 10).eval()
    masks = {}
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 2)
        for name, parameter in module.named_parameters():
            if parameter.ndim == 4 and "stem" not in name:
                masks[name] = torch.rand_like(parameter) < 0.1
                parameter.mul_(masks[name])
    ranges = observe(module, [torch.rand(16, 1, 28, 28)])
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    SparseModel(
        "resnet8-stride2",
        (1, 28, 28),
        tuple("abcdefghij"),
        module.state_dict(),
        masks,
        Provenance("test", "fashion-mnist-mini", 0.1, 1, 0),
        ranges,
    ).save(path)
    return path


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "m4"
    pipeline.export(model, device="nucleo-l4r5zi", out=out)
    return out


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_exports_are_equal_bytes(model: Path, exported: Path, tmp_path: Path) -> None:
    pipeline.export(model, device="nucleo-l4r5zi", out=tmp_path / "again")
    assert tree(tmp_path / "again") == tree(exported)


def test_every_file_is_there(exported: Path) -> None:
    files = set(tree(exported))
    assert {"report.json", "report.html", "golden.npz", "model.onnx", "model.tflite"} <= files
    assert {"c/model.h", "c/model.c", "c/weights.c", "c/Makefile", "c/CMakeLists.txt"} <= files


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-a"])
def test_predictions_hold_on_the_emulated_core(model: Path, tmp_path: Path, target: str) -> None:
    planned = pipeline.export(model, target=target, out=tmp_path / "x")
    seen = pipeline.verify(tmp_path / "x")
    assert [(v.title, v.equal) for v in seen.verification] == [
        ("onnxruntime (onnx)", True),
        ("litert (tflite)", True),
        ("litert-default (tflite)", True),
        ("host", True),
        ("unicorn", True),
    ]
    exact = {v.runner: v.bit_exact for v in seen.verification}
    assert exact["litert"]
    assert exact["host"]
    assert exact["unicorn"]
    assert planned.totals.arena_bytes is not None
    assert seen.totals.arena_bytes is not None
    assert seen.totals.arena_bytes.evidence == "emulated"
    assert seen.totals.arena_bytes.value == planned.totals.arena_bytes.value
    assert seen.totals.static_ram_bytes is not None
    assert seen.totals.static_ram_bytes.value == 0
    instructions = [layer.instructions for layer in seen.layers]
    assert seen.totals.instructions is not None
    inside = sum(figure.value for figure in instructions if figure is not None)
    assert 0.95 * seen.totals.instructions.value < inside < seen.totals.instructions.value
    assert read_report(tmp_path / "x") == seen


def test_accuracy_of_float_graph_and_c_agree(exported: Path, tmp_path: Path) -> None:
    report = read_report(exported)
    assert report.accuracy is not None
    assert report.accuracy.samples == 2000
    assert report.accuracy.float32 is not None
    assert report.accuracy.int8 is not None
    seen = pipeline.verify(exported, ["host"])
    assert seen.accuracy is not None
    assert seen.accuracy.runtime == report.accuracy.int8


def test_a_wrong_layer_is_named(exported: Path, tmp_path: Path) -> None:
    golden = Golden.load(exported / "golden.npz")
    layer = 4
    digests = golden.digests.copy()
    digests[:, layer:] ^= 1
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, data in tree(exported).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    outputs = golden.outputs.copy()
    outputs[0, 0] += 1
    dataclasses.replace(golden, digests=digests, outputs=outputs).save(copy / "golden.npz")
    with pytest.raises(UsageError, match=r"golden\.npz"):  # it is not what was exported
        pipeline.verify(copy, ["host"])
    report = read_report(copy)
    others = tuple(a for a in report.artifacts if a.format != "golden")
    (copy / "report.json").write_text(dataclasses.replace(report, artifacts=others).to_json())
    seen = pipeline.verify(copy, ["host"])
    entry = next(v for v in seen.verification if v.runner == "host")
    assert entry.first_divergent_layer == golden.layers[layer]
    assert isinstance(seen.failure(), MismatchError)


def profile(folder: Path, flash: int, sram: int) -> str:
    path = folder / "tiny.toml"
    path.write_text(
        f"""
description = "a board that is too small"
target = "cortex-m4"
cpu = "1 x Arm Cortex-M4F"
clock_hz = 80_000_000
flash_bytes = {flash}
sram_bytes = {sram}

[sources]
clock_hz = "a test"
flash_bytes = "a test"
sram_bytes = "a test"
"""
    )
    return str(path)


def test_too_big_says_what_would_fit(model: Path, tmp_path: Path) -> None:
    report = pipeline.export(model, device=profile(tmp_path, 20_000, 65_536), out=tmp_path / "x")
    assert isinstance(report.failure(), DoesNotFitError)
    (failure,) = report.budget.failures
    assert failure.what == "flash_bytes"
    assert failure.value > failure.limit == 20_000
    assert failure.where.startswith("layer ")
    assert failure.hint is not None
    assert "--density" in failure.hint
    density = float(failure.hint.split("--density ")[1].split()[0])
    fitting = pipeline.export(
        model,
        device=profile(tmp_path, 20_000, 65_536),
        out=tmp_path / "y",
        density=density,
    )
    assert fitting.budget.fits
    assert (tmp_path / "x" / "report.json").is_file()


def test_too_little_memory_names_the_buffer(model: Path, tmp_path: Path) -> None:
    report = pipeline.export(model, device=profile(tmp_path, 10**6, 1_000), out=tmp_path / "x")
    (failure,) = report.budget.failures
    assert failure.what == "sram_bytes"
    assert failure.where.startswith("buffer ")
    assert failure.hint == "no density fits: use a smaller input or fewer channels"


def test_int8_needs_ranges(model: Path, tmp_path: Path) -> None:
    bare = dataclasses.replace(SparseModel.load(model), ranges={})
    bare.save(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="--calibration"):
        pipeline.export(tmp_path / "model.safetensors", target="cortex-m4", out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
    report = pipeline.export(
        tmp_path / "model.safetensors",
        target="cortex-m4",
        out=tmp_path / "x",
        calibration="fashion-mnist-mini",
        formats=("tflite",),
    )
    assert report.model.input.dtype == "int8"


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_every_format_is_written_and_verified(model: Path, tmp_path: Path, io: str) -> None:
    names = ("c", "onnx", "ort", "sparse-onnx", "sparse-tflite", "tflite")
    trees = []
    for folder in (tmp_path / "x", tmp_path / "y"):
        report = pipeline.export(model, target="cortex-a", out=folder, formats=names, io=io)
        trees.append(tree(folder))
    assert trees[0] == trees[1]
    assert report.model.input.dtype == report.model.output.dtype == io
    assert (report.model.input.scale is None) == (io == "float32")
    assert Golden.load(tmp_path / "x" / "golden.npz").inputs.dtype == io
    sizes = {a.format: a for a in report.artifacts}
    for name in ("sparse-onnx", "sparse-tflite"):
        item = sizes[name]
        assert item.dense_bytes == sizes[name.removeprefix("sparse-")].bytes > item.bytes
    seen = pipeline.verify(tmp_path / "x")
    assert seen.equal
    exact = {v.title for v in seen.verification if v.bit_exact}
    assert {"host", "unicorn", "litert (tflite)", "litert (sparse-tflite)"} <= exact
    assert len(seen.verification) == 3 + 2 * 2 + 2
    assert seen.accuracy is not None
    assert seen.accuracy.runtime == seen.accuracy.int8


def test_an_int8_model_stays_int8_where_float_is_the_default(tmp_path: Path) -> None:
    tflite.write(resnet8("int8", 0.3, size=8, width=4), tmp_path / "net.tflite")
    report = pipeline.export(
        tmp_path / "net.tflite", target="x86-64", out=tmp_path / "x", formats=("onnx", "c")
    )
    assert report.model.input.dtype == "int8"
    assert report.totals.instructions is None  # times rank kernels there; they count nothing


def test_a_format_that_would_be_wrong_is_refused_and_nothing_is_left(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="computes wrong results without an error"):
        pipeline.export(model, target="cortex-m4", out=tmp_path / "x", formats=("sparse-tflite",))
    with pytest.raises(UsageError, match="a float32 program cannot exchange int8"):
        pipeline.export(model, target="c", out=tmp_path / "x", dtype="float32", io="int8")
    assert list(tmp_path.iterdir()) == []
    report = pipeline.export(model, target="c", out=tmp_path / "x", dtype="float16")
    assert [a.format for a in report.artifacts] == ["onnx", "tflite", "golden"]
    assert pipeline.verify(tmp_path / "x").equal


def test_python_interface(model: Path, tmp_path: Path) -> None:
    loaded = fedtiny.load(model)
    report = fedtiny.export(loaded, target="c", out=tmp_path / "x", dtype="int8")
    assert isinstance(report, DeploymentReport)
    golden = Golden.load(tmp_path / "x" / "golden.npz")
    outputs = fedtiny.deployed(tmp_path / "x").predict(golden.inputs)
    assert np.array_equal(outputs, golden.outputs)
