"""Every file that is written, in every stock runtime that loads it; see docs/formats.md.

`MATRIX` says what is promised. The tests hold the files to it, and the page to `MATRIX`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fedtiny.compiler.compile import Compiled
from fedtiny.compiler.ir import Graph, Pattern
from fedtiny.compiler.passes import round_float16
from fedtiny.compiler.plan import ExecutionPlan
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from fedtiny.errors import UsageError
from fedtiny.exporters import format, litert, tflite
from fedtiny.exporters.format import Request, accepted
from fedtiny.exporters.tolerance import TOLERANCE_LSB
from fedtiny.golden import Golden, make_golden
from fedtiny.report.build import describe_model
from fedtiny.verification import FLOAT_TOLERANCE
from tests.networks import Builder, autoencoder, dscnn, flattened, mobilenet, resnet8

ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("FEDTINY_PEERS", ROOT / ".venv" / "peers" / "bin" / "python"))
"""A Python with the packages of .ci/peers.txt, whose numpy < 2 cannot be in our own environment."""


def blocks(dtype: str, block: int = 4) -> Graph:
    """A ResNet-8 whose weights are zero in runs of 4 or 16 input channels."""
    graph = resnet8(dtype)
    random, tensors = np.random.default_rng(1), []
    for tensor in graph.tensors.values():
        if tensor.data is not None and len(tensor.shape) == 4 and tensor.shape[-1] % block == 0:
            shape = (*tensor.shape[:-1], tensor.shape[-1] // block)
            keep = np.repeat(random.random(shape) < 0.1, block, axis=-1)
            data = (tensor.data * keep).astype(tensor.dtype)
            tensors.append(replace(tensor, data=data, pattern=Pattern.of(data)))
    return graph.rewrite(graph.nodes, tensors)


def connected(dtype: str) -> Graph:
    """A sparse fully connected layer and a dense one."""
    b = Builder("connected", dtype)
    return b.graph(b.dense(b.dense(b.input(1, 640), 128, "relu", 0.05), 16))


FAMILIES = {
    "ResNet-8, density 0.05": lambda dtype: resnet8(dtype, 0.05),
    "ResNet-8, 1x4 blocks": blocks,
    "ResNet-8, 1x16 blocks": lambda dtype: blocks(dtype, 16),
    "DS-CNN, density 0.2": lambda dtype: dscnn(dtype, density=0.2),
    "MobileNet, dense": lambda dtype: mobilenet(dtype, 32),
    "autoencoder, dense": autoencoder,
    "fully connected, density 0.05": connected,
    "flattened map": flattened,
}

EXACT, LSB, CLOSE = "bit-exact", f"≤ {TOLERANCE_LSB} LSB", f"≤ {FLOAT_TOLERANCE:g} of the maximum"
COLUMNS = ("LiteRT reference", "LiteRT default", "onnxruntime", "tflite-micro", "tflite-runtime")
INT8, REAL = ("int8", "int8"), ("int8", "float32")
FLOAT, HALF = ("float32", "float32"), ("float16", "float32")
MATRIX: dict[tuple[str, str, str], tuple[str | None, ...] | str] = {
    ("tflite", *INT8): (EXACT, LSB, None, LSB, LSB),
    ("tflite", *REAL): (EXACT, LSB, None, LSB, LSB),
    ("tflite", *FLOAT): (CLOSE, CLOSE, None, CLOSE, CLOSE),
    ("tflite", *HALF): (CLOSE, CLOSE, None, None, CLOSE),
    ("sparse-tflite", *INT8): (EXACT, LSB, None, None, LSB),
    ("sparse-tflite", *REAL): (EXACT, LSB, None, None, LSB),
    ("sparse-tflite", *FLOAT): (CLOSE, CLOSE, None, None, CLOSE),
    ("sparse-tflite", *HALF): (CLOSE, CLOSE, None, None, CLOSE),
    ("onnx", *INT8): (None, None, LSB, None, None),
    ("onnx", *REAL): (None, None, LSB, None, None),
    ("onnx", *FLOAT): (None, None, CLOSE, None, None),
    ("onnx", *HALF): (None, None, CLOSE, None, None),
    ("sparse-onnx", *INT8): (None, None, LSB, None, None),
    ("sparse-onnx", *REAL): (None, None, LSB, None, None),
    ("sparse-onnx", *FLOAT): (None, None, CLOSE, None, None),
    ("sparse-onnx", *HALF): (None, None, CLOSE, None, None),
    ("ort", *INT8): (None, None, LSB, None, None),
    ("ort", *REAL): (None, None, LSB, None, None),
    ("ort", *FLOAT): (None, None, CLOSE, None, None),
    ("ort", *HALF): "refused: onnxruntime's converter stores float16 weights as float32",
}
"""By format, dtype and input/output type: what each runtime's outputs are held to."""

UNWRITTEN = {
    "sparse-onnx": {
        "MobileNet, dense": None,
        "autoencoder, dense": None,
        "flattened map": None,
        "DS-CNN, density 0.2": ("int8",),
    },
    "sparse-tflite": {
        "MobileNet, dense": None,
        "autoencoder, dense": None,
        "flattened map": None,
        "fully connected, density 0.05": ("int8",),
    },
}
"""Sparse formats that refuse a family, for these dtypes (None: for every one)."""

TYPES = [INT8, REAL, FLOAT, HALF]
FAMILY = pytest.mark.parametrize("family", FAMILIES)
TYPE = pytest.mark.parametrize(("dtype", "io"), TYPES, ids=["-".join(pair) for pair in TYPES])


@cache
def final(family: str, dtype: str) -> Graph:
    graph = FAMILIES[family]("int8" if dtype == "int8" else "float32")
    return round_float16(graph) if dtype == "float16" else graph


@cache
def planned(family: str, dtype: str) -> ExecutionPlan:
    return plan(final(family, dtype), target("c"))


def golden(graph: Graph, io: str) -> Golden:
    shape = graph[graph.inputs[0]].shape
    real = np.random.default_rng(7).standard_normal((4, *shape[1:])).astype(np.float32)
    return make_golden(graph, (), real, io)  # type: ignore[arg-type]


def is_refused(name: str, family: str, dtype: str) -> bool:
    dtypes = UNWRITTEN.get(name, {}).get(family, ())
    return isinstance(MATRIX[name, dtype, "float32"], str) or dtypes is None or dtype in dtypes


@TYPE
@FAMILY
def test_runtimes_agree_with_the_reference(family, dtype, io, tmp_path):
    graph = final(family, dtype)
    request = Request(graph, planned(family, dtype), dtype, io)
    expected = golden(graph, io)
    assert len(np.unique(expected.outputs)) > 1  # outputs that say something
    model = describe_model("net", "", Compiled(graph, graph, request.plan), io)
    columns = dict(zip(("litert", "litert-default", "onnxruntime"), range(3), strict=True))
    for name in (name for name in format.names() if name not in ("c", "packed")):
        if is_refused(name, family, dtype):
            with pytest.raises(UsageError, match=f"format {name} cannot be written: "):
                accepted(request, [name])
            continue
        item = accepted(request, [name])[name]
        item.write(request, tmp_path)
        assert item.verify is not None
        entries = item.verify(tmp_path / item.files[name], model, expected)
        row = MATRIX[name, dtype, io]
        assert len(entries) == sum(cell is not None for cell in row[:3])
        for entry in entries:
            cell = row[columns[entry.runner]]
            where = f"{entry.runner} on {name}, {dtype}, {io}: {entry}"
            assert entry.equal, where
            assert cell != EXACT or (entry.bit_exact and entry.tolerance == 0), where
        dense = None if item.dense is None else format.load(item.dense)
        if dense is not None:
            dense.write(request, tmp_path)
            smaller, whole = (tmp_path / next(iter(f.files.values())) for f in (item, dense))
            assert smaller.stat().st_size < whole.stat().st_size


def held_to(cell: str, outputs: np.ndarray, expected: Golden) -> None:
    error = np.abs(outputs.astype(np.float64) - expected.outputs).max()
    if cell == EXACT:
        assert error == 0
    elif cell == LSB:
        assert error <= TOLERANCE_LSB * expected.lsb * (1 + 1e-6)
    else:
        assert error <= FLOAT_TOLERANCE * np.abs(expected.outputs).max()


def in_peers(script: str, file: Path, inputs: np.ndarray) -> np.ndarray:
    """Outputs of a script that makes `y` of the file at `path` and the inputs `x`."""
    if not PEERS.is_file():
        pytest.skip("tflite-runtime and tflite-micro are not installed: run .ci/peers")
    np.save(file.with_name("x.npy"), inputs)
    script = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "path = Path(sys.argv[1])\n"
        "x = np.load(path.with_name('x.npy'))\n"
        f"{script}\n"
        "np.save(path.with_name('y.npy'), y)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([PEERS, "-c", script, file], check=True, env=environment)
    return np.load(file.with_name("y.npy"))


@pytest.mark.parametrize(("dtype", "io"), TYPES[:3], ids=["-".join(pair) for pair in TYPES[:3]])
@FAMILY
def test_tflite_micro_agrees_with_the_reference(family, dtype, io, tmp_path):
    graph = final(family, dtype)
    expected = golden(graph, io)
    tflite.write(graph, tmp_path / "m.tflite", io=io)
    script = (
        "from tflite_micro.python.tflite_micro.runtime import Interpreter\n"
        "engine, outputs = Interpreter.from_bytes(path.read_bytes()), []\n"
        "for one in x:\n"
        "    engine.set_input(one[None], 0)\n"
        "    engine.invoke()\n"
        "    outputs.append(engine.get_output(0))\n"
        "y = np.concatenate(outputs)"
    )
    outputs = in_peers(script, tmp_path / "m.tflite", expected.inputs)
    held_to(MATRIX["tflite", dtype, io][3], outputs, expected)


@TYPE
@FAMILY
def test_tflite_runtime_agrees_with_the_reference(family, dtype, io, tmp_path):
    """In an environment without ai-edge-litert, through the fallback of our own module."""
    graph = final(family, dtype)
    expected = golden(graph, io)
    script = (
        "from fedtiny.exporters import litert\n"
        "assert litert._module().__name__ == 'tflite_runtime.interpreter'\n"
        "name = litert.interpreter(path).get_input_details()[0]['name']\n"
        "(y,) = litert.run(path, {name: x}).values()"
    )
    for name, sparse in (("tflite", False), ("sparse-tflite", True)):
        if is_refused(name, family, dtype):
            continue
        half = dtype == "float16"
        tflite.write(graph, tmp_path / "m.tflite", io=io, sparse=sparse, float16=half)
        outputs = in_peers(script, tmp_path / "m.tflite", expected.inputs)
        held_to(MATRIX[name, dtype, io][4], outputs, expected)


@pytest.mark.quick
def test_what_stock_runtimes_get_wrong_is_refused():
    made = planned("ResNet-8, density 0.05", "int8")
    for core in ("cortex-m0plus", "cortex-m4"):
        request = Request(made.graph, replace(made, target=target(core)), "int8", "int8")
        with pytest.raises(UsageError, match=r"Microcontrollers, which cortex-m.* wrong results"):
            accepted(request, ["tflite", "sparse-tflite"])
        assert list(accepted(request, None)) == ["c", "onnx", "tflite"]
    made = planned("ResNet-8, density 0.05", "float16")
    half = Request(made.graph, made, "float16", "float32")
    with pytest.raises(UsageError, match="format c cannot be written: the C runtime has no float1"):
        accepted(half, ["c"])
    assert list(accepted(half, None)) == ["onnx", "tflite"]
    with pytest.raises(UsageError, match="Did you mean 'sparse-tflite'"):
        accepted(half, ["sparse-tflit"])


@pytest.mark.quick
def test_int8_fully_connected_weights_stay_dense(tmp_path):
    graph = connected("int8")
    assert tflite.to_bytes(graph, sparse=True) == tflite.to_bytes(graph)


@pytest.mark.quick
def test_sparse_weights_do_reach_the_default_delegate_dense(tmp_path):
    """The same integers as from the dense file: the delegate computes with what DENSIFY made."""
    graph = resnet8("int8", 0.05)
    x = {"input": np.random.default_rng(3).integers(-128, 128, (4, 32, 32, 3)).astype(np.int8)}
    found = []
    for sparse in (False, True):
        tflite.write(graph, tmp_path / "m.tflite", sparse=sparse)
        (y,) = litert.run(tmp_path / "m.tflite", x, reference=False).values()
        found.append(y)
    np.testing.assert_array_equal(*found)


def table() -> str:
    """The table of docs/formats.md."""
    lines = ["| format | weights | input/output | " + " | ".join(COLUMNS) + " |"]
    lines.append("| --- " * (3 + len(COLUMNS)) + "|")
    for (name, dtype, io), row in MATRIX.items():
        cells = [row, *[""] * 4] if isinstance(row, str) else [cell or "" for cell in row]
        lines.append(f"| {name} | {dtype} | {io} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@pytest.mark.quick
def test_the_page_holds_this_table():
    assert table() in (ROOT / "docs" / "formats.md").read_text("utf-8")


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
