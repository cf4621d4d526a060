"""Damaged files: one sentence each; no crash, no hang, no unbounded memory.

Damage is seeded, so that case N of a seed is the same everywhere; a failure names both. The long
campaigns run in processes of their own (`python -m tests.fuzz.campaign --help`).
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import subprocess
import sys
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fedtiny.compiler.frontends.open_model import open_model
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.errors import UsageError
from tests.fuzz.campaign import CORPUS, corpus, draws, limited_memory
from tests.fuzz.mutations import damage_bytes
from tests.fuzz.targets import TARGETS, refusals
from tests.tflite_files import TfliteFile

SECONDS_PER_CASE = 5.0
"""Far above what a case takes (a few ms), far below what a loop over 2^31 items takes."""
CAMPAIGN_RUNS = 100_000

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("FEDTINY_MODELS", REPOSITORY.parent / "shared" / "models"))


@cache
def inputs(name: str) -> dict[str, bytes]:
    return corpus(name, TARGETS[name])


def sound_models() -> dict[str, bytes]:
    return {
        f"{kind}-{name}": data
        for kind in ("tflite", "onnx")
        for name, data in TARGETS[kind].seeds().items()
    }


def fuzz(name: str, seed: int, count: int) -> None:
    target = TARGETS[name]
    draw = draws(inputs(name), target, seed)
    for data in inputs(name).values():
        target.read(data)  # what is loaded late does not count
    accepted = 0
    with limited_memory():
        for case in range(count):
            data = draw()
            start = time.process_time()
            try:
                accepted += not target.read(data)
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}, case {case}: {error!r}") from error
            spent = time.process_time() - start
            assert spent < SECONDS_PER_CASE, f"{name}, seed {seed}, case {case}: {spent:.1f} s"
    assert 0 < accepted < count  # else the damage is too weak or too strong to mean anything


@pytest.mark.quick
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name):
    fuzz(name, seed=0, count=150)


@pytest.mark.parametrize("name", TARGETS)
def test_more_damaged_files(name):
    fuzz(name, seed=1, count=500)


@pytest.mark.quick
@pytest.mark.parametrize("name", TARGETS)
def test_sound_files_are_accepted(name):
    target = TARGETS[name]
    sound = target.seeds() or {"example": (CORPUS / name / "example").read_bytes()}
    assert sound
    assert not any(target.read(data) for data in sound.values())


@pytest.mark.quick
def test_what_is_not_one_clear_sentence_or_takes_too_much_is_noticed():
    for text in ("no end", "two\nlines.", "\x1b[2J.", "long" * 1000 + "."):
        with pytest.raises(AssertionError), refusals():
            raise UsageError(text)
    with refusals() as refused:
        raise UsageError("one sentence.")
    assert refused
    with limited_memory(), pytest.raises(MemoryError):
        np.ones(1 << 28)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", TARGETS)
def test_campaign(name, tmp_path):
    options = ["--runs", str(CAMPAIGN_RUNS), "--crashes", str(tmp_path)]
    command = [sys.executable, "-m", "tests.fuzz.campaign", name, *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    guided = importlib.util.find_spec("atheris") is not None
    found = re.search(r"executed_units: (\d+)" if guided else r"(\d+) drawn inputs", said)
    assert found is not None
    assert int(found[1]) >= CAMPAIGN_RUNS


@pytest.mark.parametrize("name", ["kws_ref_model", "ad01_int8", "pretrainedResnet_quant"])
def test_damaged_mlperf_tiny(name):
    path = MODELS / "mlperf_tiny" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set FEDTINY_MODELS to the folder of the models")
    original, rng = path.read_bytes(), random.Random(4)
    with limited_memory():
        for _ in range(200):
            TARGETS["tflite"].read(damage_bytes(original, rng))


@pytest.mark.quick
@pytest.mark.parametrize("name", TARGETS)
def test_every_truncation(name):
    """Each prefix of a file, in steps, is refused or is a whole file; never a crash."""
    target = TARGETS[name]
    for original in (target.seeds() or inputs(name)).values():
        for size in range(0, len(original), max(1, len(original) // 100)):
            target.read(original[:size])


@pytest.mark.quick
def test_random_bytes(tmp_path):
    random = np.random.default_rng(3)
    path = tmp_path / "model.tflite"
    for size in (0, 1, 7, 16, 300, 5000):
        for head in (b"", b"\x00\x00\x00\x10TFL3", b"\x08\x08\x12"):
            path.write_bytes(head + random.bytes(size))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(UsageError):
                    open_model(path)


@pytest.mark.quick
def test_content_decides_not_the_extension(tmp_path):
    for name, data in sound_models().items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(data)
        assert open_model(path).name == name


@pytest.mark.quick
def test_missing_file_and_unknown_kind(tmp_path):
    with pytest.raises(UsageError, match=r"No such file.*ONNX"):
        open_model(tmp_path / "absent.onnx")
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(UsageError, match=r"not of a known kind.*TFLite"):
        open_model(path)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_reading_time_grows_with_size_not_its_square(dtype):
    """4,000 operators that all want one name, each followed by an activation to fuse."""
    count = 2000
    file = TfliteFile()
    quantization = (0.1, 0) if dtype == "int8" else ()
    first = x = file.tensor("x", (1, 4), dtype, *quantization)
    for _ in range(count):
        y = file.tensor("same", (1, 4), dtype, *quantization)
        file.op("ADD", [x, x], y, "AddOptions", 2)
        x = file.op("RELU", [y], file.tensor("same", (1, 4), dtype, *quantization), version=2)
    data = file.finish([first], [x])
    start = time.process_time()
    graph = from_tflite(data, "model")
    assert len(graph.nodes) == (count if dtype == "int8" else 2 * count)
    assert time.process_time() - start < SECONDS_PER_CASE
