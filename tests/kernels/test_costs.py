"""Cost coefficients name features that exist, and order kernels as counted instructions do."""

import pytest

from fedtiny.compiler.ir import DType
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel
from tests.kernels import single_node
from tests.kernels.single_node import Case

pytestmark = pytest.mark.quick


def predicted(name: str, density: float, dtype: DType = "int8", target: str = "cortex-m4") -> float:
    graph = single_node.conv2d(Case((16, 16, 32), 32, density=density), dtype)
    found = table.instructions(table.kernel(name), graph.nodes[0], graph, target)
    assert found is not None
    return found


@pytest.mark.parametrize("kernel", table.kernels(), ids=lambda k: k.name)
def test_coefficients_are_of_known_features(kernel: Kernel) -> None:
    case = Case((4, 4, 8), 8, kernel=(4, 4), padding=((0, 0), (0, 0)))
    if kernel.op == "depthwise_conv2d":
        case = Case((4, 4, 8), groups=0)
    graph = single_node.BUILDERS[kernel.op](case, kernel.dtype)  # type: ignore[arg-type]
    graph = single_node.in_layouts(graph, kernel)
    features = table.packing(kernel).features(graph.nodes[0], graph)
    for coefficients in kernel.cost.values():
        assert coefficients.keys() <= features.keys()
        assert all(value > 0 for value in coefficients.values())


def test_sparse_wins_where_it_was_counted_to_win() -> None:
    """Counted for this layer: dense 2.55 instructions a MAC; over nonzeros 0.42 at density 0.1."""
    macs = 16 * 16 * 32 * 32 * 9
    assert predicted("conv2d_im2col_s8", 0.1) / macs == pytest.approx(2.55, rel=0.1)
    assert predicted("conv2d_csr_s8", 0.1) / macs == pytest.approx(0.42, rel=0.25)
    assert predicted("conv2d_csr_s8", 1.0) > predicted("conv2d_im2col_s8", 1.0)


def test_unknown_sets_have_no_prediction() -> None:
    graph = single_node.conv2d(Case(), "int8")
    kernel = table.kernel("conv2d_s8")
    assert table.instructions(kernel, graph.nodes[0], graph, "no-such-set") is None
