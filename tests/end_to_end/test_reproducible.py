"""The same input, versions and flags give byte-identical folders, wherever and whenever."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from fedtiny.compiler.calibration import observe
from fedtiny.models import create
from fedtiny.pruning.masks import magnitude_masks, masked
from fedtiny.sparse_model import Provenance, SparseModel

SHAPE = (1, 12, 12)


def small_model() -> SparseModel:
    module = create("resnet8@0.25", SHAPE, 3)
    counts = {"stage2.conv2.weight": 90, "stage3.conv2.weight": 200}
    masks = magnitude_masks(module.state_dict(), counts)
    module.load_state_dict(masked(module.state_dict(), masks))
    ranges = observe(module, [torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(0))])
    provenance = Provenance("fedtiny", "somebody's", 0.1, 1, 0)
    return SparseModel(
        "resnet8@0.25", SHAPE, ("a", "b", "c"), module.state_dict(), masks, provenance, ranges
    )


def exported(model: Path, folder: Path, hash_seed: str) -> dict[str, bytes]:
    """Export and verify in another process, from another folder; the files by name."""
    out = folder / "out"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TZ": f"UTC{hash_seed}"}
    formats = "onnx,sparse-onnx,ort,tflite,sparse-tflite,c"
    options = ["--device", "raspberry-pi-zero-2w", "--format", formats, "--out", str(out)]
    folder.mkdir()
    for words in (["export", str(model), *options], ["verify", str(out), "--on", "host"]):
        command = [sys.executable, "-m", "fedtiny", *words, "-q"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_two_exports_are_the_same_bytes(tmp_path):
    model = tmp_path / "model.safetensors"
    small_model().save(model)
    first = exported(model, tmp_path / "a", "1")
    second = exported(model, tmp_path / "elsewhere", "2")
    assert first.keys() == second.keys()
    assert {"report.json", "report.html", "golden.npz", "c/weights.c"} <= first.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]
