"""Damaged model files: one sentence each; no crash, no hang, no unbounded memory.

Mutations are seeded, so that case N of a seed is the same everywhere; a failure names both.
"""

from __future__ import annotations

import math
import resource
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fedtiny.compiler import reference
from fedtiny.compiler.frontends.onnx_file import from_onnx
from fedtiny.compiler.frontends.open_model import open_model
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.compiler.ir import Graph
from fedtiny.errors import UsageError
from fedtiny.exporters import onnx as onnx_exporter
from fedtiny.exporters import tflite as tflite_exporter
from tests.networks import Builder
from tests.tflite_files import TfliteFile, blocks_1x4

SECONDS_PER_CASE = 5.0
"""Far above what a case takes (a few ms), far below what a loop over 2^31 items takes."""
MEMORY_BYTES = 1 << 30
LARGEST_RUN_ELEMENTS = 1 << 16
"""Accepted files with activations and weights up to this size are also executed."""

Reader = Callable[[bytes, str], Graph]


def network(dtype: str) -> Graph:
    """Every op of the small builder once, a residual add among them."""
    b = Builder("net", dtype)  # type: ignore[arg-type]
    x = b.conv(b.input(1, 6, 6, 2), 4, stride=1)
    x = b.add(x, b.conv(x, 4, activation="none", density=0.3))
    x = b.depthwise(x, stride=2)
    x = b.average(x)
    x = b.dense(b.reshape(x, 1, 4), 3)
    return b.graph(x)


def sparse_file() -> bytes:
    """A 1x4-sparse fully connected layer behind DENSIFY, then SOFTMAX."""
    weights = np.zeros((4, 16), np.int8)
    weights[1, 4:8], weights[3, 12:] = 5, -7
    sparsity, values = blocks_1x4(weights)
    file = TfliteFile()
    x = file.tensor("x", (1, 16), "int8", 0.05, 4)
    stored = file.tensor("s", weights.shape, "int8", 0.02, data=values, sparsity=sparsity)
    w = file.op("DENSIFY", [stored], file.tensor("w", weights.shape, "int8", 0.02))
    y = file.tensor("y", (1, 4), "int8", 0.3, -10)
    file.op("FULLY_CONNECTED", [x, w, -1], y, "FullyConnectedOptions", 4)
    p = file.tensor("p", (1, 4), "int8", 1 / 256, -128)
    file.op("SOFTMAX", [y], p, "SoftmaxOptions", 2, beta=1.0)
    return file.finish([x], [p])


SEEDS: dict[str, tuple[Reader, Callable[[], bytes]]] = {
    "tflite-int8": (from_tflite, lambda: tflite_exporter.to_bytes(network("int8"))),
    "tflite-float": (from_tflite, lambda: tflite_exporter.to_bytes(network("float32"))),
    "tflite-sparse": (from_tflite, sparse_file),
    "onnx-int8": (from_onnx, lambda: onnx_exporter.to_bytes(network("int8"))),
    "onnx-float": (from_onnx, lambda: onnx_exporter.to_bytes(network("float32"))),
}
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1)


def mutations(original: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Damaged copies of a file."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(original)
        for _ in range(int(random.integers(1, 4))):
            _mutate(data, random)
        yield bytes(data)


def _mutate(data: bytearray, random: np.random.Generator) -> None:
    if len(data) < 8:
        return
    at, kind = int(random.integers(len(data))), int(random.integers(7))
    length = int(random.integers(1, 17))
    other = int(random.integers(len(data)))
    if kind == 0:
        data[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        data[at] = int(random.integers(256))
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at : at + length] = data[other : other + length]
    elif kind == 4:
        data[at:at] = random.bytes(length)
    elif kind == 5:
        del data[at : at + length]
    else:
        at -= at % 4
        value = EXTREMES[int(random.integers(len(EXTREMES)))]
        data[at : at + 4] = value.to_bytes(4, "little")


def try_file(read: Reader, data: bytes) -> bool:
    """Read one file, and run it when it is accepted; returns whether it was."""
    try:
        graph = read(data, "model")
    except UsageError as error:
        text = str(error)
        assert text.endswith(".")
        assert "\n" not in text
        return False
    sizes = [t.size for t in graph.tensors.values()]
    work = [math.prod(graph[n.output].shape) * graph[n.inputs[-1]].size for n in graph.nodes]
    if sum(sizes) < LARGEST_RUN_ELEMENTS and sum(work) < LARGEST_RUN_ELEMENTS << 4:
        inputs = {n: np.zeros(graph[n].shape, graph[n].dtype) for n in graph.inputs}
        with np.errstate(all="ignore"):
            made = reference.execute(graph, inputs)
        assert all(made[n].shape == graph[n].shape for n in graph.outputs)
    return True


def fuzz(name: str, seed: int, count: int) -> None:
    read, make = SEEDS[name]
    original = make()
    assert try_file(read, original)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    accepted = 0
    for case, data in enumerate(mutations(original, seed, count)):
        start = time.process_time()
        try:
            accepted += try_file(read, data)
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}, case {case}: {error!r}") from error
        spent = time.process_time() - start
        assert spent < SECONDS_PER_CASE, f"{name}, seed {seed}, case {case}: {spent:.1f} s"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert grown < MEMORY_BYTES, f"{name}, seed {seed}: memory grew by {grown} bytes"
    assert 0 < accepted < count  # else the mutations are too weak or too strong to mean anything


@pytest.mark.quick
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files(name):
    fuzz(name, seed=0, count=150)


@pytest.mark.parametrize("name", SEEDS)
def test_more_damaged_files(name):
    fuzz(name, seed=1, count=1000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SEEDS)
def test_very_many_damaged_files(name):
    fuzz(name, seed=2, count=20_000)


@pytest.mark.quick
@pytest.mark.parametrize("name", SEEDS)
def test_every_truncation(name):
    """Each prefix of a file, in steps, is refused or is a whole model; never a crash."""
    read, make = SEEDS[name]
    original = make()
    for size in range(0, len(original), max(1, len(original) // 200)):
        try_file(read, original[:size])


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
    for name, (_, make) in SEEDS.items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(make())
        assert open_model(path).name == name


@pytest.mark.quick
def test_missing_file_and_unknown_kind(tmp_path):
    with pytest.raises(UsageError, match=r"No such file.*ONNX"):
        open_model(tmp_path / "absent.onnx")
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(UsageError, match=r"not of a known kind.*TFLite"):
        open_model(path)
