"""The nonzero streams: exact inverse, counts, distances beyond a byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedtiny.runtime.packing import bitmap, csr

pytestmark = pytest.mark.quick


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 6), st.integers(1, 40), st.integers(1, 2000), st.floats(0, 1), st.integers(0, 99)
)
def test_streams_are_exactly_undone(
    outputs: int, taps: int, spread: int, density: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (outputs, taps)) * (rng.random((outputs, taps)) < density)
    weights = weights.astype(np.int8)
    steps = rng.integers(1, spread + 1, (outputs, taps))
    offsets = rng.permuted(np.cumsum(steps, axis=1), axis=1).astype(np.int64)
    counts, entries = csr.encode(weights, offsets)
    np.testing.assert_array_equal(csr.decode(counts, entries, offsets), weights)
    assert csr.entry_count(weights, offsets) == counts.sum() == len(entries) // 2


def test_a_distance_beyond_a_byte_is_bridged() -> None:
    counts, entries = csr.encode(np.array([[5, -7]], np.int8), np.array([[255, 511]], np.int64))
    assert counts.tolist() == [4]
    assert entries.tolist() == [255, 0, 0, 5, 255, 0, 1, 249]


def test_too_many_entries_are_refused() -> None:
    taps = csr.COUNT_MAX + 1
    with pytest.raises(OverflowError, match="65536 entries"):
        csr.encode(np.ones((1, taps), np.int8), np.arange(taps, dtype=np.int64)[None])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 100), st.floats(0, 1), st.integers(0, 99))
def test_bitmaps_are_exactly_undone(outputs: int, taps: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (outputs, taps)) * (rng.random((outputs, taps)) < density)
    weights = weights.astype(np.int8)
    maps, nonzeros = bitmap.encode(weights)
    assert len(maps) == outputs * -(-taps // 32)
    assert len(nonzeros) == np.count_nonzero(weights)
    np.testing.assert_array_equal(bitmap.decode(maps, nonzeros, outputs, taps), weights)
