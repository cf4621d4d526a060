"""Layouts are chosen for the whole graph; conversions come only where neighbours disagree."""

import numpy as np
import pytest

from fedtiny.compiler.ir import ConvertLayout, DType, Graph
from fedtiny.compiler.place_layouts import place_layouts
from fedtiny.compiler.reference import execute
from fedtiny.devices import profiles
from tests import networks
from tests.kernels import single_node

pytestmark = pytest.mark.quick


def placed(graph: Graph, target: str = "cortex-a") -> Graph:
    return place_layouts(graph, profiles.target(target))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_whole_network_is_converted_once(dtype: DType) -> None:
    graph = networks.resnet8(dtype, 0.1)
    found = placed(graph)
    conversions = [n for n in found.nodes if isinstance(n.attributes, ConvertLayout)]
    assert [n.inputs for n in conversions] == [("input",)]
    assert found["input"].layout == found[found.outputs[0]].layout == "hwc"
    data = single_node.data(graph)
    expected, again = (execute(g, data)[graph.outputs[0]] for g in (graph, found))
    np.testing.assert_array_equal(again, expected)


def test_conversions_stand_around_what_has_no_kernel_on_planes() -> None:
    """The 10x4 window of DS-CNN's first layer reaches too far, the layers after it do not."""
    found = placed(networks.dscnn("float32", density=0.1))
    first = found.nodes[0]
    assert first.op == "conv2d"
    assert found[first.output].layout == "hwc"
    assert found.nodes[1].attributes == ConvertLayout()
    layouts = {found[n.output].layout for n in found.nodes[1:9]}
    assert layouts == {"chw"}


def test_targets_of_one_layout_are_left_alone() -> None:
    graph = networks.resnet8("int8", 0.1)
    assert placed(graph, "cortex-m4") is graph
