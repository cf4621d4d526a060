"""Damaged model files: one sentence each; no crash, no hang, no unbounded memory.

Mutations are seeded, so that case N of a seed is the same everywhere; a failure names both.
"""

from __future__ import annotations

import math
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

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

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("FEDTINY_MODELS", REPOSITORY.parent / "shared" / "models"))

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


def varied_file() -> bytes:
    """PAD, a depthwise convolution with a multiplier, RELU, MEAN; uint8 in and float32 out."""
    file = TfliteFile()
    first = file.tensor("first", (1, 6, 6, 2), "uint8", 0.05, 132)
    x = file.tensor("x", (1, 6, 6, 2), "int8", 0.05, 4)
    file.op("QUANTIZE", [first], x, "QuantizeOptions")
    amounts = file.tensor("p", (4, 2), "int32", data=np.array([[0, 0], [0, 2], [1, 1], [0, 0]]))
    padded = file.tensor("padded", (1, 8, 8, 2), "int8", 0.05, 4)
    file.op("PAD", [x, amounts], padded, "PadOptions", 2)
    scales = [0.01, 0.02, 0.03, 0.01]
    w = file.tensor("w", (1, 5, 5, 4), "int8", scales, axis=3, data=np.full((1, 5, 5, 4), 3))
    y = file.tensor("y", (1, 4, 4, 4), "int8", 0.1, -7)
    options = {"strideH": 1, "strideW": 1, "depthMultiplier": 2, "padding": 1}
    name = "DepthwiseConv2DOptions"
    file.op("DEPTHWISE_CONV_2D", [padded, w, -1], y, name, 3, **options)
    file.op("RELU", [y], z := file.tensor("z", (1, 4, 4, 4), "int8", 0.1, -7), version=2)
    axes = file.tensor("axes", (2,), "int32", data=np.array([1, 2]))
    mean = file.tensor("mean", (1, 4), "int8", 0.08, -7)
    file.op("MEAN", [z, axes], mean, "ReducerOptions", 2, keepDims=False)
    last = file.op("DEQUANTIZE", [mean], file.tensor("last", (1, 4), "float32"), version=2)
    return file.finish([first], [last])


def folded_file() -> bytes:
    """ONNX with arithmetic on shapes and weights, as exporters leave it."""
    constants = {
        "w": np.ones((2, 2, 3, 3), np.float32),
        "pads": np.array([[0, 0, 0, 0], [0, 0, 1, 2]]).T[::-1].copy(),
        "start": np.array([-1]),
        "end": np.array([-(1 << 62)]),
        "axis": np.array([0]),
        "flat": np.array([-1]),
        "zero": np.array(0),
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "m": np.ones((3, 18), np.float32),
        "b": np.ones(3, np.float32),
        "axes": np.array([0]),
    }
    nodes = [
        helper.make_node("Slice", ["pads", "start", "end", "axis", "start"], ["p0"]),
        helper.make_node("Transpose", ["p0"], ["p1"]),
        helper.make_node("Reshape", ["p1", "flat"], ["p2"]),
        helper.make_node("Cast", ["p2"], ["p3"], to=TensorProto.INT64),
        helper.make_node("Pad", ["x", "p3"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["c"]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n0"]),
        helper.make_node("Unsqueeze", ["n0", "axes"], ["n"]),
        helper.make_node("Concat", ["n", "flat"], ["target"], axis=0),
        helper.make_node("Reshape", ["r", "target"], ["f"]),
        helper.make_node("Transpose", ["m"], ["mt"], perm=[1, 0]),
        helper.make_node("MatMul", ["f", "mt"], ["mm"]),
        helper.make_node("Add", ["mm", "b"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "folded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


SEEDS: dict[str, tuple[Reader, Callable[[], bytes]]] = {
    "tflite-int8": (from_tflite, lambda: tflite_exporter.to_bytes(network("int8"))),
    "tflite-float": (from_tflite, lambda: tflite_exporter.to_bytes(network("float32"))),
    "tflite-sparse": (from_tflite, sparse_file),
    "tflite-varied": (from_tflite, varied_file),
    "onnx-int8": (from_onnx, lambda: onnx_exporter.to_bytes(network("int8"))),
    "onnx-folded": (from_onnx, folded_file),
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
    fuzz(name, seed=2, count=100_000)


@pytest.mark.parametrize("name", ["kws_ref_model", "ad01_int8", "pretrainedResnet_quant"])
def test_damaged_mlperf_tiny(name):
    path = MODELS / "mlperf_tiny" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set FEDTINY_MODELS to the folder of the models")
    original = path.read_bytes()
    for data in mutations(original, seed=4, count=200):
        try_file(from_tflite, data)


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
