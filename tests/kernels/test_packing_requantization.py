"""One multiply, add and shift equals LiteRT's rounding wherever the packing says so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.compiler.quantization import fully_connected_scales
from fedtiny.runtime import table
from fedtiny.runtime.packing import requantization
from tests.kernels import single_node
from tests.kernels.single_node import Case

pytestmark = pytest.mark.quick


def follow(line: requantization.Line, acc: np.ndarray) -> np.ndarray:
    return (acc * line.multiplier + line.rounding) >> line.shift


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.floats(1e-5, 0.45), st.integers(2, 15).map(lambda e: 2.0**-e), st.sampled_from([1 / 3])
    ),
    st.integers(-128, 127),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(lambda t: (min(t), max(t))),
    st.integers(1, 200_000),
    st.integers(-100_000, 100_000),
)
def test_a_line_equals_the_double_everywhere(
    scale: float, zero_point: int, limits: tuple[int, int], width: int, centre: int
) -> None:
    reach = (centre - width, centre + width)
    function = requantization.round_once(scale, zero_point)
    line = requantization.fit(function, scale, limits, reach)
    if line is None:
        return
    acc = np.arange(reach[0], reach[1] + 1, dtype=np.int64)
    wanted = np.clip(function(acc), *limits)
    np.testing.assert_array_equal(np.clip(follow(line, acc), *limits), wanted)


def test_halves_below_zero_need_the_double() -> None:
    """With a scale of 1/2 halves go up above zero and down below: no line does both."""
    function = requantization.round_once(0.25, 0)
    assert requantization.fit(function, 0.25, (-128, 127), (-1000, 1000)) is None
    assert requantization.fit(function, 0.25, (0, 127), (-1000, 1000)) is not None


def test_a_scale_that_is_not_below_a_half_is_left_to_the_double() -> None:
    function = requantization.round_once(0.7, 0)
    assert requantization.fit(function, 0.7, (-128, 127), (-100, 100)) is None


def test_reach_is_exact() -> None:
    weights = np.array([[3, -2], [1, 1]], np.int8)
    bias = np.array([10, 0], np.int32)
    # Inputs less the zero point lie in -118 .. 137.
    expected = (10 + 3 * -118 - 2 * 137, 10 + 3 * 137 - 2 * -118)
    assert requantization.reach(weights, bias, -10) == expected


def test_usual_layers_have_a_line() -> None:
    """Otherwise every fully connected layer would fall back to doubles unnoticed."""
    found = 0
    for seed in range(20):
        graph = single_node.fully_connected(Case((1, 1, 64), 10, seed=seed), "int8")
        node = graph.nodes[0]
        assert fully_connected_scales(node, graph).max() < 0.5
        names = [k.name for k in table.candidates(node, graph, ())]
        found += "fully_connected_s8" in names
    assert found == 20
