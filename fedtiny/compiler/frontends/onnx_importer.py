"""The state of reading one ONNX model: its constants, and where each value is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler import quantization as q
from fedtiny.compiler.frontends.graph_builder import MAX_ELEMENTS
from fedtiny.compiler.frontends.onnx_fold import MAX_FOLDED_ELEMENTS
from fedtiny.compiler.frontends.onnx_model import ModelRecord, NodeRecord
from fedtiny.compiler.frontends.views import IMAGES, Value, Views
from fedtiny.compiler.ir import Attributes, Node, Quantization
from fedtiny.compiler.operators import Unary


@dataclass(frozen=True)
class Constant:
    """A constant; with a quantization its data are int8 (or int32 for a bias)."""

    data: NDArray[Any]
    quantization: Quantization | None = None

    @property
    def real(self) -> NDArray[Any]:
        """The values it stands for."""
        if self.quantization is None:
            return self.data
        return q.dequantize_values(self.data, self.quantization)

    def transposed(self, order: tuple[int, ...]) -> Constant:
        """The same values with dimensions in another order."""
        quantization = self.quantization
        if quantization is not None and quantization.axis is not None:
            quantization = replace(quantization, axis=order.index(quantization.axis))
        return Constant(self.data.transpose(order), quantization)


class Importer(Views):
    """Collects the graph while the nodes are visited in the file's order.

    Args:
        model: The file's records.
        name: The model's name, also what error messages call the file.
    """

    def __init__(self, model: ModelRecord, name: str) -> None:
        self.model = model
        self.opset = model.opset
        super().__init__(name)
        self.values: dict[str, Value] = {}
        self.constants = {n: Constant(data) for n, data in model.constants.items()}
        self.quantizations: dict[str, Quantization] = {}
        self.budget = MAX_FOLDED_ELEMENTS
        self._views: Counter[str] = Counter()
        self._readers = Counter(i for node in model.nodes for i in node.inputs)
        self._readers.update(model.outputs)
        self._reader_ops = {i: node.op for node in model.nodes for i in node.inputs}

    def readers(self, name: str) -> int:
        """How often a value is read by nodes or as an output of the model."""
        return self._readers[name]

    def feeds(self, name: str, op: str) -> bool:
        """Whether a value is read once, by a node of the given op."""
        return self._readers[name] == 1 and self._reader_ops.get(name) == op

    def constant(self, node: NodeRecord, position: int) -> Constant:
        """The constant at an input position of a node."""
        name = node.input(position)
        if name not in self.constants:
            raise node.unsupported(f"input {position} must be a constant")
        return self.constants[name]

    def optional(self, node: NodeRecord, position: int) -> NDArray[Any] | None:
        """The real values of an optional constant input, None when it is left out."""
        return self.constant(node, position).real if node.input(position) else None

    def value(
        self,
        node: NodeRecord,
        position: int = 0,
        integer: bool = False,
        scaled: bool = False,
    ) -> Value:
        """The run-time value at an input position of a node.

        Args:
            node: The node.
            position: Which input.
            integer: Whether the node may read int8 values as they are.
            scaled: Whether the node can take over the factor of a Mul before it.
        """
        name = node.input(position)
        if name in self.constants:
            raise node.unsupported(f"input {position} is a constant")
        if name not in self.values:
            raise node.damaged(f"it reads {name!r} before it is made")
        found = self.values[name]
        if found.factor != 1 and not scaled:
            raise node.unsupported("it reads a scaled value; Mul is supported before Softmax")
        if found.integer and not integer:
            raise node.unsupported("it reads int8 values; a DequantizeLinear must stand between")
        return found

    def image(self, node: NodeRecord, position: int = 0) -> Value:
        """An input that is NCHW or NCL to ONNX, brought into our order where it is not."""
        found = self.value(node, position)
        rank = len(found.shape)
        if rank not in (3, 4):
            raise node.unsupported(f"its input is {list(found.shape)}, not (1, C, H, W)")
        return self.ordered(node.outputs[0], found, IMAGES[rank])

    def define(self, node: NodeRecord, value: Value) -> None:
        """Say what the node's first output is."""
        name = node.outputs[0]
        if name in self.values or name in self.constants:
            raise node.damaged(f"it makes {name!r} a second time")
        self.values[name] = value
        self._views[value.tensor] += 1

    def make(
        self,
        node: NodeRecord,
        attributes: Attributes,
        inputs: tuple[str, ...],
        like: Value,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Append the node that makes the first output.

        Args:
            node: The node.
            attributes: What it becomes.
            inputs: Names in the graph, the run-time ones first.
            like: Whose order of dimensions the output has.
            shape: The output as ONNX sees it, `like.shape` when None.
        """
        shape = like.shape if shape is None else shape
        if math.prod(shape) > MAX_ELEMENTS:
            raise node.damaged(f"its output {list(shape)} is too large")
        made = Value("", shape, like.order, like.flat)
        name = self.builder.activation(node.outputs[0], made.physical, "float32", None)
        self.builder.node(node.name, attributes, inputs, name)
        self.define(node, replace(made, tensor=name))

    def reshape(self, node: NodeRecord, value: Value, shape: tuple[int, ...]) -> None:
        """Make the first output the same elements under another shape."""
        if shape != value.shape and (not 2 <= len(shape) <= 4 or shape[0] != 1):
            raise node.unsupported(
                f"{list(shape)}; two to four dimensions, the first of them 1, are supported"
            )
        if math.prod(shape) > MAX_ELEMENTS:
            raise node.damaged(f"its output {list(shape)} is too large")
        self.define(node, self.reshaped(node.outputs[0], value, shape))

    def sole_producer(self, node: NodeRecord, value: Value, name: str) -> Node | None:
        """The node of ours that makes a value which nothing else reads and nothing quantizes."""
        if self.readers(name) != 1 or value.tensor in self.quantizations:
            return None
        single = self._views[value.tensor] == 1
        return self.builder.producer(value.tensor) if single else None

    def is_held_otherwise(self, value: Value, quantization: Quantization) -> bool:
        """Whether a value already has another quantization."""
        known = self.quantizations.get(value.tensor)
        return known is not None and not (
            known.scale == quantization.scale and known.zero_point == quantization.zero_point
        )

    def requantize(self, node: NodeRecord, value: Value) -> Value:
        """The same value as a tensor of its own, which may have another quantization."""
        if value.factor != 1:
            raise node.unsupported("it requantizes a scaled value")
        shape = self.builder.tensors[value.tensor].shape
        name = self.builder.activation(f"{node.outputs[0]}/requantized", shape, "float32", None)
        self.builder.node(node.name, Unary("identity"), (value.tensor,), name)
        return replace(value, tensor=name)

    def annotate(self, node: NodeRecord, value: Value, quantization: Quantization) -> None:
        """Record with which quantization a value is held."""
        known = self.quantizations.get(value.tensor)
        if known is None:
            self.quantizations[value.tensor] = quantization
        elif known.scale != quantization.scale or known.zero_point != quantization.zero_point:
            raise node.unsupported(
                f"{value.tensor!r} is quantized in two ways; requantization is not supported"
            )


def add_float(importer: Importer, name: str, data: NDArray[Any]) -> str:
    """Put real values into the graph as float32."""
    return importer.builder.constant(name, np.asarray(data, np.float32))
