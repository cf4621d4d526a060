"""Histograms unite exactly, methods choose ranges as they say, clients' messages are checked."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny import discovery
from fedtiny.compiler.calibration import METHODS, choose_ranges, histograms_from_data, merge
from fedtiny.compiler.histogram import BINS, Histogram, united
from fedtiny.errors import UsageError
from fedtiny.federated.histograms import pack, unpack
from fedtiny.federated.message import DamagedMessageError, Message
from tests.networks import resnet8

pytestmark = pytest.mark.quick
VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


@given(parts=st.lists(VALUES, min_size=1, max_size=5))
def test_united_histograms_are_those_of_all_values(parts):
    whole = Histogram.of(np.concatenate([np.array(p) for p in parts]))
    made = united([Histogram.of(np.array(p)) for p in parts])
    assert (made.low, made.high, made.exponent, made.first) == (
        *(whole.low, whole.high, whole.exponent, whole.first),
    )
    np.testing.assert_array_equal(made.counts, whole.counts)


@given(values=VALUES)
def test_every_value_lies_in_its_bin(values):
    x = np.array(values)
    made = Histogram.of(x)
    assert made.counts.sum() == len(x)
    assert len(made.counts) <= 2 * BINS
    expected, _ = np.histogram(x, made.edges)
    np.testing.assert_array_equal(made.counts, expected)


@settings(deadline=None)  # scipy is imported in the first
@given(values=VALUES, method=st.sampled_from(discovery.names(METHODS)))
def test_ranges_stay_inside_what_was_seen(values, method):
    low, high = choose_ranges({"x": Histogram.of(np.array(values))}, method)["x"]
    assert min(values) <= low <= high <= max(values)


def test_minmax_keeps_the_extremes_and_percentile_cuts_them():
    x = np.concatenate([np.random.default_rng(0).normal(size=200_000), [50.0]])
    seen = {"x": Histogram.of(x)}
    assert choose_ranges(seen, "minmax")["x"] == (x.min(), 50.0)
    low, high = choose_ranges(seen, "percentile")["x"]
    wanted = np.quantile(x, [5e-5, 1 - 5e-5])
    np.testing.assert_allclose((low, high), wanted, atol=2 * 50 / BINS)


@pytest.mark.parametrize("outlier", [20.0, 60.0])
def test_entropy_clips_a_far_outlier_and_not_a_full_range(outlier):
    rng = np.random.default_rng(1)
    _, high = choose_ranges(
        {"x": Histogram.of(np.concatenate([np.abs(rng.normal(size=100_000)), [outlier]]))},
        "entropy",
    )["x"]
    assert high < 0.5 * outlier
    _, high = choose_ranges({"x": Histogram.of(rng.uniform(0, 1, 100_000))}, "entropy")["x"]
    assert high > 0.95


def test_an_unknown_method_is_named():
    with pytest.raises(UsageError, match="minmax"):
        choose_ranges({"x": Histogram(0.0, 1.0)}, "magic")


def test_clients_histograms_travel_whole():
    rng = np.random.default_rng(2)
    graph = resnet8("float32", size=8)
    observed = histograms_from_data(graph, rng.normal(size=(4, 8, 8, 3)))
    data = pack(observed).to_bytes()
    found = unpack(Message.from_bytes(data))
    assert list(found) == sorted(observed)
    for name, seen in found.items():
        np.testing.assert_array_equal(seen.counts, observed[name].counts)
        np.testing.assert_array_equal(seen.edges, observed[name].edges)
        assert (seen.low, seen.high) == (
            *(np.float32(observed[name].low), np.float32(observed[name].high)),
        )
    twice = merge([found, found])
    assert all((twice[n].counts == 2 * found[n].counts).all() for n in found)


def damaged(change) -> Message:
    made = pack({"a": Histogram.of(np.array([0.0, 1.0, 3.0])), "b": (0.0, 1.0)})
    fields, arrays = dict(made.fields), {n: a.copy() for n, a in made.arrays.items()}
    change(fields, arrays)
    return Message("ranges", fields, arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda f, a: f.update(names=["a"]),
        lambda f, a: f.update(names=["a", "a"]),
        lambda f, a: a["bounds"].__setitem__((0, 0), 9),
        lambda f, a: a["grids"].__setitem__((0, 0), 1000),
        lambda f, a: a["grids"].__setitem__((0, 1), BINS),
        lambda f, a: a["grids"].__setitem__((0, 2), -1),
        lambda f, a: a["grids"].__setitem__((0, 2), 5),
        lambda f, a: a.update(counts=a["counts"][:-6]),
        lambda f, a: a.update(counts=np.zeros(4, np.uint8)),
    ],
)
def test_damaged_histograms_are_refused(change):
    with pytest.raises(DamagedMessageError):
        unpack(damaged(change))


def test_histograms_that_say_too_much_are_not_unpacked():
    """A few compressed bytes cannot make the server allocate what they claim."""
    import zlib

    bomb = np.frombuffer(zlib.compress(bytes(50_000_000), 9), np.uint8)
    with pytest.raises(DamagedMessageError, match="other counts"):
        unpack(damaged(lambda f, a: a.update(counts=bomb)))


@settings(max_examples=30, deadline=None)
@given(
    data=st.binary(max_size=60), grids=st.lists(st.integers(-3000, 3000), min_size=6, max_size=6)
)
def test_any_bytes_are_histograms_or_refused(data, grids):
    def change(fields, arrays):
        arrays["counts"] = np.frombuffer(data, np.uint8)
        arrays["grids"] = np.array(grids, np.int32).reshape(2, 3)

    with contextlib.suppress(DamagedMessageError):
        assert set(unpack(damaged(change))) == {"a", "b"}
