"""The fully connected kernel whose registers are a table, on emulated AArch64 cores."""

from pathlib import Path

import numpy as np
import pytest

from fedtiny.compiler import planner, reference
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.runner import Signature, TensorType
from fedtiny.devices.runner_unicorn import UnicornRunner
from fedtiny.exporters import c
from fedtiny.runtime import table
from tests import networks
from tests.kernels import single_node

COMPILERS = toolchains.available(profiles.target("cortex-a"))


@pytest.mark.parametrize("kind", COMPILERS)
@pytest.mark.parametrize("name", ["cortex-a", "cortex-a+dotprod"])
def test_layers_of_all_shapes_equal_the_reference(name: str, kind: str, tmp_path: Path) -> None:
    """Several tables and blocks, parts of them, outputs without nonzeros, every density."""
    b = networks.Builder("layers", seed=5)
    x = b.input(1, 300)
    for outputs, density in ((257, 0.2), (128, 0.02), (7, 1.0), (130, 0.3), (16, 0.0), (33, 0.5)):
        x = b.dense(x, outputs, "relu" if outputs % 2 else "none", density)
    graph, target = b.graph(x), profiles.target(name)
    with single_node.only(table.kernel("fully_connected_table_s8")):
        plan = planner.plan(graph, target, "speed")
    assert {layer.kernel.name for layer in plan.layers} == {"fully_connected_table_s8"}
    inputs = single_node.data(graph, 3)
    ends = [
        tuple(TensorType(graph[n].shape, graph[n].dtype) for n in names)
        for names in (graph.inputs, graph.outputs)
    ]
    with UnicornRunner(target, kind) as runner:
        source = c.write(plan, tmp_path)
        runner.load(runner.build(source, tmp_path / "build"), Signature(ends[0], ends[1]))
        result = runner.run(tuple(inputs.values()))
    expected = reference.execute(graph, inputs)
    np.testing.assert_array_equal(result.outputs[0], expected[graph.outputs[0]])
