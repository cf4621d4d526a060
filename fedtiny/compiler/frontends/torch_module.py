"""The front door for torch modules: a float32 graph, NHWC, exactly the module in eval mode."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fedtiny.compiler.frontends import torch_elementwise as elementwise
from fedtiny.compiler.frontends import torch_layers as layers
from fedtiny.compiler.frontends import torch_shapes as shapes
from fedtiny.compiler.frontends import torch_spatial as spatial
from fedtiny.compiler.frontends.torch_translation import Translation
from fedtiny.compiler.ir import Graph

if TYPE_CHECKING:
    from torch import fx, nn

    from fedtiny.sparse_model import SparseModel

OPS: Mapping[str, Callable[[Translation, fx.Node], None]] = {
    **elementwise.OPS,
    **layers.OPS,
    **shapes.OPS,
    **spatial.OPS,
}
"""By operator of torch's core library, what translates it."""


def from_torch(module: nn.Module, input_shape: Sequence[int], name: str) -> Graph:
    """Capture a module and translate it.

    Args:
        module: Takes one float32 tensor `(N, *input_shape)`; captured in eval mode.
        input_shape: `(C, H, W)`, `(C, L)` or `(T, F)`, or `(I,)`.
        name: The graph's name.

    Returns:
        A float32 graph whose input is `(1, H, W, C)`, `(1, L, 1, C)` where the module convolves
        sequences, or as torch has it. Batch normalization and activations are nodes of their own;
        `fedtiny.compiler.passes.lower` folds them.

    Raises:
        UnsupportedError: An operator, or a use of one, has no translation; names the node.
    """
    from fedtiny.compiler.frontends.torch_capture import capture

    translation = Translation(capture(module, input_shape), name, tuple(OPS))
    for source in translation.captured.nodes:
        if source in translation.captured.names:
            _translate(translation, source)
    return translation.graph()


def _translate(translation: Translation, source: fx.Node) -> None:
    from fedtiny.compiler.frontends.torch_capture import ALIASES, short_name

    kind = short_name(source)
    if source.target is operator.getitem or kind in ALIASES:
        if kind == "dropout" and source.args[2]:
            raise translation.error(source, "dropout in training mode is not supported")
        return
    if kind not in OPS:
        raise translation.error(source, f"operator {source.target} is not supported")
    OPS[kind](translation, source)


def from_sparse_model(model: SparseModel) -> Graph:
    """Translate a trained model; pruned weights are exact zeros and carry their pattern.

    Args:
        model: Its ranges name the tensors of this graph.

    Raises:
        UnsupportedError: As for `from_torch`.
    """
    module = model.module()
    state = dict(module.named_parameters())
    for parameter, mask in model.masks.items():
        state[parameter].data.mul_(mask)
    name = model.architecture.replace(":", ".").rpartition(".")[2]
    return from_torch(module, model.input_shape, name)
