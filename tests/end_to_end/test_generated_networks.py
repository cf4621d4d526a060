"""Over generated int8 networks LiteRT, our reference and the C program give the same integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedtiny.compiler import planner, reference
from fedtiny.compiler.frontends.tflite_file import from_tflite
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.passes import lower
from fedtiny.compiler.planner import RAM_MODES, RamMode
from fedtiny.devices import profiles
from fedtiny.exporters import litert, tflite
from fedtiny.runtime.host_plan import run_plan_tensors
from tests.graph_strategies import graphs, samples

RELAXED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def agree(graph: Graph, ram: RamMode, path: Path) -> None:
    """Every tensor: LiteRT as ours; ours as the C program makes it, rows in any order."""
    tflite.write(graph, path)
    x = samples(graph, 2)
    theirs = litert.run(path, x, reference=True, keep_all=True)
    ours = reference.execute(graph, x, keep_all=True)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=f"LiteRT: {name}")
    again = lower(from_tflite(path.read_bytes(), "again"))
    expected = reference.execute(again, x, keep_all=True)
    for name in graph.outputs:
        np.testing.assert_array_equal(expected[name], ours[name], err_msg=f"read back: {name}")
    if all(node.op == "reshape" for node in again.nodes):
        return
    first = {name: value[:1] for name, value in x.items()}
    made = run_plan_tensors(planner.plan(again, profiles.target("c"), ram), list(first.values()))
    for name, value in made.items():
        np.testing.assert_array_equal(
            value.reshape(-1), expected[name][0].reshape(-1), err_msg=f"C: {name}"
        )


@settings(max_examples=20, **RELAXED)
@given(graph=graphs("int8"), ram=st.sampled_from(RAM_MODES))
def test_some(graph: Graph, ram: RamMode, tmp_path: Path) -> None:
    agree(graph, ram, tmp_path / "m.tflite")


@pytest.mark.slow
@settings(max_examples=250, **RELAXED)
@given(graph=graphs("int8", most=7), ram=st.sampled_from(RAM_MODES))
def test_many(graph: Graph, ram: RamMode, tmp_path: Path) -> None:
    agree(graph, ram, tmp_path / "m.tflite")
