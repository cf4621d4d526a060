"""What is known of single channels: which are the same number everywhere, which nothing reads.

A channel is an index of a tensor's last axis. `constants` goes forward: a channel whose values do
not depend on the graph's inputs, nor on the pixel, has a value. `needed` goes backward: a channel
is needed where something that is needed reads it and could not be told its value beforehand. Where
nothing is known of an operator, its channels are needed and have no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fedtiny.compiler.ir import (
    Add,
    Attributes,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Graph,
    Node,
    Padding,
    Relu,
    Reshape,
    Tensor,
)
from fedtiny.compiler.operators import (
    Concat,
    MaxPool2d,
    Mean,
    Mul,
    ResizeBilinear,
    ResizeNearest,
    Sub,
    Unary,
)
from fedtiny.compiler.quantization import BIAS_LIMIT
from fedtiny.compiler.reference import execute

Values = NDArray[np.float64]
"""By channel, its value as the tensor holds it (int8: the integer); NaN where it has none."""
Channels = NDArray[np.int64]
Edges = tuple[Channels, Channels]
Layer = Conv2d | FullyConnected

NO_PADDING: Padding = ((0, 0), (0, 0))
_SAME_CHANNELS = (
    *(AveragePool2d, DepthwiseConv2d, MaxPool2d, Mean, Relu),
    *(ResizeBilinear, ResizeNearest, Unary),
)
_ELEMENTWISE = (Add, Mul, Sub)
_BLOCK = 4


def count(graph: Graph, name: str) -> int:
    """Channels of a tensor."""
    return int(graph[name].shape[-1])


def reads(node: Node, graph: Graph) -> NDArray[np.bool_]:
    """Which inputs a layer's outputs read with a weight that is not 0: `(outputs, inputs)`."""
    weights = graph[node.inputs[1]].value
    shape = (weights.shape[0], -1, weights.shape[-1])
    taps: NDArray[np.bool_] = (weights != 0).reshape(shape).any(axis=1)
    groups = getattr(node.attributes, "groups", 1)
    if groups == 1:
        return taps
    spread = np.zeros((len(taps), count(graph, node.inputs[0])), bool)
    for part in np.split(np.arange(len(taps)), groups):
        first = part[0] // len(part) * taps.shape[1]
        spread[part, first : first + taps.shape[1]] = taps[part]
    return spread


def without_border(node: Node, graph: Graph, values: Values) -> Values:
    """The values of a layer's input that hold for its padding too; NaN where they do not."""
    if getattr(node.attributes, "padding", NO_PADDING) == NO_PADDING:
        return values
    return np.where(values == _zero(graph, node.inputs[0]), values, np.nan)


def constants(graph: Graph, interior: bool = False) -> dict[str, Values]:
    """The value of every channel of every activation.

    Args:
        graph: Float32, lowered, or int8.
        interior: Ask for the value away from borders only, as if there were no padding.
    """
    known: dict[str, Values] = {}
    start(graph, known)
    for node in graph.nodes:
        advance(node, graph, known, interior)
    return known


def start(graph: Graph, known: dict[str, Values]) -> None:
    """Nothing is known of inputs."""
    for name in graph.inputs:
        known[name] = np.full(count(graph, name), np.nan)


def advance(node: Node, graph: Graph, known: dict[str, Values], interior: bool = False) -> None:
    """Add what is known of a node's output, from what is known of its inputs."""
    rule = _CONSTANT.get(type(node.attributes))
    width = count(graph, node.output)
    if rule is None:
        known[node.output] = np.full(width, np.nan)
        return
    seen = known
    if not interior and isinstance(node.attributes, Conv2d | DepthwiseConv2d):
        source = node.inputs[0]
        seen = {source: without_border(node, graph, known[source])}
    known[node.output] = rule(node, graph, seen)


def needed(graph: Graph, known: Mapping[str, Values], multiple: int = 1) -> dict[str, Channels]:
    """The channels of every activation that must be made, in order.

    Operators that work channel by channel keep a channel of all their operands or of none. An
    activation that is still read keeps one channel at least.

    Args:
        graph: As for `constants`.
        known: From `constants`.
        multiple: Activations that lose channels keep a multiple of this, where they had one.
    """
    start: dict[str, int] = {}
    total = 0
    for tensor in graph.activations():
        start[tensor.name] = total
        total += tensor.shape[-1]
    component = _components(graph, start, total)

    def ids(name: str) -> Channels:
        first = start[name]
        return component[first : first + count(graph, name)]

    kept = np.zeros(total, bool)
    for name in _pinned(graph):
        kept[ids(name)] = True
    demands = [
        (ids(node.output), ids(node.inputs[0]), _demand(node, graph, known[node.inputs[0]]))
        for node in reversed(graph.nodes)
        if isinstance(node.attributes, Layer)
    ]
    while True:
        before = kept.sum()
        for outputs, inputs, demand in demands:
            kept[inputs[demand[kept[outputs]].any(axis=0)]] = True
        if kept.sum() == before:
            spare = _spare(graph, {name: kept[ids(name)] for name in start}, known, multiple)
            if spare is None:
                return {name: np.flatnonzero(kept[ids(name)]) for name in start}
            kept[ids(spare[0])[spare[1]]] = True


def _spare(
    graph: Graph,
    kept: Mapping[str, NDArray[np.bool_]],
    known: Mapping[str, Values],
    multiple: int,
) -> tuple[str, int] | None:
    """A channel to keep for its tensor's width alone, one without weights if there is one."""
    read = {n for node in graph.nodes if kept[node.output].any() for n in node.inputs}
    for name in (name for name in kept if name in read):
        width, total = int(kept[name].sum()), len(kept[name])
        if width == 0 or (width % multiple and total % multiple == 0):
            free = np.flatnonzero(~kept[name])
            return name, int(free[np.argmax(np.isfinite(known[name][free]))])
    return None


def others(graph: Graph, name: str, kept: Mapping[str, Channels]) -> Channels:
    """The channels of an activation that are not kept."""
    return np.setdiff1d(np.arange(count(graph, name)), kept[name])


def with_folded(node: Node, graph: Graph, known: Values, removed: Channels) -> Tensor:
    """A layer's bias with what inputs that go contribute to its outputs.

    Args:
        node: A convolution without groups, or fully connected.
        graph: Its graph.
        known: Values of its input.
        removed: Channels of its input.
    """
    bias = graph[node.inputs[2]]
    added = _contributions(node, graph, known)[:, removed].sum(axis=1)
    whole = (bias.value.astype(np.float64) + added).astype(bias.dtype)
    return replace(bias, data=whole)


def _contributions(node: Node, graph: Graph, known: Values) -> Values:
    """What each input of known value adds to each output, in units of the bias; else 0."""
    weights = graph[node.inputs[1]].value
    taps = weights.astype(np.float64).reshape(len(weights), -1, weights.shape[-1]).sum(axis=1)
    values = without_border(node, graph, known) - _zero(graph, node.inputs[0])
    added: Values = taps * np.where(np.isfinite(values), values, 0)
    return added


def _zero(graph: Graph, name: str) -> int:
    quantization = graph[name].quantization
    return 0 if quantization is None else int(quantization.zero_point)


def _demand(node: Node, graph: Graph, known: Values) -> NDArray[np.bool_]:
    """Which inputs each output cannot do without: `(outputs, inputs)`."""
    found = reads(node, graph)
    if getattr(node.attributes, "groups", 1) > 1:
        return found
    foldable = np.isfinite(without_border(node, graph, known))
    if graph[node.inputs[2]].dtype == "int32":
        bias = graph[node.inputs[2]].value.astype(np.int64)
        parts = _contributions(node, graph, known)
        if (np.abs(bias) + np.abs(parts).sum(axis=1)).max() > BIAS_LIMIT:
            return found
    return found & ~foldable


def _pinned(graph: Graph) -> Iterator[str]:
    """Activations whose channels all stay."""
    yield from graph.inputs
    yield from graph.outputs
    for node in graph.nodes:
        activations = [name for name in node.inputs if graph[name].data is None]
        match node.attributes:
            case Conv2d(groups=1) | FullyConnected() | Concat(axis=-1):
                pass
            case Reshape() if _features(node, graph) is not None:
                pass
            case a if isinstance(a, _SAME_CHANNELS):
                pass
            case a if isinstance(a, _ELEMENTWISE):
                width = count(graph, node.output)
                yield from (name for name in activations if count(graph, name) != width)
            case _:
                yield from activations
                yield node.output


def _components(graph: Graph, start: Mapping[str, int], total: int) -> Channels:
    """By channel of all activations, the number of the set that stays or goes together."""
    first, second = [], []
    for node in graph.nodes:
        for a, b in _edges(node, graph, start):
            first.append(a)
            second.append(b)
    a, b = (np.concatenate(part) if part else np.zeros(0, np.int64) for part in (first, second))
    table = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(total, total))
    component: Channels = connected_components(table, directed=False)[1].astype(np.int64)
    return component


def _edges(node: Node, graph: Graph, start: Mapping[str, int]) -> Iterator[Edges]:
    def channels(name: str) -> Channels:
        return start[name] + np.arange(count(graph, name))

    made = channels(node.output)
    attributes = node.attributes
    if isinstance(attributes, Layer):
        yield from _blocks(graph[node.inputs[1]], channels(node.inputs[0]), made)
    elif isinstance(attributes, Concat) and attributes.axis == -1:
        at = 0
        for name in node.inputs:
            part = channels(name)
            yield part, made[at : at + len(part)]
            at += len(part)
    elif isinstance(attributes, Reshape):
        features = _features(node, graph)
        if features is not None:
            yield channels(node.inputs[0])[features], made
    elif isinstance(attributes, (*_SAME_CHANNELS, *_ELEMENTWISE)):
        for name in node.inputs:
            if graph[name].data is None and count(graph, name) == len(made):
                yield channels(name), made


def _blocks(weights: Tensor, inputs: Channels, outputs: Channels) -> Iterator[Edges]:
    """Weights pruned in blocks keep their blocks: channels of one block stay or go together."""
    kind = None if weights.pattern is None else weights.pattern.kind
    along = {"block1x4": inputs, "n:m": inputs, "block4x1": outputs}.get(kind or "")
    if along is not None:
        yield along, along[np.arange(len(along)) // _BLOCK * _BLOCK]


def _features(node: Node, graph: Graph) -> Channels | None:
    """By channel of a reshape's output, that of its input; None where pixels and channels mix."""
    before, after = count(graph, node.inputs[0]), count(graph, node.output)
    if before == after or after == graph[node.output].size:
        return np.arange(after) % before
    return None


def _one_pixel(node: Node, graph: Graph, inputs: Mapping[str, Values]) -> Values:
    """What a node makes of channels that are the same at every pixel; the others count as 0."""
    attributes, (height, width) = _window(node, graph)
    tensors, given = dict(graph.tensors), {}
    for name, values in inputs.items():
        tensor = graph[name]
        spatial = (height, width) if len(tensor.shape) == 4 else ()
        shape = (1, *spatial, len(values))
        filled = np.where(np.isnan(values), _zero(graph, name), values)
        given[name] = np.broadcast_to(filled, shape).astype(tensor.dtype)
        tensors[name] = replace(tensor, shape=shape)
    out = graph[node.output]
    pixels = (1, 1, 1) if len(out.shape) == 4 else (1,)
    tensors[out.name] = replace(out, shape=(*pixels, out.shape[-1]))
    alone = replace(node, attributes=attributes)
    small = Graph("pixel", tensors, (alone,), tuple(inputs), (out.name,))
    made: Values = execute(small, given)[out.name].reshape(-1).astype(np.float64)
    return made


def _window(node: Node, graph: Graph) -> tuple[Attributes, tuple[int, int]]:
    """A node's attributes without padding, and the pixels from which it then makes one."""
    a = node.attributes
    if isinstance(a, AveragePool2d | MaxPool2d):
        return replace(a, padding=NO_PADDING), a.kernel
    if isinstance(a, Mean):  # the rounding of its sum depends on the number of pixels
        _, rows, columns, _ = graph[node.inputs[0]].shape
        return a, (rows, columns)
    if isinstance(a, Conv2d | DepthwiseConv2d):
        kernel = graph[node.inputs[1]].shape[1:3]
        rows, columns = (d * (k - 1) + 1 for k, d in zip(kernel, a.dilation, strict=True))
        return replace(a, padding=NO_PADDING), (rows, columns)
    return a, (1, 1)


def _layer(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    """A layer's output is constant where all that it reads is."""
    source = known[node.inputs[0]]
    varies = np.isnan(source)
    made = _one_pixel(node, graph, {node.inputs[0]: source})
    return np.where((reads(node, graph) & varies).any(axis=1), np.nan, made)


def _depthwise(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    source = known[node.inputs[0]]
    varies = np.isnan(source)
    made = _one_pixel(node, graph, {node.inputs[0]: source})
    return np.where(varies & (graph[node.inputs[1]].value != 0).any(axis=(0, 1, 2)), np.nan, made)


def _by_channel(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    source = known[node.inputs[0]]
    made = _one_pixel(node, graph, {node.inputs[0]: source})
    return np.where(np.isnan(source), np.nan, made)


def _elementwise(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    width = count(graph, node.output)
    varies = np.zeros(width, bool)
    for name in node.inputs:
        constant = graph[name].data
        if constant is None:
            varies |= np.isnan(known[name])
        elif constant.size > constant.shape[-1]:  # not one number a channel
            varies[:] = True
    if varies.all():
        return np.full(width, np.nan)
    activations = dict.fromkeys(name for name in node.inputs if graph[name].data is None)
    made = _one_pixel(node, graph, {name: known[name] for name in activations})
    return np.where(varies, np.nan, made)


def _concat(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    assert isinstance(node.attributes, Concat)
    if node.attributes.axis != -1:
        return np.full(count(graph, node.output), np.nan)
    return np.concatenate([known[name] for name in node.inputs])


def _reshape(node: Node, graph: Graph, known: Mapping[str, Values]) -> Values:
    features = _features(node, graph)
    if features is None:
        return np.full(count(graph, node.output), np.nan)
    return known[node.inputs[0]][features]


_CONSTANT: Mapping[type[Attributes], Callable[[Node, Graph, Mapping[str, Values]], Values]] = {
    Add: _elementwise,
    AveragePool2d: _by_channel,
    Concat: _concat,
    Conv2d: _layer,
    DepthwiseConv2d: _depthwise,
    FullyConnected: _layer,
    MaxPool2d: _by_channel,
    Mean: _by_channel,
    Mul: _elementwise,
    Relu: _by_channel,
    Reshape: _reshape,
    ResizeBilinear: _by_channel,
    ResizeNearest: _by_channel,
    Sub: _elementwise,
    Unary: _by_channel,
}
