"""Runs a captured torch module and keeps the range of every activation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from fedtiny.compiler.frontends.torch_capture import capture


class Observer:
    """The ranges of one module's activations over all batches added so far.

    Attributes:
        ranges: (min, max) by tensor name.
    """

    def __init__(self, module: nn.Module, input_shape: Sequence[int]) -> None:
        self.captured = capture(module, input_shape)
        self.ranges: dict[str, tuple[float, float]] = {}
        self.last_use: dict[fx.Node, fx.Node] = {}
        for node in self.captured.nodes:
            for source in node.all_input_nodes:
                self.last_use[source] = node

    @torch.no_grad()
    def add(self, batch: torch.Tensor) -> None:
        """Run one batch `(N, *input_shape)`."""
        values: dict[fx.Node, Any] = {
            node: tensor for node, (_, tensor) in self.captured.state.items()
        }
        for node in self.captured.names:
            if node.op == "placeholder":
                values[node] = batch
                self._see(node, batch)
        for node in self.captured.nodes:
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: values[source])
            values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            if node in self.captured.names and isinstance(values[node], torch.Tensor):
                self._see(node, values[node])
            for source in node.all_input_nodes:
                if self.last_use[source] is node:
                    del values[source]

    def _see(self, node: fx.Node, value: torch.Tensor) -> None:
        low, high = (float(bound) for bound in torch.aminmax(value))
        name = self.captured.names[node]
        seen = self.ranges.get(name, (math.inf, -math.inf))
        # A NaN must not be hidden by an earlier batch: min() and max() keep their first argument.
        self.ranges[name] = (min(low, seen[0]), max(high, seen[1]))
