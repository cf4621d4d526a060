"""What the elementwise TFLite operators become: sums, differences, products, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fedtiny.compiler.frontends.int8_limits import greatest_ratio
from fedtiny.compiler.frontends.tflite_importer import Constant, Importer, Source
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.frontends.tflite_options import fused_activation
from fedtiny.compiler.ir import Activation, Add, Quantization, Relu
from fedtiny.compiler.operators import Function, Mul, Sub, Unary

MOST_RATIO = float(1 << 19)
"""Input scale over output scale of a sum; above, int32 would not hold the scaled sum."""
MOST_FACTOR = float(1 << 13)
"""The same of a product of input scales."""
_OPTIONS = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}


def binary(importer: Importer, op: OperatorRecord) -> None:
    """ADD, MUL or SUB of two activations, or of one and a constant, broadcast."""
    importer.arity(op, 2, 2)
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
    if not (_broadcasts(source.shape, target.shape) and _broadcasts(shape, target.shape)):
        raise importer.unsupported(
            op,
            f"{list(source.shape)} and {list(shape)}; equal shapes, one value a channel, and "
            "constant numbers are supported",
        )
    if source.dtype == "int8":
        _check_scales(importer, op, source.quantization, operand.quantization, target.quantization)
    activation = fused_activation(importer, op, importer.options(op, _OPTIONS[op.op_name]), 0)
    attributes = {
        "ADD": Add(activation),
        "MUL": Mul(activation),
        "SUB": Sub(activation, reverse=swapped),
    }[op.op_name]
    if isinstance(operand, Source):
        second = operand.name
    else:
        second = importer.add_constant(op, constants[0], operand)
    importer.make(op, attributes, (source.name, second), target.shape)


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


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether a shape is the output's, one value a channel, or one number."""
    size = int(np.prod(shape))
    return shape == target or shape == (1,) or (size,) == shape[-1:] == target[-1:]


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
