"""Round float weights to what float16 holds, so that the reference computes with what is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedtiny.compiler.ir import Graph, Tensor
from fedtiny.compiler.passes.base import FLOAT, Pass
from fedtiny.errors import UsageError


def round_float16_pass() -> Pass:
    """The pass; see `round_float16`."""
    return Pass("round_float16", (FLOAT,), (FLOAT,), round_float16)


def round_float16(graph: Graph) -> Graph:
    """Round every weight; biases and activations stay float32.

    Args:
        graph: Float32, lowered.

    Raises:
        UsageError: A weight is too large for float16; names its tensor.
    """
    rounded: list[Tensor] = []
    for tensor in graph.tensors.values():
        if tensor.data is None or tensor.dtype != "float32" or len(tensor.shape) < 2:
            continue
        with np.errstate(over="ignore"):
            data = tensor.data.astype(np.float16).astype(np.float32)
        if not np.all(np.isfinite(data)):
            limit = float(np.finfo(np.float16).max)
            raise UsageError(
                f"weights {tensor.name!r} exceed {limit:g}, the greatest float16; "
                "use --dtype float32."
            )
        rounded.append(replace(tensor, data=data))
    return graph.rewrite(graph.nodes, rounded)
