"""Which rows of which memory every step reads and writes: all that scheduling and placement know.

Reshapes cost nothing: their output is another view of the same storage. Everything below this file
speaks of layers, steps, storages and rows, never of operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fedtiny.compiler.ir import Graph, GraphError, Node, Reshape
from fedtiny.compiler.plan import row_bytes, row_count
from fedtiny.runtime.contract import Access, Overlap, RowContract

INPUT = -1
"""The `writer` of a storage that the caller fills."""


@dataclass(frozen=True)
class Storage:
    """The memory of one tensor and of all its reshaped views.

    Attributes:
        tensor: The tensor that is written (a graph input or a layer's output).
        rows: Its number of rows.
        row_bytes: Bytes of one row.
        writer: Index of the layer that makes it, or `INPUT`.
        contiguous: Some reader or writer sees the rows as one block.
        output: It holds a graph output, so it lives to the end.
    """

    tensor: str
    rows: int
    row_bytes: int
    writer: int
    contiguous: bool
    output: bool


@dataclass(frozen=True)
class Touch:
    """Step s touches rows `[low[s], high[s])` of a storage; both never decrease with s.

    A step that touches only padding has the low end of the next step that does not, so that rows
    below `low[s]` are never touched again.
    """

    storage: int
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True)
class LayerFlow:
    """One layer's part of the dataflow.

    Attributes:
        name: The node's name.
        steps: Steps in one inference.
        reads: One for every activation input.
        write: Of its output.
        scratch_bytes: Alive within a step.
        state_bytes: Alive from the first step to the last.
        overlap: How output rows may share memory with input rows that die in the same step.
    """

    name: str
    steps: int
    reads: tuple[Touch, ...]
    write: Touch
    scratch_bytes: int
    state_bytes: int
    overlap: Overlap


@dataclass(frozen=True)
class Dataflow:
    """Layers over storages.

    Attributes:
        storages: Graph inputs first, then one a layer, in order.
        layers: In topological order.
        views: By tensor name, the index of its storage.
    """

    storages: tuple[Storage, ...]
    layers: tuple[LayerFlow, ...]
    views: Mapping[str, int]

    @cached_property
    def readers(self) -> tuple[tuple[tuple[int, Touch], ...], ...]:
        """By storage, the layers that read it and how."""
        found: list[list[tuple[int, Touch]]] = [[] for _ in self.storages]
        for index, layer in enumerate(self.layers):
            for touch in layer.reads:
                found[touch.storage].append((index, touch))
        return tuple(tuple(item) for item in found)

    @cached_property
    def complete(self) -> tuple[tuple[int, ...], ...]:
        """By layer and step, how many rows of its output are final once the step has run."""
        found = []
        for layer in self.layers:
            # A row is final when no later step touches it: rows below the next step's low end.
            total = self.storages[layer.write.storage].rows
            found.append((*layer.write.low[1:], total))
        return tuple(found)


def layer_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that need a kernel: all but reshapes."""
    return tuple(node for node in graph.nodes if not isinstance(node.attributes, Reshape))


def dataflow(graph: Graph, contracts: Sequence[RowContract]) -> Dataflow:
    """Derive the dataflow of a graph from its layers' row contracts.

    Args:
        graph: Verified, topologically sorted.
        contracts: One for every node of `layer_nodes(graph)`, in order.

    Raises:
        GraphError: A contract contradicts the graph: a row is never written, or another tensor
            than the node's is named.
    """
    nodes = layer_nodes(graph)
    views = _views(graph)
    roots = [*graph.inputs, *(node.output for node in nodes)]
    index = {root: i for i, root in enumerate(roots)}
    accesses = [a for c in contracts for a in (*c.inputs, c.output)]
    contiguous = {views[a.tensor] for a in accesses if a.flat}
    for tensor in (*(a.tensor for a in accesses), *graph.outputs):
        root = graph[views[tensor]]
        if _shape(graph, tensor) != (row_count(root), row_bytes(root)):
            contiguous.add(root.name)
    kept = {views[name] for name in graph.outputs}
    storages = tuple(
        Storage(
            tensor=root,
            rows=row_count(graph[root]),
            row_bytes=row_bytes(graph[root]),
            writer=i - len(graph.inputs) if i >= len(graph.inputs) else INPUT,
            contiguous=root in contiguous,
            output=root in kept,
        )
        for i, root in enumerate(roots)
    )

    def touch(access: Access, steps: int) -> Touch:
        storage = storages[index[views[access.tensor]]]
        rows, size = _shape(graph, access.tensor)
        low, high = [], []
        for step in range(steps):
            first = 0 if access.flat else access.start + step * access.advance
            last = rows if access.flat else first + access.window
            first, last = min(max(first, 0), rows), min(max(last, 0), rows)
            low.append(first * size // storage.row_bytes)
            high.append(-(-last * size // storage.row_bytes))
        upcoming = storage.rows
        for step in reversed(range(steps)):
            if low[step] == high[step]:
                low[step] = upcoming
            upcoming = low[step]
        return Touch(index[views[access.tensor]], tuple(low), tuple(high))

    layers = []
    for node, contract in zip(nodes, contracts, strict=True):
        write = touch(contract.output, contract.steps)
        reads = tuple(touch(access, contract.steps) for access in contract.inputs)
        _check(node, contract, write, storages[write.storage].rows, graph)
        layers.append(
            LayerFlow(
                name=node.name,
                steps=contract.steps,
                reads=reads,
                write=write,
                scratch_bytes=contract.scratch_bytes,
                state_bytes=contract.state_bytes,
                overlap=contract.overlap,
            )
        )
    return Dataflow(storages, tuple(layers), {name: index[root] for name, root in views.items()})


def _shape(graph: Graph, tensor: str) -> tuple[int, int]:
    return row_count(graph[tensor]), row_bytes(graph[tensor])


def _views(graph: Graph) -> dict[str, str]:
    """By activation, the tensor whose memory it shares (itself unless a reshape made it)."""
    views = {name: name for name in graph.inputs}
    for node in graph.nodes:
        alias = isinstance(node.attributes, Reshape)
        views[node.output] = views[node.inputs[0]] if alias else node.output
    return views


def _check(node: Node, contract: RowContract, write: Touch, rows: int, graph: Graph) -> None:
    activations = tuple(name for name in node.inputs if graph[name].data is None)
    named = tuple(access.tensor for access in contract.inputs)
    if named != activations or contract.output.tensor != node.output:
        raise GraphError(
            f"node {node.name!r}: its row contract names inputs {named} and output "
            f"{contract.output.tensor!r}, the graph {activations} and {node.output!r}"
        )
    covered = 0
    for low, high in zip(write.low, write.high, strict=True):
        if low > covered:
            break
        covered = max(covered, high)
    if contract.steps < 1 or covered != rows:
        raise GraphError(
            f"node {node.name!r}: its {contract.steps} steps write {covered} of the {rows} rows "
            f"of {node.output!r}"
        )
