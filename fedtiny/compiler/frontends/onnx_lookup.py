"""Tables of 256 entries: how an ONNX file holds an int8 function that has no op.

ONNX has no table lookup by an int8 value. Our files round a value to its integer, count it from
-128, and gather: `Gather(table, Cast(Round(x / scale) + zero_point + 128))`. Those nodes are read
as one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from fedtiny.compiler.frontends.onnx_importer import Importer
from fedtiny.compiler.frontends.onnx_model import ModelRecord, NodeRecord
from fedtiny.compiler.operators import Unary

_CHAIN = ("Cast", "Add", "Round", "Div")


def join_lookups(model: ModelRecord) -> ModelRecord:
    """Make every such chain one Gather that reads table, value, scale and first."""
    made_by = {node.outputs[0]: node for node in model.nodes if node.outputs}
    readers = Counter(name for node in model.nodes for name in node.inputs)
    readers.update(model.outputs)
    joined: dict[str, NodeRecord] = {}
    dropped: set[str] = set()
    for node in model.nodes:
        table = model.constants.get(node.input(0))
        if node.op != "Gather" or table is None or table.shape != (256,):
            continue
        chain, name = [], node.input(1)
        for op in _CHAIN:
            step = made_by.get(name)
            if step is None or step.op != op or readers[name] != 1 or not step.inputs:
                break
            chain.append(step)
            name = step.inputs[0]
        if len(chain) == len(_CHAIN):
            inputs = (node.inputs[0], name, chain[3].input(1), chain[1].input(1))
            joined[node.outputs[0]] = replace(node, name=chain[3].name, inputs=inputs)
            dropped.update(step.outputs[0] for step in chain)
    nodes = (
        joined.get(n.outputs[0], n) if n.outputs else n
        for n in model.nodes
        if not n.outputs or n.outputs[0] not in dropped
    )
    return replace(model, nodes=tuple(nodes)) if joined else model


def gather(importer: Importer, node: NodeRecord) -> None:
    """Gather by an int8 value, as `join_lookups` has made it."""
    if len(node.inputs) != 4:
        raise node.unsupported("a table of 256 entries by an int8 value is supported")
    table, scale, first = (importer.constant(node, i).data for i in (0, 2, 3))
    value = importer.value(node, 1)
    known = importer.quantizations.get(value.tensor)
    numbers = scale.size == first.size == 1 and table.dtype == np.float32
    if known is None or not numbers or not np.isfinite(table).all():
        raise node.unsupported("a table of 256 numbers by an int8 value is supported")
    if scale.item() != known.scale or first.item() != int(known.zero_point) + 128:
        raise node.unsupported("a table by a value that is quantized otherwise")
    attributes = Unary("table", values=tuple(float(v) for v in table))
    importer.make(node, attributes, (value.tensor,), value)
