"""What goes wrong in a user's hands ends with one sentence, the documented code, and no debris."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fedtiny.cli.app import fedtiny

FACTORY = """
from torch import nn


def make(input_shape, classes):
    channels = input_shape[0]
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""
TRAIN = "--model user_network:make --density 0.5 --clients 2 --local-epochs 1 --batch 8 --lr 0.1"


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def train_words(data, out, rounds):
    words = ["train", "--data", str(data), *TRAIN.split(), "--pretrain-epochs", "1"]
    return [*words, "--rounds", str(rounds), "--out", str(out)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a user's own data and network, and a finished run."""
    folder = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 2
    images = rng.normal(size=(160, 1, 8, 8)) + labels[:, None, None, None]
    np.savez(folder / "data.npz", x=images.astype(np.float32), y=labels)
    (folder / "user_network.py").write_text(FACTORY)
    result = subprocess.run(
        [sys.executable, "-m", "fedtiny", *train_words("data.npz", "run", 2)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    assert "accuracy" in (folder / "run" / "report.html").read_text()
    return folder


@pytest.fixture
def at_place(place, monkeypatch):
    """The same, as the working folder."""
    monkeypatch.chdir(place)
    return place


def refused(words, code=2):
    """Run a command that must fail properly, plain and with --json; returns its sentence."""
    before = names(Path())
    plain = CliRunner().invoke(fedtiny, words)
    sentence = plain.stderr.splitlines()[-1]
    assert plain.exit_code == code, plain.stderr
    assert "Traceback" not in plain.stderr
    assert sentence.startswith("fedtiny: ")
    assert sentence.endswith(".")
    assert plain.stdout == ""
    document = json.loads(CliRunner().invoke(fedtiny, [*words, "--json"]).stdout)
    assert document["exit_code"] == code
    assert names(Path()) == before, "something was left behind"
    return sentence


def export_words(model, out="new", target="cortex-m4"):
    return ["export", str(model), "--target", target, "--out", str(out)]


@pytest.mark.parametrize("name", ["none.tflite", "none.onnx", "none.safetensors", "none"])
def test_a_missing_model_is_named(at_place, name):
    assert name in refused(export_words(name))


@pytest.mark.parametrize("suffix", ["tflite", "onnx", "safetensors"])
def test_random_bytes_are_no_model(at_place, tmp_path, suffix):
    for size in (0, 1, 100, 5000):
        file = tmp_path / f"noise.{suffix}"
        file.write_bytes(random.Random(size).randbytes(size))
        assert "noise" in refused(export_words(file))


@pytest.fixture(scope="module")
def exported(place):
    """A finished export of the run."""
    words = [sys.executable, "-m", "fedtiny", *export_words("run", "exported")]
    result = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    return place / "exported"


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model.safetensors"])
def test_truncated_models_are_refused(at_place, exported, tmp_path, name):
    whole = (at_place / "run" / name if name.endswith("rs") else exported / name).read_bytes()
    for share in (0.1, 0.5, 0.95):
        file = tmp_path / f"cut-{name}"
        file.write_bytes(whole[: int(share * len(whole))])
        assert "cut-model" in refused(export_words(file))


def test_unknown_names_list_the_known_and_the_nearest(at_place):
    assert "Did you mean 'cortex-m4'" in refused(export_words("run", target="cortex-m44"))
    words = ["export", "run", "--device", "nucleo-l4r5z", "--out", "new"]
    assert "Did you mean 'nucleo-l4r5zi'" in refused(words)
    words = [*export_words("run"), "--format", "onnx,tflight"]
    assert "Did you mean 'tflite'" in refused(words)
    words = ["train", "--density", "0.1", "--out", "new"]
    sentence = refused([*words, "--data", "fashion-mnist-mini", "--model", "resnet9"])
    assert "Did you mean 'resnet8'" in sentence
    sentence = refused([*words, "--data", "fashion-mnist-min", "--model", "resnet8"])
    assert "Did you mean 'fashion-mnist-mini'" in sentence


def test_an_unknown_runner_lists_the_known(at_place, exported):
    sentence = refused(["verify", str(exported), "--on", "unicron"])
    assert "Did you mean 'unicorn'" in sentence


def test_a_wrong_shape_is_named(at_place, tmp_path):
    np.savez(tmp_path / "flat.npz", x=np.zeros((10, 64), np.float32), y=np.zeros(10, int))
    words = train_words(tmp_path / "flat.npz", "new", 1)
    assert "(10, 64)" in refused(words)
    np.savez(tmp_path / "odd.npz", x=np.zeros((10, 8, 8), np.float32), y=np.zeros(9, int))
    assert "10" in refused(train_words(tmp_path / "odd.npz", "new", 1))


def test_int8_without_ranges_says_what_to_give(at_place, tmp_path):
    words = ["export", "run", "--target", "cortex-m4", "--dtype", "float32", "--format", "onnx"]
    assert CliRunner().invoke(fedtiny, [*words, "--out", str(tmp_path / "f")]).exit_code == 0
    words = export_words(tmp_path / "f" / "model.onnx")
    assert "--calibration" in refused(words)
    np.savez(tmp_path / "odd.npz", x=np.zeros((20, 3, 5, 2), np.float32), y=np.zeros(20, int))
    sentence = refused([*words, "--calibration", str(tmp_path / "odd.npz")])
    assert "odd.npz' has samples of 5 x 2 x 3; model 'model' takes " in sentence


def test_an_output_that_cannot_be_written_is_refused_before_any_work(at_place, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert "file" in refused(export_words("run", out))
        assert "file" in refused(train_words("data.npz", out, 1))
    assert file.read_text() == "mine"


def test_a_folder_that_is_not_ours_is_never_emptied(at_place, tmp_path):
    (tmp_path / "precious").write_text("mine")
    assert "precious" not in refused(export_words("run", tmp_path))
    assert "holds" in refused(train_words("data.npz", tmp_path, 1))
    assert names(tmp_path) == ["precious"]


def test_an_earlier_export_is_replaced(at_place, exported):
    first = (exported / "report.json").read_bytes()
    (exported / "stale").write_text("old")
    result = CliRunner().invoke(fedtiny, export_words("run", exported))
    assert result.exit_code == 0, result.stderr
    assert not (exported / "stale").exists()
    assert (exported / "report.json").read_bytes() == first


def test_a_damaged_export_is_not_verified(at_place, exported, tmp_path):
    assert "report.json" in refused(["verify", str(tmp_path)])
    (tmp_path / "report.json").write_bytes((exported / "report.json").read_bytes()[:-20])
    assert "report.json" in refused(["verify", str(tmp_path)])


def test_what_does_not_fit_is_exit_3_and_complete(at_place, tmp_path):
    board = tmp_path / "tiny.toml"
    board.write_text(
        'description = "tiny"\ntarget = "cortex-m4"\ncpu = "1 x"\nclock_hz = 1000000\n'
        "flash_bytes = 1000000\nsram_bytes = 300\n"
        '[sources]\nclock_hz = "made up"\nflash_bytes = "made up"\nsram_bytes = "made up"\n'
    )
    out = tmp_path / "out"
    words = ["export", "run", "--device", str(board), "--out", str(out)]
    result = CliRunner().invoke(fedtiny, [*words, "--json"])
    assert result.exit_code == 3, result.stderr
    document = json.loads(result.stdout)
    assert document["exit_code"] == 3
    (failure,) = document["budget"]["failures"]
    assert failure["what"] == "sram_bytes"
    assert failure["value"] > failure["limit"] == 300
    assert failure["where"]
    assert {"report.json", "report.html", "golden.npz", "c"} <= set(names(out))


def interrupted(words, cwd, marker, delay):
    """Start a command, send SIGINT to its group as a terminal does, and wait.

    Returns:
        Exit code, stdout and stderr.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "fedtiny", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith(marker):
            break
    else:
        pytest.fail("the marker never came: " + "".join(seen))
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, "".join(seen) + stderr


@pytest.mark.parametrize(
    ("workers", "marker", "delay"),
    [(0, "pretraining", 0.0), (2, "pretraining", 0.5), (0, "training", 0.5), (2, "training", 1.0)],
)
def test_ctrl_c_while_training(place, tmp_path, workers, marker, delay):
    out = tmp_path / "run"
    words = [*train_words("data.npz", out, 2000), "--workers", str(workers)]
    code, stdout, stderr = interrupted(words, place, marker, delay)
    assert code == 130, stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("fedtiny: interrupted")
    assert stdout == ""
    assert [name for name in names(tmp_path) if name != "run"] == []
    assert set(names(out) if out.exists() else ()) <= {"checkpoints", "history.csv"}
    assert ("--resume" in stderr) == (marker == "training")


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_ctrl_c_while_exporting(place, tmp_path, delay):
    words = [*export_words("run", tmp_path / "out"), "--json"]
    code, stdout, stderr = interrupted(words, place, "compiling", delay)
    assert "Traceback" not in stderr
    assert code == 130 or delay, stderr
    if code == 130:
        assert json.loads(stdout) == {"error": "interrupted.", "exit_code": 130}
        assert names(tmp_path) == [] or (delay and (tmp_path / "out" / "report.json").is_file())
    else:
        assert code == 0
        assert (tmp_path / "out" / "report.json").is_file()
