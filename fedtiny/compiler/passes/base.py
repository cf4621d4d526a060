"""The interface of a pass: what it requires, what it ensures, and a function on graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fedtiny.compiler.ir import Graph, GraphError


@dataclass(frozen=True)
class Property:
    """Something that is true or false of a graph.

    Attributes:
        name: For messages.
        holds: Decides it.
    """

    name: str
    holds: Callable[[Graph], bool]


@dataclass(frozen=True)
class Pass:
    """A rewriting of graphs that keeps their meaning (or says in its docstring what it changes).

    Attributes:
        name: The file's name.
        requires: What must hold of the graph before.
        ensures: What holds of the graph after.
        run: The function.
    """

    name: str
    requires: tuple[Property, ...]
    ensures: tuple[Property, ...]
    run: Callable[[Graph], Graph]


def apply(graph: Graph, passes: Iterable[Pass]) -> Graph:
    """Run passes one after another; the graph is verified before, between and after them.

    Raises:
        GraphError: A pass was given what it does not accept, or broke its promise.
    """
    graph.verify()
    for item in passes:
        _check(graph, item, "requires", item.requires)
        graph = item.run(graph).verify()
        _check(graph, item, "ensures", item.ensures)
    return graph


def _check(graph: Graph, item: Pass, verb: str, properties: Iterable[Property]) -> None:
    for wanted in properties:
        if not wanted.holds(graph):
            raise GraphError(f"pass {item.name} {verb} {wanted.name!r} of graph {graph.name!r}")


def _no_batch_norm(graph: Graph) -> bool:
    return all(node.op != "batch_norm" for node in graph.nodes)


def _no_dead_code(graph: Graph) -> bool:
    read = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    return all(read & set(node.outputs) for node in graph.nodes)


def _is_float(graph: Graph) -> bool:
    return all(tensor.dtype == "float32" for tensor in graph.tensors.values())


def _is_int8(graph: Graph) -> bool:
    return all(tensor.dtype == "int8" for tensor in graph.activations())


def _one_reader(graph: Graph) -> bool:
    read = [name for node in graph.nodes for name in node.inputs]
    constants = [name for name in read if graph[name].data is not None]
    return len(constants) == len(set(constants))


NO_BATCH_NORM = Property("no batch_norm", _no_batch_norm)
NO_DEAD_CODE = Property("no dead code", _no_dead_code)
FLOAT = Property("every tensor is float32", _is_float)
ONE_READER = Property("every constant has one reader", _one_reader)
INT8 = Property("every activation is int8", _is_int8)
