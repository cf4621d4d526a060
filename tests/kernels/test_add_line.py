"""The linear add on an emulated core and on this machine, against the numpy reference."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fedtiny.compiler import reference
from fedtiny.compiler.ir import Graph, Quantization
from fedtiny.devices import profiles, toolchains
from fedtiny.devices.kernel_core import KernelCore
from fedtiny.runtime import host, table
from tests.kernels import single_node
from tests.kernels.emulated_cores import opened
from tests.kernels.single_node import Case

KERNEL = table.kernel("add_line_s8")


@pytest.fixture(scope="module", params=toolchains.available(profiles.targets()["cortex-m4"]))
def core(request: pytest.FixtureRequest) -> Iterator[KernelCore]:
    yield from opened(("cortex-m4", request.param), [KERNEL])


def supported(graph: Graph) -> bool:
    return table.packing(KERNEL).supports(graph.nodes[0], graph)


@pytest.mark.parametrize("activation", ["none", "relu", "clamped"])
@pytest.mark.parametrize("seed", range(4))
def test_every_pair_of_inputs(core: KernelCore, activation: str, seed: int) -> None:
    """All 65,536 sums."""
    values = np.arange(-128, 128, dtype=np.int8)
    a, b = (m.reshape(1, 256, 64, 4) for m in np.meshgrid(values, values))
    zeros = (3, -128 if activation == "relu" else -20)
    activation = "relu6" if activation == "clamped" else activation
    case = Case((256, 64, 4), zero_points=zeros, activation=activation, seed=seed)  # type: ignore[arg-type]
    graph = single_node.add(case, "int8")
    assert supported(graph)
    node = graph.nodes[0]
    y = reference.execute(graph, {"a": a, "b": b})["y"]
    run = core.run(KERNEL, node, graph, [a, b])
    np.testing.assert_array_equal(run.output, y)
    np.testing.assert_array_equal(host.run_kernel(KERNEL, node, graph, [a, b]), y)
    assert run.instructions / y.size < (12.0 if activation == "relu6" else 9.5)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 1), (3, 5, 7)])
def test_rows_of_any_length(core: KernelCore, size: tuple[int, int, int]) -> None:
    graph = single_node.add(Case(size), "int8")
    data = single_node.data(graph)
    inputs = [data[name] for name in graph.inputs]
    run = core.run(KERNEL, graph.nodes[0], graph, inputs)
    np.testing.assert_array_equal(run.output, reference.execute(graph, data)["y"])


def test_halves_on_both_sides_of_zero() -> None:
    """Inputs of half the output's scale: 0.5 goes up, -0.5 down, by a slope a little too steep."""
    graph = single_node.add(Case((256, 64, 4)), "int8")
    scales = {"a": 0.5, "b": 0.5, "y": 1.0}
    tensors = [
        replace(graph[name], quantization=Quantization(np.float32(scale), np.int32(0)))
        for name, scale in scales.items()
    ]
    graph = graph.rewrite(graph.nodes, tensors)
    assert supported(graph)
    values = np.arange(-128, 128, dtype=np.int8)
    a, b = (m.reshape(1, 256, 64, 4) for m in np.meshgrid(values, values))
    y = reference.execute(graph, {"a": a, "b": b})["y"]
    np.testing.assert_array_equal(host.run_kernel(KERNEL, graph.nodes[0], graph, [a, b]), y)
