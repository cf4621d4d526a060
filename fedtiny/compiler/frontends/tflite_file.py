"""The front door for TFLite files."""

from __future__ import annotations

from collections import defaultdict

from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler.frontends import tflite_ops
from fedtiny.compiler.frontends.tflite_importer import Importer
from fedtiny.compiler.frontends.tflite_model import (
    TensorRecord,
    read_model,
)
from fedtiny.compiler.ir import Graph
from fedtiny.errors import UnsupportedError


def from_tflite(data: bytes, name: str) -> Graph:
    """Read a float32 or int8 TFLite model.

    Names are kept: a layer is called by its output tensor's name. SAME and VALID padding become
    explicit; sparse weights are decoded. QUANTIZE at the inputs and DEQUANTIZE at the outputs are
    left out: the graph takes and gives the int8 tensors between them, whose quantization says what
    they mean.

    Args:
        data: The whole file.
        name: The model's name; error messages begin with it.

    Returns:
        A verified graph whose reference execution equals LiteRT's reference kernels, exactly for
        int8.

    Raises:
        UsageError: The file is damaged.
        UnsupportedError: It uses something else; the message names the node, its op, and what is
            supported.
    """
    model = read_model(data, name)
    importer = Importer(model, name)
    quantizers, inputs = _read_inputs(importer)
    for position, op in enumerate(model.operators):
        if position in quantizers:
            continue
        reader = tflite_ops.OPS.get(op.op)
        if reader is None:
            supported = ", ".join(tflite_ops.NAMES)
            raise importer.unsupported(op, f"not a supported operator; supported are {supported}")
        if not 1 <= op.version <= reader.version:
            raise importer.unsupported(
                op, f"version {op.version}; versions 1 to {reader.version} are supported"
            )
        reader.read(importer, op)
    outputs = []
    for index in model.outputs:
        if index in importer.edges:
            outputs.append(importer.edges[index])
        elif index in importer.sources:
            outputs.append(importer.sources[index].name)
        else:
            raise UnsupportedError(
                f"{name}: output {model.tensors[index].name!r} is not computed by a supported node."
            )
    return importer.builder.finish(tuple(inputs), tuple(outputs))


def _read_inputs(importer: Importer) -> tuple[set[int], list[str]]:
    """Add the model's inputs; returns the positions of QUANTIZE after them, and their names."""
    model = importer.model
    skipped, names = set(), []
    readers_of: dict[int, list[int]] = defaultdict(list)
    for position, op in enumerate(model.operators):
        for i in op.inputs:
            readers_of[i].append(position)
    for index in model.inputs:
        readers = readers_of[index]
        first = (
            model.operators[readers[0]]
            if len(readers) == 1 and index not in model.outputs
            else None
        )
        entry = index
        if first is not None and first.op == schema.BuiltinOperator.QUANTIZE:
            importer.arity(first, 1, 1)
            if _only_converts(model.tensors[index], model.tensors[first.outputs[0]]):
                entry = first.outputs[0]
                skipped.add(readers[0])
        name = importer.add_activation(entry)
        importer.define(entry, name)
        names.append(name)
    return skipped, names


def _only_converts(given: TensorRecord, made: TensorRecord) -> bool:
    """Whether a QUANTIZE loses nothing that an int8 input of the graph would keep."""
    if made.type_name != "INT8" or given.shape != made.shape:
        return False
    if given.type_name == "FLOAT32":
        return True
    a, b = given.quantization, made.quantization
    if given.type_name != "UINT8" or a is None or b is None or a.axis is not None:
        return False
    return bool(a.scale == b.scale and a.zero_point == b.zero_point + 128)
