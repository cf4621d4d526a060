"""`fedtiny bench`: contenders in processes of their own, held to the reference, then timed."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from fedtiny.benchmark import contender
from fedtiny.benchmark.process import Process
from fedtiny.cli.app import fedtiny
from fedtiny.errors import RunnerError
from fedtiny.exporters import tflite
from tests.networks import resnet8


def command(*words):
    return CliRunner().invoke(fedtiny, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Exports of a small ResNet-8: int8, float32, and int8 with float I/O and without ONNX."""
    folder = tmp_path_factory.mktemp("bench")
    found = {}
    for name, dtype, options in (
        ("int8", "int8", ("--target", "x86-64")),
        ("float32", "float32", ("--target", "x86-64")),
        ("real", "int8", ("--target", "cortex-m4", "--io", "float32", "--format", "c,tflite")),
    ):
        model = folder / f"{name}.tflite"
        tflite.write(resnet8(dtype, 0.1, size=16, width=8), model)
        found[name] = folder / name
        done = command("export", model, "--dtype", dtype, *options, "--out", found[name])
        assert done.exit_code == 0, done.output
    return found


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr("fedtiny.benchmark.race.STARTS", 1)
    monkeypatch.setattr("fedtiny.benchmark.race.BATCH_MS", 1)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_every_contender_is_timed(made, name):
    words = ("bench", made[name], "--against", "onnxruntime,litert", "--rounds", 3, "--json")
    done = command(*words, *(() if name == "int8" else ("--threads", 1)))
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert len(result["races"]) == (min(2, result["machine"]["cpus"]) if name == "int8" else 1)
    for race in result["races"]:
        ours, *others = race["entries"]
        assert [e["name"] for e in race["entries"]] == ["fedtiny", "onnxruntime", "litert"]
        assert (ours["threads"], ours["ratio"], ours["file"]) == (1, None, "c")
        for entry in others:
            assert entry["threads"] == race["threads"]
            assert 0 < entry["ratio"]["q1"] <= entry["ratio"]["median"] <= entry["ratio"]["q3"]
            # A megabyte is far less than either library is.
            assert entry["peak_bytes"] > entry["runtime_bytes"] > 1_000_000 > ours["runtime_bytes"]
        for entry in race["entries"]:
            assert entry["batch"] >= 1
            assert min(entry["time_us"]["q1"], entry["load_ms"], entry["first_ms"]) > 0


def test_the_screen_says_what_must_be_known(made):
    done = command("bench", made["real"], "--against", "litert", "--rounds", 1)
    assert done.exit_code == 0, done.output
    for part in ("model.tflite", "planned for cortex-m4", "density 0.1", "1 rounds"):
        assert part in done.stdout
    assert ("2 threads" in done.stdout) == ("fedtiny has no threads" in done.stdout)
    alone = command("bench", made["int8"], "--rounds", 1, "--threads", 1)
    assert alone.exit_code == 0
    assert "planned for" not in alone.stdout


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--against", "onnxruntime"), 2, "holds nothing that onnxruntime loads"),
        (("--against", "litrt"), 2, "Did you mean 'litert'"),
        (("--threads", "1,0"), 2, "give numbers from 1 on"),
        (("--threads", "4096"), 2, "4096 threads cannot be timed"),
    ],
)
def test_bad_usage_is_one_sentence(made, words, code, named):
    done = command("bench", made["real"], *words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert named in done.stderr


def test_a_folder_that_is_no_export_or_was_changed_is_refused(made, tmp_path):
    assert command("bench", tmp_path).exit_code == 2
    path = made["real"] / "model.tflite"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    done = command("bench", made["real"])
    path.write_bytes(kept)
    assert done.exit_code == 2
    assert "not what was exported" in done.stderr


def test_a_missing_runtime_is_exit_code_5(made, monkeypatch, tmp_path):
    """In a process where onnxruntime cannot be imported."""
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no onnxruntime')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = command("bench", made["int8"], "--against", "onnxruntime")
    assert done.exit_code == 5
    assert "onnxruntime is not installed" in done.stderr


def test_a_crash_is_exit_code_5_with_its_last_words(made, monkeypatch, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ValueError('a damaged installation')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = command("bench", made["int8"], "--against", "onnxruntime")
    assert done.exit_code == 5
    assert "a damaged installation" in done.stderr


def test_wrong_outputs_are_exit_code_4(made, monkeypatch):
    whole = contender.load("litert")
    wrong = contender.Contender(
        whole.formats, None, whole.require, whole.open,
        from_runtime=lambda model, y: (y ^ 64).astype(y.dtype),
    )  # fmt: skip
    module = sys.modules["fedtiny.benchmark.contenders.litert"]
    monkeypatch.setattr(module, "CONTENDER", wrong)
    done = command("bench", made["int8"], "--against", "litert", "--threads", 1)
    assert done.exit_code == 4
    assert "outputs of litert differ from the reference by 6" in done.stderr


def test_a_process_that_does_not_answer_is_ended(made, monkeypatch, tmp_path):
    import numpy as np

    monkeypatch.setattr("fedtiny.benchmark.process.TIMEOUT_S", 0)
    np.save(tmp_path / "x.npy", np.zeros((1, 16, 16, 3), np.int8))
    with pytest.raises(RunnerError, match="did not answer"):
        Process("litert", made["int8"] / "model.tflite", tmp_path / "x.npy", 1, True, tmp_path)
