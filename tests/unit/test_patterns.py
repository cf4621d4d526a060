"""Patterns of masks: what pruning keeps has the pattern, and is recognized again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedtiny
from fedtiny.compiler import patterns
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from fedtiny.errors import UsageError
from fedtiny.exporters.format import Request
from fedtiny.exporters.formats import tflite
from tests import networks


@pytest.mark.quick
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from([(16, 3, 3, 16), (8, 1, 1, 12), (12, 32)]),
    st.sampled_from(["unstructured", "block1x4", "block4x1", "channel", "2:4", "1:4"]),
    st.floats(0.1, 0.6),
    st.integers(0, 99),
)
def test_what_is_kept_has_the_pattern_and_is_recognized(shape, name, density, seed):
    real = np.random.default_rng(seed).normal(size=shape)
    groups = patterns.n_of_m(name)
    density = groups[0] / groups[1] if groups else density
    mask = patterns.keep_largest(real, density, name)
    found = patterns.of(np.where(mask, real, 0))
    assert found.density == pytest.approx(mask.mean())
    assert abs(mask.mean() - density) <= 0.5 * {"channel": 1 / shape[0]}.get(name, 4 / real.size)
    if name != "unstructured":
        assert found.kind == patterns.kind(name)
    # No group that was dropped is larger than one that was kept.
    if name == "channel":
        sizes = (real.reshape(len(real), -1) ** 2).sum(1)
        kept = mask.reshape(len(mask), -1).all(1)
        assert sizes[kept].min() >= sizes[~kept].max(initial=0)


@pytest.mark.quick
def test_unstructured_masks_are_not_mistaken_for_others():
    rng = np.random.default_rng(0)
    for density in (0.05, 0.1, 0.3, 0.5):
        data = rng.normal(size=(32, 3, 3, 32)) * (rng.random((32, 3, 3, 32)) < density)
        assert patterns.of(data).kind == "unstructured"
    assert patterns.of(rng.normal(size=(4, 8))).kind == "dense"
    assert patterns.of(np.zeros((4, 8))).kind == "unstructured"


@pytest.mark.quick
def test_groups_at_the_end_may_be_short():
    real = np.ones((2, 6))
    real[0, 4:] = 5
    mask = patterns.keep_largest(real, 0.25, "block1x4")
    assert mask[0].tolist() == [False] * 4 + [True] * 2
    assert not mask[1].any()


@pytest.mark.quick
@pytest.mark.parametrize("name", ["2:1", "block2x2", "N:M", "0:4", "4", "1:65"])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match=r"accepted are unstructured, block1x4"):
        patterns.n_of_m(name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = networks.resnet8(size=8, width=8)
    folder = tmp_path_factory.mktemp("model")
    made = plan(graph, target("c"))
    tflite.FORMAT.write(Request(graph, made, "int8", "int8"), folder)
    return folder / tflite.FORMAT.files["tflite"]


@pytest.mark.parametrize("name", ["block1x4", "block4x1", "2:4", "channel"])
def test_exports_of_every_pattern_equal_the_reference(model: Path, name: str, tmp_path: Path):
    density = None if ":" in name else 0.25
    fedtiny.export(
        model, target="c", out=tmp_path / "out", formats=["c"], dtype="int8",
        density=density, pattern=name,
    )  # fmt: skip
    report = fedtiny.verify(tmp_path / "out", ["host"])
    assert report.equal
    kinds = {layer.pattern for layer in report.layers if layer.op == "conv2d"}
    assert patterns.kind(name) in kinds
    # What it was pruned to is seen again in the file that was written.
    assert report.model.density < 0.7


def test_a_pattern_and_a_density_that_contradict_are_refused(model: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"has density 0\.5"):
        fedtiny.export(
            model, target="c", out=tmp_path / "a", dtype="int8", density=0.2, pattern="2:4"
        )
    with pytest.raises(UsageError, match="give --density"):
        fedtiny.export(model, target="c", out=tmp_path / "a", pattern="channel")
