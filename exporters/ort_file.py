"""Write a graph in onnxruntime's own format (`.ort`), which reduced and mobile builds load.

onnxruntime converts: it loads our ONNX file, optimizes it for the kind of processor that is named,
and saves what it would run. The list of operators that a reduced build must hold comes with it.

The saved bytes would differ from run to run: the part of the file that says which argument each
operator's type comes from is written in the order of a hash table. It is written again in the order
of its names; everything else stays as onnxruntime saved it.

Source: onnxruntime's `ort.fbs`, and `onnxruntime.tools.convert_onnx_models_to_ort` for the options.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import flatbuffers

from fedtiny.compiler.frontends.tflite_flatbuffer import Flatbuffer, Table
from fedtiny.compiler.ir import Graph
from fedtiny.errors import RunnerError
from fedtiny.exporters import onnx
from fedtiny.files import new_file

ALIGNMENT = 16
"""Bytes; at least that of everything in the file."""

_IDENTIFIER = b"ORTM"
_VERSION, _MODEL, _RESOLVER = 0, 1, 3


def write(graph: Graph, path: Path, operators: Path, *, arm: bool) -> None:
    """Write the file and the operators it needs; the same graph gives the same bytes.

    Args:
        graph: Float32 or int8.
        path: The `.ort` file.
        operators: The text file for `--include_ops_by_config` of onnxruntime's build.
        arm: Optimize for Arm processors rather than x86.

    Raises:
        RunnerError: onnxruntime is not installed.
        UnsupportedError: A node has no ONNX form.
        UsageError: A path cannot be written.
    """
    data = sorted_resolver(convert(onnx.to_bytes(graph), arm))
    with new_file(path) as work:
        work.write_bytes(data)
    with new_file(operators) as work:
        work.write_text(required_operators(data), "utf-8")


def convert(model: bytes, arm: bool) -> bytes:
    """Let onnxruntime optimize an ONNX model and save it in its own format.

    Args:
        model: An ONNX file's bytes.
        arm: See `write`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RunnerError("onnxruntime is not installed; install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.add_session_config_entry("session.qdqisint8allowed", "1" if arm else "0")
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as folder:
        saved = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(saved)
        onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["NchwcTransformer"],  # its layout is that of one processor
        )
        return saved.read_bytes()


def required_operators(data: bytes) -> str:
    """The operators of a file, in the form of onnxruntime's `required_operators.config`."""
    model = _required(Flatbuffer(data, "the converted model").root(), _MODEL)
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for node in _required(model, 7).tables(2):
        domain = node.text(2) or "ai.onnx"
        found[domain, int(node.number(3, "i"))].add(node.text(5))
    return "".join(
        f"{domain};{version};{','.join(sorted(names))}\n"
        for (domain, version), names in sorted(found.items())
    )


def sorted_resolver(data: bytes) -> bytes:
    """Write the kernel type resolver, which lies in front of the model, in the order of names."""
    root = Flatbuffer(data, "the converted model").root()
    model, resolver = _required(root, _MODEL), _required(root, _RESOLVER)
    suffix = data[model.start :]
    builder = flatbuffers.Builder(len(data) + (1 << 16))
    builder.head = len(builder.Bytes) - len(suffix)
    builder.Bytes[builder.head :] = suffix
    entries = []
    for entry in sorted(resolver.tables(0), key=lambda entry: entry.text(0)):
        kinds = sorted(entry.tables(1), key=lambda kind: kind.text(0))
        made = _vector(builder, [_kind(builder, kind) for kind in kinds])
        entries.append(_table(builder, [builder.CreateString(entry.text(0)), made]))
    offsets = {
        _VERSION: builder.CreateString(root.text(_VERSION)),
        _MODEL: len(data) - model.at,
        _RESOLVER: _table(builder, [_vector(builder, entries)]),
    }
    builder.StartObject(4)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    end = builder.EndObject()
    builder.Prep(ALIGNMENT, 8)
    builder.Finish(end, file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _kind(builder: flatbuffers.Builder, kind: Table) -> int:
    """One `KernelTypeStrArgsEntry`: a type's name and the arguments that have it."""
    places = []
    for place in kind.tables(1):
        builder.StartObject(2)
        builder.PrependUint32Slot(1, int(place.number(1, "I")), 0)
        builder.PrependInt8Slot(0, int(place.number(0, "b")), 0)
        places.append(builder.EndObject())
    args = _vector(builder, places)
    return _table(builder, [builder.CreateString(kind.text(0)), args])


def _table(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartObject(len(offsets))
    for field, offset in enumerate(offsets):
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _required(table: Table, field: int) -> Table:
    found = table.table(field)
    if found is None:
        raise RunnerError("onnxruntime saved a file of another layout than the one known here.")
    return found
