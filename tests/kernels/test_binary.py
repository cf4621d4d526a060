"""Sums whose operands are not both maps: broadcast pixels, constants and numbers."""

import numpy as np
import pytest

from fedtiny.compiler import reference
from fedtiny.compiler.ir import DType
from fedtiny.runtime import host, table
from tests.kernels import single_node
from tests.kernels.single_node import Case

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("size", [(1, 1, 7), (3, 5, 4), (4, 1, 3)])
@pytest.mark.parametrize("seed", range(5))
def test_broadcast_sums(seed: int, size: tuple[int, int, int], dtype: DType) -> None:
    graph = single_node.binary(Case(size, groups=0, seed=seed), dtype)
    node, inputs = graph.nodes[0], single_node.data(graph, seed)
    (kernel, *_) = table.candidates(node, graph, ())
    made = host.run_kernel(kernel, node, graph, [inputs[name] for name in graph.inputs])
    np.testing.assert_array_equal(made, reference.execute(graph, inputs)[node.output])


def test_a_row_that_is_read_again_is_not_overwritten() -> None:
    """A broadcast pixel would be overwritten in the last step, before its last reading."""
    kernel = table.kernel("add_s8")
    for seed, overlap in ((0, "same_address"), (1, "none"), (2, "none"), (3, "same_address")):
        graph = single_node.binary(Case(groups=0, seed=seed), "int8")
        contract = table.packing(kernel).contract(graph.nodes[0], graph)
        assert contract.overlap == overlap
