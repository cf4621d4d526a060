"""Random graphs of layers that have nothing but row contracts, for scheduling and placement tests.

The contracts are wilder than any real kernel's: any window, stride and offset, several rows a step,
scratch, state, every overlap rule, whole-tensor readers, accumulators and reshapes.
"""

from __future__ import annotations

from hypothesis import strategies as st

from fedtiny.compiler.ir import Conv2d, Graph, Node, Reshape, Tensor
from fedtiny.compiler.plan import Layer, row_count
from fedtiny.devices.profiles import Target
from fedtiny.runtime.contract import Access, Kernel, Packed, RowContract

KERNEL = Kernel(
    "fake_s8", "fake", "int8", (), (), "hwc", "hwc", "kernels/fake_s8.c", "fake", "fake"
)


def target(alignment: int = 4, pointer_bytes: int = 4) -> Target:
    return Target("fake", "", "c", (), pointer_bytes, alignment, "int8", "host", "none")


def layers_of(graph: Graph, contracts: list[RowContract]) -> list[Layer]:
    nodes = [node for node in graph.nodes if not isinstance(node.attributes, Reshape)]
    return [
        Layer(node, KERNEL, contract, Packed({}), None)
        for node, contract in zip(nodes, contracts, strict=True)
    ]


@st.composite
def row_graphs(draw, inputs: int = 2) -> tuple[Graph, list[RowContract]]:
    """A graph whose nodes mean nothing, and one contract for every node but reshapes."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    contracts: list[RowContract] = []

    def tensor(name: str, rows: int, width: int) -> Tensor:
        tensors[name] = Tensor(name, (1, rows, 1, width), "int8")
        return tensors[name]

    names = [f"in{i}" for i in range(draw(st.integers(1, inputs)))]
    for name in names:
        tensor(name, draw(st.integers(1, 9)), draw(st.integers(1, 20)))
    available = list(names)
    for index in range(draw(st.integers(1, 7))):
        # Every input is read by someone, as the planner demands of a graph.
        first = names[index] if index < len(names) else draw(st.sampled_from(available))
        source = tensors[first]
        output = f"t{index}"
        if index >= len(names) and draw(st.integers(0, 5)) == 0:
            shape = draw(st.sampled_from([(1, source.size), (1, source.size, 1, 1)]))
            tensors[output] = Tensor(output, shape, "int8")
            nodes.append(Node(output, Reshape(), (first,), (output,)))
        else:
            second = (
                draw(st.sampled_from(available))
                if len(available) > 1 and draw(st.booleans())
                else None
            )
            contract = draw(contract_for(tensors, first, second, output, tensor))
            reads = tuple(access.tensor for access in contract.inputs)
            nodes.append(Node(output, Conv2d(), reads, (output,)))
            contracts.append(contract)
        available.append(output)
    if not contracts:  # every node was a reshape of a single input
        tensor("last", 1, 1)
        contracts.append(
            RowContract((Access(available[-1], 1, 0, flat=True),), Access("last", 1, 0), 1)
        )
        nodes.append(Node("last", Conv2d(), (available[-1],), ("last",)))
        available.append("last")
    read = {name for node in nodes for name in node.inputs}
    used = {name for name in names if name not in read}
    ends = [name for name in available if name not in read and name not in used]
    chosen = draw(st.sets(st.sampled_from(available), max_size=1)) - set(names)
    outputs = tuple(dict.fromkeys([*ends[-1:], *used, *sorted(chosen)]))
    return Graph("random", tensors, tuple(nodes), tuple(names), outputs).verify(), contracts


@st.composite
def contract_for(draw, tensors, first, second, output, tensor) -> RowContract:
    source = tensors[first]
    rows = row_count(source)
    scratch, state = draw(st.sampled_from([0, 0, 5, 24])), draw(st.sampled_from([0, 0, 7]))
    if draw(st.integers(0, 3)) == 0:  # elementwise, in place
        width = source.size // rows
        tensor(output, rows, width)
        reads = [Access(first, 1, 1)]
        if second and tensors[second].shape == source.shape:
            reads.append(Access(second, 1, 1))
        return RowContract(
            tuple(reads), Access(output, 1, 1), rows, scratch, state, overlap="same_address"
        )
    overlap = draw(st.sampled_from(["none", "any"]))
    out_rows = draw(st.integers(1, 8))
    tensor(output, out_rows, draw(st.integers(1, 20)))
    kind = draw(st.sampled_from(["window", "window", "flat", "sum"]))
    if kind == "flat":
        write = (
            Access(output, 1, 0, flat=True) if draw(st.booleans()) else Access(output, out_rows, 0)
        )
        return RowContract((Access(first, 1, 0, flat=True),), write, 1, scratch, state, overlap)
    if kind == "sum":
        write, steps = Access(output, out_rows, 0), rows
        return RowContract((Access(first, 1, 1),), write, steps, scratch, state, overlap)
    per_step = draw(st.integers(1, 3))
    steps = -(-out_rows // per_step)
    reads = [_window(draw, first)]
    if second:
        reads.append(_window(draw, second))
    return RowContract(
        tuple(reads), Access(output, per_step, per_step), steps, scratch, state, overlap
    )


def _window(draw, name: str) -> Access:
    return Access(name, draw(st.integers(1, 4)), draw(st.integers(0, 2)), draw(st.integers(-3, 2)))
