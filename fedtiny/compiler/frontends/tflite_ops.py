"""What each TFLite operator becomes in the graph; here those that reshape, reorder and convert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends import tflite_elementwise as elementwise
from fedtiny.compiler.frontends import tflite_layers as layers
from fedtiny.compiler.frontends import tflite_spatial as spatial
from fedtiny.compiler.frontends.tflite_importer import Constant, Importer
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import check_same_quantization
from fedtiny.compiler.ir import Reshape, Softmax
from fedtiny.compiler.operators import Broadcast, Transpose, Unary
from fedtiny.compiler.softmax import SUM_INTEGER_BITS


def reshape(importer: Importer, op: OperatorRecord) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS to the output's static shape."""
    importer.arity(op, 1, 2)
    source = importer.source(op)
    record = importer.model.tensors[op.outputs[0]]
    if int(np.prod(source.shape)) != record.size:
        raise importer.damaged(op, f"{list(source.shape)} to {list(record.shape)}")
    wide = [[n for n in shape if n != 1] for shape in (source.shape, record.shape)]
    if op.op_name != "RESHAPE" and wide[0] != wide[1]:
        raise importer.damaged(op, f"{list(source.shape)} to {list(record.shape)}")
    check_same_quantization(importer, op, source)
    importer.make(op, Reshape(), (source.name,), record.shape)


def transpose(importer: Importer, op: OperatorRecord) -> None:
    """TRANSPOSE; a reshape where only dimensions of size 1 change places."""
    importer.arity(op, 2, 2)
    source, given = importer.source(op), importer.constant(op, 1).data
    order = tuple(int(n) for n in given.reshape(-1)[:8])
    rank = len(source.shape)
    if given.dtype != np.int32 or sorted(order) != list(range(rank)):
        raise importer.damaged(op, f"order {list(order)} of {list(source.shape)}")
    check_same_quantization(importer, op, source)
    shape = tuple(source.shape[axis] for axis in order)
    wide = [axis for axis in order if source.shape[axis] > 1]
    if wide == sorted(wide):
        importer.make(op, Reshape(), (source.name,), shape)
        return
    if order[0] != 0 or rank > 4:
        raise importer.unsupported(
            op,
            f"order {list(order)} of {list(source.shape)}; up to four dimensions, the batch's "
            "in front, are supported",
        )
    importer.make(op, Transpose(order), (source.name,), shape)


def broadcast_to(importer: Importer, op: OperatorRecord) -> None:
    """BROADCAST_TO the output's static shape."""
    importer.arity(op, 2, 2)
    source, shape = importer.source(op), importer.model.tensors[op.outputs[0]].shape
    if len(source.shape) != len(shape) or len(shape) > 4:
        raise importer.unsupported(
            op, f"{list(source.shape)} to {list(shape)}; ranks must be equal"
        )
    if any(n not in (1, m) for n, m in zip(source.shape, shape, strict=True)):
        raise importer.damaged(op, f"{list(source.shape)} to {list(shape)}")
    check_same_quantization(importer, op, source)
    importer.make(op, Broadcast(), (source.name,), shape)


def softmax(importer: Importer, op: OperatorRecord) -> None:
    """SOFTMAX over the last dimension."""
    importer.arity(op, 1, 1)
    source, options = importer.source(op), importer.options(op, "SoftmaxOptions")
    beta = float(options.number(0, "f"))
    if not 2.0**-10 <= beta <= 2.0**10:
        raise importer.damaged(op, f"beta {beta}")
    target = importer.model.tensors[op.outputs[0]].quantization
    if source.dtype == "int8":
        if target is None or target.scale != np.float32(1 / 256) or target.zero_point != -128:
            raise importer.unsupported(op, "its int8 output must have scale 1/256, zero point -128")
        assert source.quantization is not None
        if source.shape[-1] >= 1 << SUM_INTEGER_BITS:
            raise importer.unsupported(op, f"an int8 softmax of {source.shape[-1]} values")
        if not 2.0**-20 <= beta * float(source.quantization.scale) <= 2.0**4:
            raise importer.unsupported(op, "its int8 input scale is out of range")
    importer.make(op, Softmax(beta), (source.name,), source.shape)


def densify(importer: Importer, op: OperatorRecord) -> None:
    """DENSIFY: a sparse constant under a new name."""
    importer.arity(op, 1, 1)
    constant = importer.constant(op, 0)
    _define_constant(importer, op, replace(constant, name=op.name), constant.data.shape)


def quantize(importer: Importer, op: OperatorRecord) -> None:
    """QUANTIZE of int8 to int8, or at the outputs to uint8, which only shifts by 128."""
    importer.arity(op, 1, 1)
    source, record = importer.source(op), importer.model.tensors[op.outputs[0]]
    given, target = source.quantization, record.quantization
    if record.type_name == "INT8" and source.dtype == "int8":
        elementwise.function(importer, op, Unary("identity"))
        return
    shifted = given is not None and target is not None and given.scale == target.scale
    shifted = shifted and record.type_name == "UINT8" and record.shape == source.shape
    if not shifted or int(given.zero_point) + 128 != int(target.zero_point):  # type: ignore[union-attr]
        raise importer.unsupported(op, "QUANTIZE is supported where the model begins and ends")
    _define_edge(importer, op, source.name)


def dequantize(importer: Importer, op: OperatorRecord) -> None:
    """DEQUANTIZE of a constant, or at the outputs of the model."""
    importer.arity(op, 1, 1)
    index, record = op.inputs[0], importer.model.tensors[op.outputs[0]]
    if record.type_name != "FLOAT32":
        raise importer.damaged(op, f"its output is {record.type_name}")
    if index < 0 or not importer.is_constant(index):
        source = importer.source(op)
        if source.dtype != "int8" or record.shape != source.shape:
            raise importer.damaged(op, f"it dequantizes a {source.dtype} tensor")
        _define_edge(importer, op, source.name)
        return
    constant = importer.constant(op, 0)
    if constant.data.dtype == np.float16:
        data = constant.data.astype(np.float32)
    elif constant.data.dtype == np.int8 and constant.quantization is not None:
        data = q.dequantize_values(constant.data, constant.quantization)
    else:
        raise importer.unsupported(op, f"a constant of {constant.data.dtype}")
    _define_constant(importer, op, Constant(op.name, data, None), constant.data.shape)


def _define_constant(
    importer: Importer, op: OperatorRecord, constant: Constant, shape: tuple[int, ...]
) -> None:
    index = op.outputs[0]
    if index in importer.sources or importer.is_constant(index):
        raise importer.damaged(op, "its output is made twice")
    if importer.model.tensors[index].shape != shape:
        raise importer.damaged(op, f"its output is {list(importer.model.tensors[index].shape)}")
    importer.constants[index] = constant


def _define_edge(importer: Importer, op: OperatorRecord, name: str) -> None:
    index = op.outputs[0]
    if index in importer.sources or index in importer.edges or importer.is_constant(index):
        raise importer.damaged(op, "its output is made twice")
    importer.edges[index] = name


@dataclass(frozen=True)
class OpReader:
    """How an operator is read, and the newest version of it that is understood."""

    read: Callable[[Importer, OperatorRecord], None]
    version: int


_OP = schema.BuiltinOperator
OPS: Mapping[int, OpReader] = {
    _OP.BROADCAST_TO: OpReader(broadcast_to, 3),
    _OP.DENSIFY: OpReader(densify, 1),
    _OP.DEQUANTIZE: OpReader(dequantize, 6),
    _OP.EXPAND_DIMS: OpReader(reshape, 1),
    _OP.QUANTIZE: OpReader(quantize, 4),
    _OP.RESHAPE: OpReader(reshape, 1),
    _OP.SOFTMAX: OpReader(softmax, 3),
    _OP.SQUEEZE: OpReader(reshape, 2),
    _OP.TRANSPOSE: OpReader(transpose, 6),
    **{
        code: OpReader(*row)
        for code, row in {**elementwise.OPS, **layers.OPS, **spatial.OPS}.items()
    },
}
"""Every operator that is supported."""
NAMES = tuple(sorted({k for k, v in vars(_OP).items() if isinstance(v, int) and v in OPS}))
