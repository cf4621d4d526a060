"""Runs a captured torch module and counts the values of every activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from fedtiny.compiler.frontends.torch_capture import capture
from fedtiny.compiler.histogram import Histogram


class Observer:
    """The histograms of one module's activations over all batches added so far.

    Attributes:
        histograms: By tensor name.
    """

    def __init__(self, module: nn.Module, input_shape: Sequence[int]) -> None:
        self.captured = capture(module, input_shape)
        self.histograms: dict[str, Histogram] = {}
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
        seen = Histogram.of(value.numpy())
        name = self.captured.names[node]
        known = self.histograms.get(name)
        self.histograms[name] = seen if known is None else known.united(seen)
