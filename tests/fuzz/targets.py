"""What is fuzzed: every reader of files that come from elsewhere.

A target reads one input and gives the error that it was refused with, if it was. A refusal must be
one clear sentence; anything else that a reader raises is a defect.
"""

from __future__ import annotations

import io
import json
import math
import random
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import safetensors
import safetensors.torch
import torch
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder as FlatbufferBuilder

from fedtiny import sparse_model
from fedtiny.cli.train import train
from fedtiny.compiler import reference
from fedtiny.compiler.frontends.onnx_file import from_onnx
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.compiler.frontends.torch_module import from_sparse_model
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.planner import plan
from fedtiny.data.npz import load_npz
from fedtiny.devices import profiles
from fedtiny.errors import UsageError
from fedtiny.exporters import onnx as onnx_exporter
from fedtiny.exporters import packed
from fedtiny.exporters import tflite as tflite_exporter
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.message import DamagedMessageError, Message
from fedtiny.golden import Golden
from fedtiny.library import Network
from fedtiny.models import create
from fedtiny.pruning.masks import magnitude_masks, masked
from fedtiny.report.html import render
from fedtiny.report.model import read_report
from fedtiny.report.run import read_run
from fedtiny.source import read_training
from fedtiny.sparse_model import Provenance, SparseModel
from tests.fuzz import mutations
from tests.fuzz.model_seeds import folded_file, network, sparse_file, varied_file

LARGEST_RUN_ELEMENTS = 1 << 16
"""Accepted models with activations and weights up to this size are also executed."""
ONE_IN = 50
"""Accepted files of which one in so many also takes the slower steps that follow the reading."""
LONGEST_ERROR = 2000
"""Characters that still are one sentence; the longest names every supported operator."""

Random = random.Random
Refusals = list[UsageError]
"""Empty, or the one error that an input was refused with."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        read: Reads an input; empty when it was accepted, else the error.
        seeds: Makes sound files by name, beside those in the corpus.
        damage: Damages a file knowing its structure.
    """

    read: Callable[[bytes], Refusals]
    seeds: Callable[[], dict[str, bytes]]
    damage: Callable[[bytes, Random], bytes]

    def mutate(self, data: bytes, rng: Random) -> bytes:
        """Damage a file, half of the time knowing its structure."""
        if rng.random() < 0.5:
            # What is damaged already may have no structure left, or none that can be written.
            with suppress(Exception):
                return self.damage(data, rng)
        return mutations.damage_bytes(data, rng)


@contextmanager
def refusals() -> Iterator[list[UsageError]]:
    """Let refusals pass that are one clear sentence; the list holds the one that came."""
    refused: list[UsageError] = []
    try:
        yield refused
    except UsageError as error:
        text = str(error)
        assert text.endswith("."), text
        assert text.isprintable(), ascii(text)
        assert len(text) < LONGEST_ERROR, text
        refused.append(error)


@contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    """A file of that name in a folder of its own, removed afterwards."""
    path = _scratch() / name
    path.write_bytes(data)
    yield path
    path.unlink()


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="fedtiny-fuzz-"))


def _chosen(data: bytes) -> bool:
    return zlib.crc32(data) % ONE_IN == 0


# Models of other tools.


def _read_graph(read: Callable[[bytes, str], Graph], data: bytes) -> Refusals:
    with refusals() as refused:
        graph = read(data, "model")
    if not refused:
        _execute(graph)
    return refused


def _execute(graph: Graph) -> None:
    sizes = [t.size for t in graph.tensors.values()]
    work = [math.prod(graph[n.output].shape) * graph[n.inputs[-1]].size for n in graph.nodes]
    if sum(sizes) < LARGEST_RUN_ELEMENTS and sum(work) < LARGEST_RUN_ELEMENTS << 4:
        inputs = {n: np.zeros(graph[n].shape, graph[n].dtype) for n in graph.inputs}
        with np.errstate(all="ignore"):
            made = reference.execute(graph, inputs)
        assert all(made[n].shape == graph[n].shape for n in graph.outputs)


def _tflite_seeds() -> dict[str, bytes]:
    return {
        "int8": tflite_exporter.to_bytes(network("int8")),
        "float32": tflite_exporter.to_bytes(network("float32")),
        "sparse": sparse_file(),
        "varied": varied_file(),
    }


def _damage_tflite(data: bytes, rng: Random) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        buffer.data = None if buffer.data is None else list(buffer.data)
    mutations.damage_tree(model, rng)
    builder = FlatbufferBuilder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _onnx_seeds() -> dict[str, bytes]:
    return {
        "int8": onnx_exporter.to_bytes(network("int8")),
        "float32": onnx_exporter.to_bytes(network("float32")),
        "folded": folded_file(),
    }


def _damage_onnx(data: bytes, rng: Random) -> bytes:
    model = onnx.ModelProto.FromString(data)
    mutations.damage_message(model, rng)
    return bytes(model.SerializeToString())


# Our own trained models.


def _read_safetensors(data: bytes) -> Refusals:
    with _file(data, "model.safetensors") as path, refusals() as refused:
        model = SparseModel.load(path)
        if _chosen(data) and ":" not in model.architecture:  # that would import it
            _execute(from_sparse_model(model))
    return refused


def _safetensors_seeds() -> dict[str, bytes]:
    module = create("dscnn@0.05", (1, 10, 6), 2)
    prunable = {n: 2 for n, p in module.named_parameters() if p.dim() == 4}
    masks = magnitude_masks(module.state_dict(), prunable)
    model = SparseModel(
        "dscnn@0.05",
        (1, 10, 6),
        ("a", "b"),
        masked(module.state_dict(), masks),
        masks,
        Provenance("fedtiny", "fashion-mnist-mini", 0.1, 20, 0),
        {"input": (0.0, 1.0)},
    )
    with _file(b"", "seed.safetensors") as path:
        model.save(path)
        return {"dscnn": path.read_bytes()}


def _damage_safetensors(data: bytes, rng: Random) -> bytes:
    """Damage what the SHA-256 protects, and make it right again: a forged file."""
    tensors = safetensors.torch.load(data)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["fedtiny"])
    about.pop("sha256", None)
    name = rng.choice(sorted(tensors))
    kind = rng.randrange(6)
    if kind == 0:
        tensors[name] = tensors[name].to(rng.choice((torch.float16, torch.bool, torch.int64)))
    elif kind == 1:
        tensors[name] = tensors[name].reshape(rng.choice(((-1,), (1, -1), (-1, 1, 1))))
    elif kind == 2:
        tensors[rng.choice(("x", "mask.x", f"state.{name}"))] = tensors.pop(name)
    elif kind == 3 and tensors[name].is_floating_point():
        tensors[name].view(-1)[:1] = rng.choice(mutations.REALS)
    else:
        mutations.damage_tree(about, rng)
    about["sha256"] = sparse_model._digest(tensors, about)
    return safetensors.torch.save(tensors, {"fedtiny": json.dumps(about, sort_keys=True)})


# Text: JSON and TOML.


def _damage_json(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.02:
        return b"[" * 5000 + data
    content = json.loads(data)
    mutations.damage_tree(content, rng)
    return json.dumps(content).encode()


def _read_run_json(data: bytes) -> Refusals:
    with _file(data, "run.json") as path, refusals() as refused:
        run = read_run(path.parent)
        if _chosen(data):
            render(run)
    with _file(data, "run.json") as path, refusals() as also_refused:
        read_training(path.parent)
    return [*refused, *also_refused]


def _read_report_json(data: bytes) -> Refusals:
    with _file(data, "report.json") as path, refusals() as refused:
        report = read_report(path.parent)
        if _chosen(data):
            render(report)
    return refused


def _damage_toml(data: bytes, rng: Random) -> bytes:
    """Change one line: its value, its key, its place."""
    lines = data.decode().splitlines()
    at = rng.randrange(len(lines))
    key, equals, _ = lines[at].partition("=")
    values = ("-1", "0", "1e400", "nan", '"x"', '""', "[]", "[[1]]", "{}", "true", "2020-01-01")
    values += ("9" * 30, "[" * 2000 + "]" * 2000, '"\\u001b[2J"', "{a.b = {c = 1}}", "0x7fffffff")
    kind = rng.randrange(5)
    if kind <= 1 and equals:
        lines[at] = f"{key}= {rng.choice(values)}"
    elif kind == 2:
        del lines[at]
    elif kind == 3:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    else:
        lines.insert(at, rng.choice(("[a]", "[sources]", "x = 1", "[[a]]", "a.b.c = 1", '"" = 2')))
    return "\n".join(lines).encode()


def _read_device(data: bytes) -> Refusals:
    with _file(data, "board.toml") as path, refusals() as refused:
        profiles.board(str(path))
    return refused


def _device_seeds() -> dict[str, bytes]:
    folder = Path(profiles.__file__).parent / "boards"
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.toml"))}


def _read_config(data: bytes) -> Refusals:
    with _file(data, "train.toml") as path, refusals() as refused:
        try:
            context = train.make_context("train", ["--config", str(path), "--out", "runs/x"])
        except click.ClickException as error:
            raise UsageError(f"{' '.join(error.format_message().split()).rstrip('.')}.") from error
        options = {k: v for k, v in context.params.items() if v is not None}
        options = {k: v for k, v in options.items() if k not in ("out", "resume")}
        options["alpha"] = None if options.get("alpha") == "iid" else options.get("alpha", 0.5)
        TrainConfig(**options)
    return refused


CONFIG = b"""data = "fashion-mnist-mini"
model = "resnet8@0.5"
density = 0.1
clients = 10
alpha = "iid"
lr = 0.1
device = ["nucleo-l4r5zi"]
by-user = false
seed = 3
"""


# Arrays.


def _read_dataset(data: bytes) -> Refusals:
    with _file(data, "images.npz") as path, refusals() as refused:
        load_npz(path)
    return refused


def _read_golden(data: bytes) -> Refusals:
    with _file(data, "golden.npz") as path, refusals() as refused:
        Golden.load(path)
    return refused


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _dataset_seeds() -> dict[str, bytes]:
    x, y = np.arange(10 * 4 * 3, dtype=np.uint8).reshape(10, 4, 3), np.arange(10) % 3
    real = x[..., None].astype(np.float32)
    parts = {"x_train": real, "y_train": y, "x_test": real, "y_test": y[:, None]}
    return {
        "together": _npz(x=x, y=y, user=np.array(list("aabbccddee"))),
        "apart": _npz(**parts, classes=np.array(["a", "b", "c"])),
    }


def _golden_seeds() -> dict[str, bytes]:
    golden = Golden(
        np.zeros((2, 4, 4, 1), np.int8),
        np.zeros((2, 3), np.int8),
        ("conv", "output"),
        np.arange(4, dtype=np.uint32).reshape(2, 2),
        1.0,
    )
    with _file(b"", "seed.npz") as path:
        golden.save(path)
        return {"int8": path.read_bytes()}


def _damage_npz(data: bytes, rng: Random) -> bytes:
    """Damage one array's header, type, values or name inside a sound archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    part, kind = parts[name], rng.randrange(6)
    if kind == 0:
        parts[name + rng.choice(("x", ".npy", ""))] = parts.pop(name)
    elif kind == 1:
        array = np.load(io.BytesIO(part), allow_pickle=False)
        made = io.BytesIO()
        types = ("<f8", ">i2", "?", "S3", "U2", "c8", "M8[s]", "u1", "f2")
        np.save(made, array.astype(rng.choice(types)).reshape(rng.choice(((-1,), (1, -1)))))
        parts[name] = made.getvalue()
    elif kind == 2:
        before = rng.choice((b"'shape': (", b"'descr': '", b"'fortran_order': "))
        after = rng.choice((b"9999999999, ", b"-1, ", b"O", b"(", b"1" * 40, b"True, ", b"'"))
        parts[name] = part.replace(before, before + after)
    elif kind == 3:
        del parts[name]
    else:
        parts[name] = mutations.damage_bytes(part, rng)
    file = io.BytesIO()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
    stored = rng.choices(kinds, (4, 4, 1))[0]
    with zipfile.ZipFile(file, "w", stored) as archive:
        for key, value in parts.items():
            archive.writestr(key, value)
    return file.getvalue()


# What clients and the server send each other.


def _read_message(data: bytes) -> Refusals:
    with refusals() as refused:
        try:
            message = Message.from_bytes(data)
        except DamagedMessageError as error:
            raise UsageError(f"{error}.") from error
    if not refused:
        assert Message.from_bytes(message.to_bytes()).to_bytes() == message.to_bytes()
    return refused


def _message_seeds() -> dict[str, bytes]:
    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "mask": np.zeros(3, "u1")}
    message = Message("train", {"round": 3, "lr": 0.05, "names": ["a"]}, arrays)
    return {"train": message.to_bytes(), "empty": Message("error").to_bytes()}


def _damage_message(data: bytes, rng: Random) -> bytes:
    """Damage what the CRC-32 protects, and make it right again."""
    damaged = mutations.damage_bytes(data[:-4], rng)
    return damaged + zlib.crc32(damaged).to_bytes(4, "little")


# Packed models, read by libfedtiny.


def _read_packed(data: bytes) -> Refusals:
    """Load, and describe every tensor. What a sound checksum vouches for is not run."""
    with refusals() as refused:
        loaded = Network(data)
        assert all((loaded.inputs, loaded.outputs, loaded.layers, loaded.arena_bytes))
    return refused


def _packed_seeds() -> dict[str, bytes]:
    found = {}
    for to, dtype in (("c", "int8"), ("x86-64", "float32")):
        graph = network(dtype)
        found[f"{to}-{dtype}"] = packed.pack(plan(graph, profiles.target(to)))
    return found


def _damage_packed(data: bytes, rng: Random) -> bytes:
    """Damage words of the tables that the CRC-32 protects, and make it right again."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = 4 * rng.randrange(len(damaged) // 4)
        value = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data), rng.getrandbits(32)))
        damaged[at : at + 4] = value.to_bytes(4, "little")
    return packed.seal(bytes(damaged))


TARGETS: dict[str, Target] = {
    "packed": Target(_read_packed, _packed_seeds, _damage_packed),
    "tflite": Target(lambda data: _read_graph(from_tflite, data), _tflite_seeds, _damage_tflite),
    "onnx": Target(lambda data: _read_graph(from_onnx, data), _onnx_seeds, _damage_onnx),
    "safetensors": Target(_read_safetensors, _safetensors_seeds, _damage_safetensors),
    "run-json": Target(_read_run_json, dict, _damage_json),
    "report-json": Target(_read_report_json, dict, _damage_json),
    "device-toml": Target(_read_device, _device_seeds, _damage_toml),
    "config-toml": Target(_read_config, lambda: {"train": CONFIG}, _damage_toml),
    "dataset-npz": Target(_read_dataset, _dataset_seeds, _damage_npz),
    "message": Target(_read_message, _message_seeds, _damage_message),
    "golden-npz": Target(_read_golden, _golden_seeds, _damage_npz),
}
