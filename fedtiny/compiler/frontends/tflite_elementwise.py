"""What the elementwise TFLite operators become: sums, differences, products, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler import unary
from fedtiny.compiler.frontends.int8_limits import greatest_ratio
from fedtiny.compiler.frontends.tflite_importer import Constant, Importer, Source
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import fused_activation
from fedtiny.compiler.ir import Activation, Add, Quantization, Relu, Reshape
from fedtiny.compiler.operators import Function, Mul, Sub, Unary

MOST_RATIO = float(1 << 19)
"""Input scale over output scale of a sum; above, int32 would not hold the scaled sum."""
MOST_FACTOR = float(1 << 13)
"""The same of a product of input scales."""
_HARD_SIGMOIDS = ((1 / 6, 0.5), (0.2, 0.5))
"""alpha and beta of PyTorch and of ONNX, whose tables are known again."""
_OPTIONS = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}


def binary(importer: Importer, op: OperatorRecord) -> None:
    """ADD, MUL or SUB of two activations, or of one and a constant, broadcast."""
    importer.arity(op, 2, 2)
    if op.op_name == "ADD" and _is_index(importer, op):
        return
    constants = [i for i in range(2) if importer.is_constant(op.inputs[i])]
    if len(constants) == 2:
        raise importer.unsupported(op, "both inputs are constants")
    swapped = constants == [0]
    source = importer.source(op, 1 if swapped else 0)
    target = importer.model.tensors[op.outputs[0]]
    operand: Source | Constant
    if constants:
        operand = _constant(importer, op, constants[0], source)
        shape, dtype = operand.data.shape, str(operand.data.dtype)
    else:
        operand = importer.source(op, 1)
        shape, dtype = operand.shape, operand.dtype
    if dtype != source.dtype:
        raise importer.unsupported(op, f"a {dtype} and a {source.dtype} input; types must be equal")
    rank = len(target.shape)
    if not (rank <= 4 and _broadcasts(target.shape, source.shape, shape)):
        raise importer.unsupported(
            op, f"{list(source.shape)} and {list(shape)} do not broadcast to {list(target.shape)}"
        )
    if source.dtype == "int8":
        _check_scales(importer, op, source.quantization, operand.quantization, target.quantization)
    activation = fused_activation(importer, op, importer.options(op, _OPTIONS[op.op_name]), 0)
    attributes = {
        "ADD": Add(activation),
        "MUL": Mul(activation),
        "SUB": Sub(activation, reverse=swapped),
    }[op.op_name]
    first = _of_rank(importer, op, source, rank)
    if isinstance(operand, Source):
        second = _of_rank(importer, op, operand, rank)
    else:
        size = operand.data.size
        pixel = shape[-1:] == target.shape[-1:] == (size,)
        if size != 1 and not pixel:
            operand = replace(operand, data=np.broadcast_to(operand.data, target.shape))
        second = importer.add_constant(op, constants[0], operand)
    inputs = importer.builder.operands(op.name, first, second, target.shape)
    importer.make(op, attributes, inputs, target.shape)


def _of_rank(importer: Importer, op: OperatorRecord, source: Source, rank: int) -> str:
    """An activation with dimensions of size 1 in front."""
    if len(source.shape) == rank:
        return source.name
    shape = (1,) * (rank - len(source.shape)) + source.shape
    name = importer.builder.activation(
        f"{op.name}/{source.name}", shape, source.dtype, source.quantization
    )
    importer.builder.node(name, Reshape(), (source.name,), name)
    return name


def _constant(importer: Importer, op: OperatorRecord, position: int, source: Source) -> Constant:
    constant = importer.constant(op, position)
    if constant.data.size == 0 or str(constant.data.dtype) not in ("float32", "int8"):
        raise importer.unsupported(op, f"a constant of {constant.data.dtype}")
    if source.dtype == "int8":
        quantization = constant.quantization
        if quantization is None or quantization.axis is not None:
            raise importer.unsupported(op, "an int8 constant must have one scale")
        if not -128 <= int(quantization.zero_point) <= 127:
            raise importer.damaged(op, f"a zero point of {int(quantization.zero_point)}")
    else:
        constant = replace(constant, quantization=None)
    if constant.data.ndim == 0 or constant.data.size == 1:
        constant = replace(constant, data=constant.data.reshape(1))
    return constant


def _broadcasts(target: tuple[int, ...], *shapes: tuple[int, ...]) -> bool:
    """Whether shapes, broadcast together, make a shape."""
    try:
        return np.broadcast_shapes(*shapes) == target
    except ValueError:
        return False


def _is_index(importer: Importer, op: OperatorRecord) -> bool:
    """Whether an ADD of int32 only moves the index of a table."""
    found = importer.lookups.get(op.inputs[0])
    if found is None or not importer.is_constant(op.inputs[1]):
        return False
    added = importer.constant(op, 1).data
    if added.dtype != np.int32 or added.size != 1 or op.outputs[0] in importer.lookups:
        raise importer.unsupported(op, "of int32 values only the index of a table is supported")
    importer.lookups[op.outputs[0]] = found[0], found[1] + int(added.item())
    return True


def cast(importer: Importer, op: OperatorRecord) -> None:
    """CAST of int8 to int32, the index of a table."""
    importer.arity(op, 1, 1)
    source, record = importer.source(op), importer.model.tensors[op.outputs[0]]
    if source.dtype != "int8" or record.type_name != "INT32" or record.shape != source.shape:
        raise importer.unsupported(op, "of int8 to int32, for the index of a table, is supported")
    importer.lookups[op.outputs[0]] = source, 0


def gather(importer: Importer, op: OperatorRecord) -> None:
    """GATHER from a table with an entry for every int8 value: a function by definition."""
    importer.arity(op, 2, 2)
    found = importer.lookups.get(op.inputs[1])
    options = importer.options(op, "GatherOptions")
    if found is None or found[1] != 128 or options.number(0, "i") or options.number(1, "i"):
        raise importer.unsupported(op, "from a table by an int8 value plus 128 is supported")
    table, source = importer.constant(op, 0).data, found[0]
    target = importer.model.tensors[op.outputs[0]].quantization
    if table.shape != (256,) or table.dtype != np.int8 or target is None or target.axis is not None:
        raise importer.unsupported(op, "an int8 table of 256 entries with one scale is supported")
    assert source.quantization is not None
    known = (Unary("hard_sigmoid", *numbers) for numbers in _HARD_SIGMOIDS)
    named = (a for a in known if np.array_equal(unary.table(a, source.quantization, target), table))
    attributes = next(named, Unary("table", values=tuple(int(v) for v in table)))
    importer.make(op, attributes, (source.name,), source.shape)


def _check_scales(
    importer: Importer,
    op: OperatorRecord,
    a: Quantization | None,
    b: Quantization | None,
    target: Quantization | None,
) -> None:
    if a is None or b is None or target is None or target.axis is not None:
        raise importer.unsupported(op, "its int8 output has no scale")
    scales = float(a.scale), float(b.scale)
    factor = scales[0] * scales[1] if op.op_name == "MUL" else max(scales)
    most = MOST_FACTOR if op.op_name == "MUL" else MOST_RATIO
    if factor / float(target.scale) >= most:
        raise importer.unsupported(op, "its scales differ too much for int32")


def relu(importer: Importer, op: OperatorRecord) -> None:
    """RELU and RELU6; in int8 fused into the node before where that is exact."""
    importer.arity(op, 1, 1)
    source = importer.source(op)
    activation: Activation = "relu" if op.op_name == "RELU" else "relu6"
    if source.dtype == "float32":
        importer.make(op, Relu(activation), (source.name,), source.shape)
        return
    target = importer.model.tensors[op.outputs[0]].quantization
    if _is_same(source.quantization, target) and importer.fuse(op, activation):
        return
    function(importer, op, Unary("relu" if activation == "relu" else "relu6"))


def _is_same(a: Quantization | None, b: Quantization | None) -> bool:
    if a is None or b is None or b.axis is not None:
        return False
    return bool(a.scale == b.scale and a.zero_point == b.zero_point)


def leaky_relu(importer: Importer, op: OperatorRecord) -> None:
    """LEAKY_RELU."""
    alpha = float(importer.options(op, "LeakyReluOptions").number(0, "f"))
    if not abs(alpha) <= 1 << 10:
        raise importer.damaged(op, f"alpha {alpha}")
    function(importer, op, Unary("leaky_relu", alpha))


def function(importer: Importer, op: OperatorRecord, attributes: Unary) -> None:
    """A function of one activation."""
    importer.arity(op, 1, 1)
    source = importer.source(op)
    if source.quantization is not None:
        target = importer.model.tensors[op.outputs[0]].quantization
        if target is None or target.axis is not None:
            raise importer.unsupported(op, "its int8 output has no scale")
        ratio = float(source.quantization.scale) / float(target.scale)
        if not ratio <= greatest_ratio(attributes):
            raise importer.unsupported(op, f"an input scale {ratio:.3g} times its output scale")
    importer.make(op, attributes, (source.name,), source.shape)


def _reader(name: Function) -> Callable[[Importer, OperatorRecord], None]:
    def read(importer: Importer, op: OperatorRecord) -> None:
        function(importer, op, Unary(name))

    return read


_OP = schema.BuiltinOperator
OPS: Mapping[int, tuple[Callable[[Importer, OperatorRecord], None], int]] = {
    _OP.ADD: (binary, 5),
    _OP.CAST: (cast, 7),
    _OP.GATHER: (gather, 7),
    _OP.HARD_SWISH: (_reader("hard_swish"), 1),
    _OP.LEAKY_RELU: (leaky_relu, 2),
    _OP.LOGISTIC: (_reader("sigmoid"), 3),
    _OP.MUL: (binary, 7),
    _OP.RELU: (relu, 3),
    _OP.RELU6: (relu, 3),
    _OP.SUB: (binary, 5),
    _OP.TANH: (_reader("tanh"), 3),
}
"""Readers of operators, each with the newest version of the operator that it understands."""
