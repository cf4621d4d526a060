"""The front door for ONNX files."""

from __future__ import annotations

from dataclasses import replace

import onnx

from fedtiny.compiler.frontends.onnx_fold import fold
from fedtiny.compiler.frontends.onnx_importer import Constant, Importer
from fedtiny.compiler.frontends.onnx_lookup import join_lookups
from fedtiny.compiler.frontends.onnx_model import InputRecord, NodeRecord, read_model
from fedtiny.compiler.frontends.onnx_ops import OPS
from fedtiny.compiler.frontends.onnx_qdq import dequantize_linear, quantize_linear
from fedtiny.compiler.frontends.onnx_quantize import dequantize_constants, quantize_annotated
from fedtiny.compiler.frontends.views import NCHW, NCL, Value
from fedtiny.compiler.ir import Graph
from fedtiny.errors import UnsupportedError

_QDQ = {"DequantizeLinear": dequantize_linear, "QuantizeLinear": quantize_linear}
_MOVING = ("Identity", "Reshape", "Squeeze", "Unsqueeze")


def from_onnx(data: bytes, name: str) -> Graph:
    """Read a float32 or QDQ int8 ONNX model, operator sets 11 to 23.

    Inputs `(1, C, H, W)` become `(1, H, W, C)` and, where the model convolves them, `(1, C, L)`
    become `(1, L, 1, C)`, so that no transpose is left; a layer after flattening has its weights
    permuted. Outputs likewise. A model of another program that itself turns NHWC inputs to NCHW,
    or its outputs back, has them as it says.

    A QDQ model becomes an int8 graph with TensorFlow Lite's int8 meaning:
    onnxruntime rounds differently, so that a layer's output may differ by one LSB from its own, and
    its inputs and outputs are the int8 values between the first QuantizeLinear and the last
    DequantizeLinear; uint8 values are held as int8, 128 lower.

    Args:
        data: The whole file; external data are refused.
        name: The model's name; error messages begin with it.

    Returns:
        A verified graph.

    Raises:
        UsageError: The file is damaged.
        UnsupportedError: It uses something else; the message names the node, its op, and what is
            supported.
    """
    model = join_lookups(read_model(data, name))
    importer = Importer(model, name)
    inputs = tuple(_add_input(importer, record) for record in model.inputs)
    for node in model.nodes:
        _read(importer, node)
    outputs = []
    for output in model.outputs:
        value = importer.values.get(output)
        if value is None or value.factor != 1:
            why = "is not computed" if value is None else "is only scaled"
            raise UnsupportedError(f"{name}: output {output!r} {why} by supported nodes.")
        outputs.append(_in_order(importer, output, value).tensor)
    graph = importer.builder.finish(inputs, tuple(outputs))
    if importer.quantizations:
        graph = quantize_annotated(graph, importer.quantizations)
    else:
        graph = dequantize_constants(graph)
    return _name_outputs(graph, model.outputs)


def _name_outputs(graph: Graph, names: tuple[str, ...]) -> Graph:
    """Give the outputs the file's names; a tensor that has one and is no output gets its name."""
    new: dict[str, str] = {}
    for tensor, name in zip(graph.outputs, names, strict=True):
        taken = name in graph.tensors and (name in graph.outputs or graph.producer(name) is None)
        if graph.producer(tensor) is not None and not taken and not {tensor, name} & new.keys():
            new[tensor] = name
            if name in graph.tensors:
                new[name] = tensor
    nodes = tuple(
        replace(
            node,
            inputs=tuple(new.get(n, n) for n in node.inputs),
            outputs=tuple(new.get(n, n) for n in node.outputs),
        )
        for node in graph.nodes
    )
    tensors = {new.get(n, n): replace(t, name=new.get(n, n)) for n, t in graph.tensors.items()}
    outputs = tuple(new.get(n, n) for n in graph.outputs)
    return Graph(graph.name, tensors, nodes, graph.inputs, outputs).verify()


def _in_order(importer: Importer, name: str, value: Value) -> Value:
    """An output with its elements in ONNX's order, a map's in ours, and never an input itself."""
    end = NodeRecord(importer.builder.name, name, "output", (), (name,), {})
    made_nhwc = value.order == (0, 1, 2, 3) and _is_turned_back(importer, name)
    if len(value.shape) == 4 and not made_nhwc:
        value = importer.ordered(name, value, NCHW)
    elif value.order != NCL:
        value = importer.ordered(name, value, tuple(range(len(value.shape))))
    if importer.builder.producer(value.tensor) is None:
        quantization = importer.quantizations.get(value.tensor)
        value = importer.requantize(end, value)
        if quantization is not None:
            importer.quantizations[value.tensor] = quantization
    return value


def _add_input(importer: Importer, record: InputRecord) -> str:
    """Add a graph input: NHWC for NCHW, unless the file itself transposes NHWC to NCHW."""
    if record.dtype not in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
    ):
        raise UnsupportedError(
            f"{importer.builder.name}: input {record.name!r} must be float32, int8 or uint8."
        )
    integer = record.dtype != onnx.TensorProto.FLOAT
    rank = len(record.shape)
    order = tuple(range(rank))
    if rank == 4 and not _is_turned(importer, record.name, NCHW):
        order = NCHW
    elif rank == 3 and _has_sequences(importer):
        order = (0, 1, 3) if _is_turned(importer, record.name, (0, 2, 1)) else NCL
    value = Value("", record.shape, order, integer=integer)
    tensor = importer.builder.activation(record.name, value.physical, "float32", None)
    if record.name in importer.values or record.name in importer.constants:
        raise UnsupportedError(f"{importer.builder.name}: input {record.name!r} is named twice.")
    importer.values[record.name] = replace(value, tensor=tensor)
    return tensor


def _is_turned_back(importer: Importer, name: str) -> bool:
    """Whether an output, before its quantization, is turned to NHWC at its end; not so in ours."""
    made_by = {n.outputs[0]: n for n in importer.model.nodes if n.outputs}
    node = made_by.get(name)
    while node is not None and node.op in (*_QDQ, "Identity"):
        node = made_by.get(node.input(0))
    turned = node is not None and node.op == "Transpose" and node.integers("perm") == (0, 2, 3, 1)
    return turned and not importer.model.ours


def _has_sequences(importer: Importer) -> bool:
    """Whether the model slides windows over `(N, C, L)`."""
    constants = importer.model.constants
    quantized = {n.outputs[0]: n.inputs[0] for n in importer.model.nodes if n.op in _QDQ}
    for node in importer.model.nodes:
        if node.op in ("AveragePool", "Conv", "ConvTranspose", "MaxPool"):
            weights = constants.get(quantized.get(node.input(1), node.input(1)))
            if len(node.integers("kernel_shape") or ()) == 1 or getattr(weights, "ndim", 0) == 3:
                return True
    return False


def _is_turned(importer: Importer, name: str, perm: tuple[int, ...]) -> bool:
    """Whether every reader of an input, behind its quantization, makes it channels first.

    Not so in a file of ours, whose inputs are always channels first.
    """
    if importer.model.ours:
        return False
    names, readers = {name}, []
    for node in importer.model.nodes:
        if node.inputs and node.inputs[0] in names:
            if node.op in _QDQ:
                names.update(node.outputs)
            else:
                readers.append(node)
    return bool(readers) and all(
        n.op == "Transpose" and n.integers("perm") == perm for n in readers
    )


def _read(importer: Importer, node: NodeRecord) -> None:
    if node.op in _QDQ:
        _QDQ[node.op](importer, node)
        return
    given = [importer.constants.get(i) if i else None for i in node.inputs]
    constant = all(c is not None or not i for c, i in zip(given, node.inputs, strict=True))
    if constant and node.outputs:
        result = _fold(importer, node, given)
        if result is not None:
            if node.outputs[0] in importer.constants or node.outputs[0] in importer.values:
                raise node.damaged(f"it makes {node.outputs[0]!r} a second time")
            importer.constants[node.outputs[0]] = result
            return
    reader = OPS.get(node.op)
    if reader is None:
        supported = ", ".join(sorted([*OPS, *_QDQ]))
        raise node.unsupported(f"not a supported op; supported are {supported}")
    reader(importer, node)


def _fold(importer: Importer, node: NodeRecord, given: list[Constant | None]) -> Constant | None:
    """Evaluate a node on constants; quantized ones stay so when they are only moved."""
    first = given[0] if given else None
    if first is not None and first.quantization is not None:
        if node.op == "Transpose":
            order = node.integers("perm") or tuple(reversed(range(first.data.ndim)))
            if sorted(order) != list(range(first.data.ndim)):
                raise node.damaged(f"permutation {list(order)}")
            return first.transposed(order)
        if node.op in _MOVING and (first.quantization.axis is None or node.op == "Identity"):
            moved = fold(
                node,
                [first.data, *(None if c is None else c.data for c in given[1:])],
                importer.budget,
            )
            return None if moved is None else replace(first, data=moved)
    result = fold(node, [c if c is None else c.real for c in given], importer.budget)
    if result is None:
        return None
    importer.budget -= result.size
    return Constant(result)
