"""QuantizeLinear and DequantizeLinear: which values of an ONNX graph are held in int8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends.onnx_importer import Constant, Importer
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.ir import Quantization


def quantize_linear(importer: Importer, node: NodeRecord) -> None:
    """QuantizeLinear: records how a value is held, or quantizes a constant."""
    node.arity(2, 3)
    name = node.inputs[0]
    if name in importer.constants:
        real = importer.constants[name].real
        found = _quantization(importer, node, real.shape)
        unsigned = _is_unsigned(importer, node)
        if found.axis is not None and real.shape[found.axis] != found.scale.size:
            raise node.damaged("its scales do not fit its constant")
        stored = q.quantize_values(np.nan_to_num(np.asarray(real, np.float32)), found)
        data = (stored.astype(np.int16) + 128).astype(np.uint8) if unsigned else stored
        _define_constant(importer, node, Constant(data))
        return
    value = importer.value(node)
    found = _quantization(importer, node, value.shape)
    quantization = _per_tensor(node, found)
    if importer.is_held_otherwise(value, quantization):
        value = importer.requantize(node, value)
    importer.annotate(node, value, quantization)
    importer.define(node, replace(value, integer=True))


def dequantize_linear(importer: Importer, node: NodeRecord) -> None:
    """DequantizeLinear of a value or of a constant."""
    node.arity(2, 3)
    name = node.inputs[0]
    if name in importer.constants:
        stored = importer.constants[name].data
        found = _quantization(importer, node, stored.shape)
        _define_constant(importer, node, _constant(node, stored, found))
        return
    value = importer.value(node, integer=True)
    if not value.integer:
        raise node.unsupported("it dequantizes a float value")
    if not node.input(2):
        raise node.unsupported("it has no zero point, which would say the type of its input")
    found = _quantization(importer, node, value.shape)
    importer.annotate(node, value, _per_tensor(node, found))
    importer.define(node, replace(value, integer=False))


def _define_constant(importer: Importer, node: NodeRecord, constant: Constant) -> None:
    if node.outputs[0] in importer.constants or node.outputs[0] in importer.values:
        raise node.damaged(f"it makes {node.outputs[0]!r} a second time")
    importer.constants[node.outputs[0]] = constant


def _constant(node: NodeRecord, stored: NDArray[Any], found: Quantization) -> Constant:
    if found.axis is not None and stored.shape[found.axis] != found.scale.size:
        raise node.damaged("its scales do not fit its constant")
    if stored.dtype == np.uint8:
        return Constant((stored.astype(np.int16) - 128).astype(np.int8), found)
    if stored.dtype == np.int8:
        return Constant(stored, found)
    if stored.dtype != np.int32 or np.any(found.zero_point):
        raise node.unsupported(f"a constant of {stored.dtype}; int8, uint8 and int32 are supported")
    return Constant(stored, found)


def _is_unsigned(importer: Importer, node: NodeRecord) -> bool:
    """Whether the integers are uint8, which are held as int8 after subtracting 128."""
    if node.input(2):
        dtype = importer.constant(node, 2).data.dtype
        if dtype not in (np.int8, np.uint8, np.int32):
            raise node.unsupported(f"zero points of {dtype}; int8 and uint8 are supported")
        return bool(dtype == np.uint8)
    if node.op == "DequantizeLinear":
        return bool(importer.constant(node, 0).data.dtype == np.uint8)
    return node.integer("output_dtype", 0) in (0, 2)


def _quantization(importer: Importer, node: NodeRecord, shape: tuple[int, ...]) -> Quantization:
    scale = importer.constant(node, 1).data
    points = importer.constant(node, 2).data if node.input(2) else np.zeros(scale.shape, np.int32)
    usable = scale.dtype == np.float32 and scale.ndim <= 1 and scale.size == points.size
    usable = usable and scale.size > 0 and bool(np.all(np.isfinite(scale) & (scale > 0)))
    if not usable or node.integer("block_size", 0):
        raise node.unsupported("one positive float32 scale per tensor or per channel is supported")
    zero_point = points.reshape(-1).astype(np.int32)
    if _is_unsigned(importer, node):
        zero_point = zero_point - 128
    if np.any(np.abs(zero_point) > 128):
        raise node.unsupported("a zero point outside int8")
    if scale.size == 1:
        return Quantization(scale.reshape(()), zero_point.reshape(()))
    axis = node.integer("axis", 1)
    if not -len(shape) <= axis < len(shape):
        raise node.damaged(f"axis {axis}")
    return Quantization(scale, zero_point, axis % len(shape))


def _per_tensor(node: NodeRecord, found: Quantization) -> Quantization:
    if found.axis is not None:
        raise node.unsupported("a value with scales per channel; only weights may have them")
    return found
